"""A time that a test has taken by a clock is held against its limits by `timing` alone.

A plain `assert` of it would be red on a busy machine, and nobody could tell why.
"""

import ast

from tests.docs.pages import ROOT

CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
UNITS = ("_s", "_ms", "_ns")
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def _reads(node: ast.AST, known: set[str]) -> bool:
    """Return whether an expression reads a clock, or a name whose value came from one."""
    return any(
        (isinstance(each, ast.Attribute) and each.attr in CLOCKS)
        or (isinstance(each, ast.Name) and each.id in known)
        for each in ast.walk(node)
    )


def _is_limit(node: ast.Compare, known: set[str]) -> bool:
    """Return whether a comparison holds a time against a limit; two times have an order."""
    sides = [_reads(side, known) for side in (node.left, *node.comparators)]
    return any(isinstance(each, _ORDER) for each in node.ops) and any(sides) and not all(sides)


def times_asserted(source: str) -> list[int]:
    """Return the lines of `assert` that hold a time from a clock against a limit."""
    lines: list[int] = []
    if not any(clock in source for clock in CLOCKS):
        return lines
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        known: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and _reads(node.value, known):
                names = {each.id for each in node.targets if isinstance(each, ast.Name)}
                known |= {name for name in names if name.endswith(UNITS)}
        lines += [
            node.lineno
            for node in ast.walk(function)
            if isinstance(node, ast.Assert)
            for each in ast.walk(node.test)
            if isinstance(each, ast.Compare) and _is_limit(each, known)
        ]
    return lines


def test_times_are_held_against_limits_by_the_helper_alone() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / "tests").rglob("*.py")
        for line in times_asserted(path.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_asserted_time_is_found() -> None:
    source = """
async def test_a():
    begun_s = time.monotonic()
    took_s = time.monotonic() - begun_s
    assert took_s < 2.0
    assert 0 < round(took_s * 1000) < 5
    assert begun_s < took_s
    most = 5 + took_s
    assert lines < most
    timing.check("it", took_s * 1000, most_ms=5)
"""
    assert times_asserted(source) == [5, 6]
