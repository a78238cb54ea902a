"""Holds names to verbs that say what is done: code logs, records, notifies, publishes, returns."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

BRIDGE = Path(__file__).parents[2] / "bridge"
PACKAGES = (
    "app",
    "audio",
    "cli",
    "config",
    "console",
    "demo",
    "engine",
    "live",
    "processes",
    "realtime",
    "recordings",
    "redaction",
    "routing",
    "session",
    "sip",
    "softphone",
    "speech",
    "store",
    "telemetry",
    "tools",
)
"""Packages whose names are held to it."""

TELLING = frozenset({"tell", "tells", "told", "telling", "untold", "teller", "retell"})

PUBLISHED = {
    "tell": "a field of a menu's choice in a dialplan",
    "last_told": "a field of a collection of digits in a dialplan",
    "tell_nobody": "the leg's, in bridge/telephony, whose names are not held to it",
}
"""Names that stay, each with its reason."""

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


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_of_a_package_tells(package: str) -> None:
    modules = sorted((BRIDGE / package).rglob("*.py"))
    assert modules
    found = {
        str(each.relative_to(BRIDGE)): names
        for each in modules
        if (names := _telling(each.read_text()) - PUBLISHED.keys())
    }
    assert not found, "name it for what it does: log, record, report, notify, publish, return"


def test_each_name_that_stays_is_in_use() -> None:
    sources = [
        each.read_text() for package in PACKAGES for each in (BRIDGE / package).rglob("*.py")
    ]
    assert set().union(*map(_telling, sources)) == PUBLISHED.keys()


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
