"""Every path that a page names is there."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import FOLDERS, ROOT, pages, pictures, prose

_QUOTED = re.compile(r"`([^`\s]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATTERN = re.compile(r"[*<{]|\.\.\.")
"""In names that stand for others."""

_MADE = {"call_scripts/my-order.yaml", "call_scripts/recorded"}
"""By whom follows a page."""


def paths_named_in(page: Path) -> Iterator[tuple[str, Path]]:
    """Yield what a page names, and where it has to be."""
    text = prose(page)
    for link in _LINK.findall(text):
        target = link.partition("#")[0]
        if target and "://" not in target:
            yield link, page.parent / target
    for quoted in _QUOTED.findall(text):
        if quoted.split("/")[0] in FOLDERS and quoted not in _MADE and not _PATTERN.search(quoted):
            yield quoted, ROOT / quoted.partition("::")[0]


def test_paths_that_pages_name_are_there() -> None:
    named = {
        f"{page.relative_to(ROOT)}: {name}": place
        for page in pages()
        if page.name != "CHANGELOG.md"  # it tells of what was
        for name, place in paths_named_in(page)
    }
    assert len(named) > 200
    assert [name for name, place in named.items() if not place.exists()] == []


def test_what_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "PAGE.md"
    page.write_text("[a](gone.md#x) [b](https://a.example) `bridge/gone.py` `bridge/*.py` `a/b.py`")
    assert [name for name, _ in paths_named_in(page)] == ["gone.md#x", "bridge/gone.py"]


def test_modules_in_the_pictures_are_there() -> None:
    drawn = re.findall(
        r"\b(?:\w+/)+\w+\.py", "".join(pictures(ROOT / "bridge" / "ARCHITECTURE.md"))
    )
    assert len(drawn) > 10
    assert [module for module in drawn if not (ROOT / "bridge" / module).exists()] == []
