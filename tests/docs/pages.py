"""The repository's own texts, and what a Markdown page of it has: headings, links, fields."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("bridge", "call_scripts", "dialplans", "deploy", "tests", ".ci", ".github")
SINGLE = ("README.md", "pyproject.toml", ".justfile", ".pre-commit-config.yaml")
_TEXTS = {".py", ".md", ".yaml", ".yml", ".json", ".toml", ".lua", ".html", ".js", ".cfg", ""}
_FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def texts() -> Iterator[Path]:
    """Yield every text file of the repository."""
    yield from (ROOT / name for name in SINGLE if (ROOT / name).exists())
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            generated = "__pycache__" in path.parts or path.suffix not in _TEXTS
            if path.is_file() and not generated:
                yield path


@cache
def pages() -> list[Path]:
    """Return every Markdown page of the repository."""
    return [path for path in texts() if path.suffix == ".md"]


@cache
def read(path: Path) -> str:
    """Return a file's text; what is not UTF-8 is no text of ours."""
    return path.read_text(encoding="utf-8", errors="replace")


@cache
def headings(page: Path) -> tuple[str, ...]:
    """Return a page's headings, without marks."""
    plain = _FENCED.sub("", read(page))
    return tuple(heading.replace("`", "").strip() for heading in _HEADING.findall(plain))


def anchors(page: Path) -> set[str]:
    """Return what may follow a link's `#`, as GitHub makes it of the headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)
    }


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCED.sub("", read(page))


def pictures(page: Path) -> list[str]:
    """Return the Mermaid texts of a page."""
    return re.findall(r"^```mermaid\n(.*?)^```$", read(page), flags=re.MULTILINE | re.DOTALL)
