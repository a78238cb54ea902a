"""Holds the first lines of modules' docstrings to plain English: each names its subject at once."""

import ast
import re
from pathlib import Path

import pytest

BRIDGE = Path(__file__).parents[2] / "bridge"
RIDDLE = re.compile(
    r"(?:^|: )(?:what|who|whose|whom|how|whether|where|when|why|which|gives)\b", re.IGNORECASE
)
"""A clause that asks instead of naming: at the line's begin, or behind its subject's colon."""

QUESTION = re.compile(r"(?:what|who|whose|whom|how|whether|where|when|why|which)\b", re.IGNORECASE)
"""The same at the begin of a class's docstring, whose colons lead on to details."""


def _first_line(source: str) -> str:
    docstring = ast.get_docstring(ast.parse(source)) or ""
    return " ".join(docstring.partition("\n\n")[0].split())


def test_a_modules_first_line_names_its_subject() -> None:
    modules = sorted(BRIDGE.rglob("*.py"))
    lines = {str(each.relative_to(BRIDGE)): _first_line(each.read_text()) for each in modules}
    assert lines["clock.py"].startswith("Clocks")
    riddles = {name: line for name, line in lines.items() if not line or RIDDLE.search(line)}
    assert not riddles, "say what the module is or does, not 'What ...' or 'Whether ...'"


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
