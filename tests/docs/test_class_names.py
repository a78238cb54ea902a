"""Holds public class names apart: an import line shows which of two things is meant."""

import ast
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import pytest

BRIDGE = Path(__file__).parents[2] / "bridge"
PACKAGES = sorted(each.name for each in BRIDGE.iterdir() if (each / "__init__.py").exists())
ONE_CALL = ("config", "routing", "engine", "live")
"""From a dialplan's setting to the call that it decides: the same words, never the same class."""

SCHEMA_TWINS = {
    "HangUp": {"engine/effects.py", "replay/script/actions.py"},
    "Rule": {"routing/rules.py", "simulator/scenario.py"},
    "Target": {"routing/handoff.py", "replay/script/circumstances.py"},
}
"""Names that stand in a published JSON schema of dialplans or call scripts, or in a log's
`effect`: a rename would change these. Import lines show the package."""

DIALECT_PAIRS = frozenset({"simulator/beta_shapes.py", "simulator/ga_shapes.py"})
"""Twins by intent, imported whole: `beta.SessionUpdate`, `ga.SessionUpdate`."""


def _twins(packages: Collection[str], root: Path = BRIDGE) -> dict[str, set[str]]:
    """Return the public classes of some packages that share a name, with their modules."""
    modules = defaultdict[str, set[str]](set)
    for package in packages:
        for path in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    modules[node.name].add(str(path.relative_to(root)))
    return {
        name: places
        for name, places in modules.items()
        if len(places) > 1 and places != DIALECT_PAIRS
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_no_two_public_classes_of_one_name(package: str) -> None:
    assert _twins([package]) == {}


def test_settings_and_the_state_of_a_call_share_no_class_name() -> None:
    assert _twins(ONE_CALL) == {}


def test_a_public_class_name_stands_once_in_the_house() -> None:
    assert _twins(PACKAGES) == SCHEMA_TWINS


def test_twins_are_found_and_pairs_of_dialects_left(tmp_path: Path) -> None:
    for path in ("live/a.py", "live/b.py", *DIALECT_PAIRS):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("class Pair: ...\nclass _Own: ...\n")
    assert _twins(["live"], tmp_path) == {"Pair": {"live/a.py", "live/b.py"}}
    assert _twins(["simulator"], tmp_path) == {}
