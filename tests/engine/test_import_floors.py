"""The engine's shape: ten floors, no circle of imports, each sub-package named in one line."""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import bridge

ENGINE = Path(bridge.__file__).parent / "engine"
PYPROJECT = ENGINE.parents[1] / "pyproject.toml"
HIGHEST = 10
"""Floors, and so the longest chain of imports."""

CONTRACT = "The engine's floors"


def modules_of(root: Path) -> dict[str, Path]:
    """Return the modules below a package by dotted name, without those that only name a folder."""
    paths = (path for path in root.rglob("*.py") if path.name != "__init__.py")
    return {".".join(path.relative_to(root).with_suffix("").parts): path for path in paths}


def imported(source: str, package: str) -> Iterator[str]:
    """Yield the dotted names that a module imports from a package, for types alone or not."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{each.name}" for each in node.names]
        elif isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        else:
            continue
        for name in names:
            if name.startswith(f"{package}."):
                yield name.removeprefix(f"{package}.")


def import_graph(root: Path, package: str) -> dict[str, set[str]]:
    """Return for each module of a package the modules of it that it imports."""
    modules = modules_of(root)
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        found = {
            each if each in modules else each.rpartition(".")[0]
            for each in imported(path.read_text(encoding="utf-8"), package)
        }
        graph[name] = found & modules.keys()
    return graph


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the longest chain of imports, its importer first.

    Raises:
        ValueError: modules import each other in a circle.
    """
    chains: dict[str, list[str]] = {}

    def chain(name: str, above: tuple[str, ...]) -> list[str]:
        if name in above:
            raise ValueError(f"a circle of imports: {' -> '.join((*above, name))}")
        if name not in chains:
            below = [chain(each, (*above, name)) for each in sorted(graph[name])]
            chains[name] = [name, *max(below, key=len, default=[])]
        return chains[name]

    return max((chain(name, ()) for name in sorted(graph)), key=len)


def floors_of_the_contract() -> list[list[str]]:
    """Return the modules of each floor, highest first, as the contract has them."""
    tool = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]
    (contract,) = [
        each for each in tool["importlinter"]["contracts"] if each["name"].startswith(CONTRACT)
    ]
    assert contract["containers"] == ["bridge.engine"]
    return [re.split(r"\s*\|\s*", layer) for layer in contract["layers"]]


def test_no_chain_of_imports_is_longer_than_the_floors() -> None:
    chain = longest_chain(import_graph(ENGINE, "bridge.engine"))
    assert chain[0] == "core"
    assert len(chain) <= HIGHEST, " -> ".join(chain)


def test_every_module_has_its_floor_in_the_contract() -> None:
    floors = floors_of_the_contract()
    named = [module for floor in floors for module in floor]
    assert len(floors) <= HIGHEST
    assert sorted(named) == sorted(modules_of(ENGINE))


def test_each_sub_package_says_in_one_line_what_it_is_about() -> None:
    folders = {path.parent for path in modules_of(ENGINE).values()} - {ENGINE}
    assert len(folders) > 5
    for folder in folders:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert re.fullmatch(r'"""[A-Z][^"\n]+\."""\n', text), folder.name


# The measure itself


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of three floors, the top one importing for types alone."""
    (tmp_path / "low").mkdir()
    (tmp_path / "low" / "__init__.py").write_text("")
    (tmp_path / "low" / "table.py").write_text("import enum\n")
    (tmp_path / "state.py").write_text("from some.low.table import Step\n")
    top = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from some import state\n"
    (tmp_path / "core.py").write_text(top)
    return tmp_path


def test_imports_for_types_count(package: Path) -> None:
    chain = longest_chain(import_graph(package, "some"))
    assert chain == ["core", "state", "low.table"]


def test_circle_is_found(package: Path) -> None:
    (package / "low" / "table.py").write_text("import some.core\n")
    with pytest.raises(ValueError, match=r"core -> state -> low.table -> core"):
        longest_chain(import_graph(package, "some"))
