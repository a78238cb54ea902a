"""Holds docstrings' first lines to plain English: each names its subject at once."""

import ast
import re
from pathlib import Path

import pytest

BRIDGE = Path(__file__).parents[2] / "bridge"
RIDDLE = re.compile(
    r"(?:^|: )(?:what|who|whose|whom|how|whether|where|when|why|which|gives)\b", re.IGNORECASE
)
"""A clause that asks instead of naming: at the line's begin, or behind its subject's colon."""

CLASSES_IN_PLAIN_ENGLISH = ("cli", "config", "console", "redaction", "speech", "telemetry")
"""Packages whose classes and functions are held to it as well."""

CLASSES_WITH_SUBJECTS = ("app", "live", "replay", "routing")
"""Packages whose classes alone are held to it; some of their functions tell."""

CLASS_RIDDLE = re.compile(
    r"^(?:what|who|whose|whom|how|whether|where|when|why|which|one|somebody|something)\b",
    re.IGNORECASE,
)
TELLING = re.compile(r"(?:^|[\s_(])(?:tell|tells|told|untold)(?=$|[\s_,.;:])", re.IGNORECASE)
"""Code logs, records, notifies, publishes, returns."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

QUESTION = re.compile(r"(?:what|who|whose|whom|how|whether|where|when|why|which)\b", re.IGNORECASE)
"""The same at the begin of a class's docstring, whose colons lead on to details."""


def _first_line(source: str) -> str:
    return _first_line_of(ast.parse(source))


def _first_line_of(node: Documented) -> str:
    docstring = ast.get_docstring(node) or ""
    return " ".join(docstring.partition("\n\n")[0].split())


def _riddles(source: str) -> list[str]:
    """Return the classes and functions whose names or first lines leave a subject to be guessed."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        line = _first_line_of(node)
        asks = isinstance(node, ast.ClassDef) and CLASS_RIDDLE.search(line)
        if asks or TELLING.search(line) or TELLING.search(node.name):
            found.append(f"{node.name}: {line}")
    return found


def test_a_modules_first_line_names_its_subject() -> None:
    modules = sorted(BRIDGE.rglob("*.py"))
    lines = {str(each.relative_to(BRIDGE)): _first_line(each.read_text()) for each in modules}
    assert lines["clock.py"].startswith("Clocks")
    riddles = {name: line for name, line in lines.items() if not line or RIDDLE.search(line)}
    assert not riddles, "say what the module is or does, not 'What ...' or 'Whether ...'"


@pytest.mark.parametrize("package", CLASSES_IN_PLAIN_ENGLISH)
def test_a_packages_classes_name_their_subjects_and_nothing_tells(package: str) -> None:
    modules = sorted((BRIDGE / package).rglob("*.py"))
    riddles = {str(each.relative_to(BRIDGE)): _riddles(each.read_text()) for each in modules}
    assert len(riddles) > 3
    assert not {name: found for name, found in riddles.items() if found}


@pytest.mark.parametrize("package", CLASSES_WITH_SUBJECTS)
def test_a_packages_classes_name_their_subjects(package: str) -> None:
    classes = {
        f"{path.relative_to(BRIDGE)}:{node.name}": _first_line_of(node)
        for path in sorted((BRIDGE / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    assert len(classes) > 20
    asks = {
        name: line
        for name, line in classes.items()
        if CLASS_RIDDLE.search(line) or TELLING.search(line)
    }
    assert not asks, "say what the class is or does, for whom"


@pytest.mark.parametrize(
    ("source", "riddles"),
    [
        ('class Entry:\n    """What somebody did."""', ["Entry: What somebody did."]),
        ('class Entry:\n    """An action of a user."""', []),
        ('def write():\n    """Write what it tells of."""', ["write: Write what it tells of."]),
        ('def write():\n    """Return what is written."""', []),
        ("async def tell_all(): ...", ["tell_all: "]),
        ("def intelligible(): ...", []),
    ],
)
def test_a_class_that_asks_and_a_function_that_tells_are_found(
    source: str, riddles: list[str]
) -> None:
    assert _riddles(source) == riddles


def test_a_class_of_the_engine_names_its_subject() -> None:
    classes = {
        f"{path.stem}.{node.name}": " ".join((ast.get_docstring(node) or "").split())
        for path in sorted((BRIDGE / "engine").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    }
    assert classes["core.CallCore"].startswith("The decisions of one call")
    riddles = {name: line for name, line in classes.items() if not line or QUESTION.match(line)}
    assert not riddles, "say what the thing is, not 'What ...' or 'How ...'"


@pytest.mark.parametrize(
    ("line", "is_riddle"),
    [
        ("What a part of the benchmark says.", True),
        ("Who asks.", True),
        ("Gives what was read a moment ago.", True),
        ("`bridge calls`: what the calls of every node did.", True),
        ("Decides whether a connection may go through a proxy.", False),
        ("The tick: one absolute schedule for SIP polling and audio.", False),
    ],
)
def test_a_line_that_asks_instead_of_naming_is_found(line: str, *, is_riddle: bool) -> None:
    assert (RIDDLE.search(line) is not None) is is_riddle
