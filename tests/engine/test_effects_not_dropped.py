"""Effects are yielded: a call that makes them and drops them does nothing, without an error.

A handler that is a generator runs only when somebody draws from it. `self._mute()` where
`yield from self._mute()` was meant passes every linter, so the sources are read here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bridge

ENGINE = Path(bridge.__file__).parent / "engine"
LAZY = ("Effects", "Iterator", "Generator")
EAGER = "call.log"
"""Whose methods share names with handlers and make no effects."""


def _lazy_functions(tree: ast.AST) -> dict[str, bool]:
    """Return the functions of a module or a class by name, and whether each makes effects."""
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]
    annotations = {each.name: ast.unparse(each.returns or ast.Constant("")) for each in functions}
    return {name: text.partition("[")[0] in LAZY for name, text in annotations.items()}


def lazy_names(trees: list[ast.Module]) -> set[str]:
    """Return the names that only functions which make effects have."""
    found = [pair for tree in trees for pair in _lazy_functions(tree).items()]
    return {name for name, lazy in found if lazy} - {name for name, lazy in found if not lazy}


def ignored_calls(tree: ast.AST) -> Iterator[tuple[ast.Call, dict[str, bool]]]:
    """Yield each call whose result nothing uses, with the functions of the class it stands in."""
    own = _lazy_functions(tree) if isinstance(tree, ast.ClassDef) else {}
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield node.value, own
        for call, inner in ignored_calls(node):
            yield call, own | inner


def dropped(tree: ast.AST, lazy: set[str]) -> list[int]:
    """Return the lines of the calls that make effects and drop them."""
    lines = []
    for call, own in ignored_calls(tree):
        receiver, _, name = ast.unparse(call.func).rpartition(".")
        makes_effects = own.get(name, name in lazy) if receiver == "self" else name in lazy
        if makes_effects and receiver != EAGER:
            lines.append(call.lineno)
    return lines


class WithoutYieldFrom(ast.NodeTransformer):
    """Makes the mistake everywhere: each `yield from f()` that stands alone becomes `f()`."""

    def __init__(self) -> None:
        self.made = 0

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.AST:
        if not isinstance(node.value, ast.Call):
            return node
        self.made += 1
        return node.value


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """The engine's modules by path."""
    return {str(path.relative_to(ENGINE)): path.read_text() for path in ENGINE.rglob("*.py")}


@pytest.fixture(scope="module")
def lazy(sources: dict[str, str]) -> set[str]:
    """The names of what makes effects."""
    return lazy_names([ast.parse(text) for text in sources.values()])


def test_no_effect_is_dropped(sources: dict[str, str], lazy: set[str]) -> None:
    found = {path: dropped(ast.parse(text), lazy) for path, text in sources.items()}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_a_dropped_effect_is_found(sources: dict[str, str], lazy: set[str]) -> None:
    """The mistake made in every place; seen wherever a name says what it stands for."""
    made = seen = 0
    for text in sources.values():
        mistake = WithoutYieldFrom()
        seen += len(dropped(mistake.visit(ast.parse(text)), lazy))
        made += mistake.made
    assert made > 400
    assert seen > 0.85 * made
