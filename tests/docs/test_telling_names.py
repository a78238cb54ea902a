"""Holds names and sentences to verbs for the act: log, record, notify, publish, return."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

BRIDGE = Path(__file__).parents[2] / "bridge"
"""The package whose modules are held to it."""

TELLING = frozenset({"tell", "tells", "told", "telling", "untold", "teller", "retell"})

PUBLISHED = {
    "tell": "a field of a menu's choice in a dialplan",
    "last_told": "a field of a collection of digits in a dialplan",
    "told_by": "a field of a scenario's session, in the simulator and in call scripts",
}
"""Names that stay, each with its reason."""

SCHEMAS = frozenset({"BaseModel", "Part", "Order"})
"""Bases of classes whose docstrings are the descriptions of JSON schemas and of documents."""

_QUOTED = re.compile(r"`+[^`]*`+|^(?:tell|last_told|told_by):")

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def _names(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.Name():
                yield node.id
            case ast.Attribute():
                yield node.attr
            case ast.arg() | ast.keyword() if node.arg is not None:
                yield node.arg
            case ast.alias():
                yield node.asname or node.name


def _telling(source: str) -> set[str]:
    """Return the names in a source that hold a form of *tell* as a word of its own."""
    return {
        name for name in _names(source) if TELLING & {word.lower() for word in _WORDS.findall(name)}
    }


def _lines(source: str) -> Iterator[str]:
    """Yield the lines of a source's docstrings and comments, but for those that are published.

    Those are the descriptions in schemas (:data:`SCHEMAS`), and the help of commands.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ClassDef() if SCHEMAS & {ast.unparse(base) for base in node.bases}:
                continue
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if any(".command(" in ast.unparse(each) for each in node.decorator_list):
                    continue
            case ast.Module() | ast.ClassDef():
                pass
            case _:
                continue
        for each in node.body:
            match each:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield from text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def _telling_lines(source: str) -> list[str]:
    """Return the lines of a source whose sentences tell; names in backquotes say nothing."""
    return [
        line
        for line in map(str.strip, _lines(source))
        if TELLING & {*re.findall(r"[a-z]+", _QUOTED.sub("", line).lower())}
    ]


def _modules() -> dict[str, str]:
    found = {
        str(each.relative_to(BRIDGE)): each.read_text() for each in sorted(BRIDGE.rglob("*.py"))
    }
    assert len(found) > 500
    return found


def test_no_name_tells() -> None:
    found = {
        module: names
        for module, source in _modules().items()
        if (names := _telling(source) - PUBLISHED.keys())
    }
    assert not found, "name it for what it does: log, record, report, notify, publish, return"


def test_each_name_that_stays_is_in_use() -> None:
    assert set().union(*map(_telling, _modules().values())) == PUBLISHED.keys()


def test_no_sentence_tells() -> None:
    found = {
        module: lines for module, source in _modules().items() if (lines := _telling_lines(source))
    }
    assert not found, "say what is done: log, record, report, notify, publish, return"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def _tell(): ...", {"_tell"}),
        ("class TellPerson: ...", {"TellPerson"}),
        ("TOLD_WITHIN_MS = 800", {"TOLD_WITHIN_MS"}),
        ("self._told = told_to", {"_told", "told_to"}),
        ("call(tell=report)", {"tell"}),
        ("def f(untold): ...", {"untold"}),
        ("from a import report as retell", {"retell"}),
        ("def intelligible(): ...", set()),
        ("bestell = intelligence = 'told'", set()),
    ],
)
def test_a_name_that_tells_is_found(source: str, names: set[str]) -> None:
    assert _telling(source) == names


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('"""Tells the time."""', ["Tells the time."]),
        ('def f():\n    """Return it.\n\n    It is told once.\n    """', ["It is told once."]),
        ('class A:\n    """Lists."""\n    b = 1\n    """Retell it."""', ["Retell it."]),
        ("a = 1  # they tell", ["# they tell"]),
        ('class A(BaseModel):\n    """Is told."""', []),
        ('@click.command()\ndef f():\n    """Tell it."""', []),
        ('"""A key\'s ``tell``, and ``told_by``."""', []),
        ('"""Intelligible, by `last_told`."""', []),
        ('a = "it tells"', []),
    ],
)
def test_a_sentence_that_tells_is_found(source: str, lines: list[str]) -> None:
    assert _telling_lines(source) == lines
