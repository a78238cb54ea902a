"""Tests stand where what they test stands: the folders of `tests` are those of `bridge`."""

from pathlib import Path

from tests.docs.pages import ROOT

CROSS_CUTTING = {
    "calls": "whole calls, of all packages",
    "clients": "published Realtime clients",
    "deploy": "the folder deploy",
    "docs": "pages, and rules that hold for the whole repository",
    "interop": "programs that we didn't write",
    "support": "what tests share",
}
"""Folders that mirror no package, and what is in them."""


def astray(root: Path) -> list[str]:
    """Return the folders with tests that are neither a package's nor cross-cutting."""
    folders = {path.parent.relative_to(root / "tests") for path in root.glob("tests/**/test_*.py")}
    return sorted(
        str(folder)
        for folder in folders
        if str(folder) not in CROSS_CUTTING
        and not ((root / "bridge" / folder).is_dir() and folder.parts)
    )


def test_folders_of_tests_are_those_of_packages() -> None:
    assert astray(ROOT) == []


def test_folders_that_mirror_no_package_have_tests() -> None:
    assert [
        each for each in CROSS_CUTTING if not list((ROOT / "tests" / each).glob("test_*"))
    ] == []
    assert [each for each in CROSS_CUTTING if (ROOT / "bridge" / each).exists()] == []


def test_folder_of_no_package_is_found(tmp_path: Path) -> None:
    for place in ("engine/test_a.py", "docs/test_b.py", "engine/turns/test_c.py", "test_d.py"):
        (tmp_path / "tests" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / place).touch()
    (tmp_path / "bridge" / "engine").mkdir(parents=True)
    assert astray(tmp_path) == [".", "engine/turns"]
