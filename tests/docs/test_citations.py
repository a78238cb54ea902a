"""Every page that code, tests and pages name is in the repository, with the section they mean."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import ROOT, anchors, pages, prose, read, texts

_NAMED = re.compile(r"(?<![\w/.*{-])((?:[\w.-]+/|\.\./)*[\w-]+\.md)\b(#[\w-]+)?")
_SECTIONS = re.compile(
    r"`*,? +sections? +"
    r"(?P<first>\d+)(?P<more>(?:(?:, (?:\d)|,? and \d|,? or \d| to \d)\d*)*)"
    r"(?: \"(?P<title>[^\"]+)\")?(?:, rules? (?P<rules>\d(?: and \d)?))?"
)
_ELSEWHERE = {f"tests/docs/{name}.py" for name in ("settings_page", "test_citations", "test_paths")}
"""Files that write pages, which name others from where they will be."""


def named_in(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the pages that a file names: the name, an anchor, and the text that follows."""
    if ".md" in (text := read(path)):
        yield from cited_in(text)


def cited_in(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the pages that a text names, likewise."""
    text = re.sub(r"\n[ \t]*#?[ \t]*", " ", text)  # citations are wrapped, in comments, too
    for match in _NAMED.finditer(text):
        yield match[1], (match[2] or "")[1:], text[match.end() : match.end() + 120]


def found(name: str, by: Path) -> Path | None:
    """Return the page that a file means by a name; None where there is no such page."""
    for place in (by.parent / name, ROOT / name):
        if place.exists():
            return place.resolve()
    fitting = [page for page in pages() if str(page).endswith(f"/{name}")]
    return fitting[0] if len(fitting) == 1 else None


def sections_meant(following: str) -> tuple[list[int], str, list[str]]:
    """Return the numbers, the quoted title and the rules in what follows a page's name."""
    match = _SECTIONS.match(following)
    if match is None:
        return [], "", []
    numbers = [int(match["first"])]
    for joint, number in re.findall(r"(,|and|or|to) (\d+)", match["more"]):
        last = numbers[-1]
        numbers += range(last + 1, int(number) + 1) if joint == "to" else [int(number)]
    return numbers, match["title"] or "", re.findall(r"\d", match["rules"] or "")


def section(page: Path, number: int) -> str | None:
    """Return a numbered section in one line; None where the page has no such section."""
    _, begins, rest = f"\n{prose(page)}".partition(f"\n## {number}. ")
    return " ".join(rest.partition("\n## ")[0].split()) if begins else None


def problems(path: Path) -> Iterator[str]:
    """Yield what is wrong with the pages that a file names."""
    for name, anchor, following in named_in(path):
        page = found(name, path)
        if page is None:
            yield f"{name}: no such page"
            continue
        if anchor and anchor not in anchors(page):
            yield f"{name}#{anchor}: no such heading"
        numbers, title, rules = sections_meant(following)
        for number in numbers:
            body = section(page, number)
            if body is None:
                yield f"{name}: no section {number}"
                continue
            if title not in body:
                yield f'{name}: section {number} has no "{title}"'
            for rule in rules:
                if f" {rule}. " not in body:
                    yield f"{name}: section {number} has no rule {rule}"


def test_pages_that_files_name_are_there() -> None:
    wrong = {}
    for path in texts():
        name = str(path.relative_to(ROOT))
        if name not in _ELSEWHERE and (found_wrong := list(problems(path))):
            wrong[name] = found_wrong
    assert wrong == {}


def names(page: Path, number: int, module: str) -> bool:
    """Return whether a section names a module, in its pictures, too."""
    rest = f"\n{read(page)}".partition(f"\n## {number}. ")[2]
    return module in rest.partition("\n## ")[0]


def elsewhere(path: Path) -> Iterator[str]:
    """Yield the pages of which a module's docstring cites no section that names the module."""
    module = str(path.relative_to(ROOT))
    cited: dict[Path, set[int]] = {}
    for name, _, following in cited_in(ast.get_docstring(ast.parse(read(path))) or ""):
        page, (numbers, _, _) = found(name, path), sections_meant(following)
        if page is not None and numbers:
            cited.setdefault(page, set()).update(numbers)
    for cited_page, meant in cited.items():
        theirs = {number for number in range(1, 20) if names(cited_page, number, module)}
        if theirs and not theirs & meant:
            yield f"{cited_page.name}: cites {sorted(meant)}, is named in {sorted(theirs)}"


def test_modules_cite_the_section_that_names_them() -> None:
    architecture = ROOT / "bridge" / "ARCHITECTURE.md"
    assert names(architecture, 7, "bridge/engine/caller/interruption.py")
    wrong = {}
    for path in texts():
        if path.suffix == ".py" and ".md" in read(path) and (found_wrong := list(elsewhere(path))):
            wrong[str(path.relative_to(ROOT))] = found_wrong
    assert wrong == {}


def test_citations_are_found_where_they_are_wrapped(tmp_path: Path) -> None:
    file = tmp_path / "cites.py"
    file.write_text(
        '(`GONE.md` sections 2, 3\n    and 5 to 7 "Title", rule 2)\n# see `OTHER.md`\n# section 4\n'
    )
    (_, _, gone), (_, _, other) = named_in(file)
    assert sections_meant(gone) == ([2, 3, 5, 6, 7], "Title", ["2"])
    assert sections_meant(other) == ([4], "", [])
    assert list(problems(file)) == ["GONE.md: no such page", "OTHER.md: no such page"]


def test_section_title_and_rule_that_a_page_lacks_are_found(tmp_path: Path) -> None:
    (tmp_path / "PAGE.md").write_text("# Page\n\n## 1. One\n\n1. A rule\n\n## 2. Two\n\nText\n")
    file = tmp_path / "cites.py"
    file.write_text('`PAGE.md` section 1 "A rule", rule 1; `PAGE.md` section 2 "A rule", rule 1;')
    assert list(problems(file)) == [
        'PAGE.md: section 2 has no "A rule"',
        "PAGE.md: section 2 has no rule 1",
    ]
    other = tmp_path / "other.py"
    other.write_text("`PAGE.md` section 3, PAGE.md#two, PAGE.md#2-two")
    assert list(problems(other)) == ["PAGE.md: no section 3", "PAGE.md#two: no such heading"]
