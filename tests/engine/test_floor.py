"""The view of who has the floor: its truth table, and one writer for each field it rests on."""

import ast
from pathlib import Path

import pytest

import bridge.engine

ENGINE = Path(bridge.engine.__file__).parent

WRITERS = {
    "speaking": "turn_taking",
    "uncommitted": "turn_taking",
    "commit_asked": "turn_taking",
    "_since_ns": "turn_taking",
}
"""Fields that one module writes; the others ask its methods."""


def written_by(tree: ast.AST) -> set[str]:
    """Return the names of the attributes that are assigned to."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
    }


@pytest.mark.parametrize(("field", "owner"), WRITERS.items())
def test_field_has_one_writer(field: str, owner: str) -> None:
    writers = {
        path.stem
        for path in ENGINE.rglob("*.py")
        if field in written_by(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert writers == {owner}
