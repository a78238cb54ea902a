"""The pages of this repository as somebody types them: their blocks, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from bridge.cli.main import main
from tests.deploy.rules import DEPLOY

ROOT = DEPLOY.parent
PAGES = (
    ROOT / "README.md",
    ROOT / "call_scripts" / "README.md",
    ROOT / "dialplans" / "README.md",
    *sorted(DEPLOY.glob("**/*.md")),
    *sorted((ROOT / ".github").glob("*.md")),
)
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(bridge [^`]+)`")
_PARTS = re.compile(r"""(?:"[^"]*"|'[^']*'|&(?!&)|[^;|&"'])+""")
"""Commands of a line, between `&&`, `;` and `|` that stand in no quotes."""

_BEGIN = re.compile(r"^(?:\S*/)?bridge$")


@dataclass(frozen=True, slots=True)
class Typed:
    """One command of a page.

    Attributes:
        words: after `bridge`.
        whole: it stands in a block, to be typed; else in a sentence, perhaps in part.
    """

    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return shlex.join(("bridge", *self.words))


def blocks(text: str, *languages: str) -> list[str]:
    """Return the fenced blocks in some languages, without the indent of a list."""
    return [
        "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))
        for indent, language, body in _BLOCK.findall(text)
        if language in languages
    ]


def commands(text: str) -> Iterator[Typed]:
    """Yield the `bridge` commands of a page."""
    for block in blocks(text, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in _PARTS.findall(line):
                if (words := _words(part)) is not None:
                    yield Typed(words, whole=True)
    for part in _INLINE.findall(_BLOCK.sub("", text)):
        if (words := _words(part)) is not None:
            # `hold|release`: one stands for all.
            yield Typed(tuple(word.split("|")[0] for word in words), whole=False)


def problem(typed: Typed) -> str | None:
    """Return what the command line has against a command; None where it takes it.

    Files need not be there. In a sentence arguments may be missing.
    """
    command: click.Command = main
    context = click.Context(command, info_name="bridge")
    words = list(typed.words)
    while isinstance(command, click.Group) and not _has_own_options(command, words):
        sub = command.get_command(context, words[0]) if words else None
        if sub is None and (sub := command.get_command(context, "play")) is not None:
            words.insert(0, "play")  # `bridge replay SCRIPTS`
        if sub is None:
            return None if not words and not typed.whole else f"no command '{' '.join(words[:1])}'"
        command, context = sub, click.Context(sub, parent=context, info_name=words.pop(0))
    try:
        given, left, _ = command.make_parser(context).parse_args(list(words))
        if left:
            return f"too much: {left}"
        for parameter in command.params:
            _check(parameter, given.get(parameter.name or ""), context, whole=typed.whole)
    except click.BadOptionUsage as error:
        return error.format_message() if typed.whole else None
    except click.UsageError as error:
        return error.format_message()
    return None


def _has_own_options(group: click.Group, words: list[str]) -> bool:
    """Return whether a group is called for itself, as in `bridge bench --secure`."""
    return group.invoke_without_command and words[:1] != [] and words[0].startswith("-")


def _check(
    parameter: click.Parameter, value: object, context: click.Context, *, whole: bool
) -> None:
    missing = value is None or value == () or not isinstance(value, str | list | tuple | bool)
    if missing:
        if whole and parameter.required:
            raise click.MissingParameter(ctx=context, param=parameter)
        return
    if not isinstance(parameter.type, click.Path) and value != "...":
        parameter.type_cast_value(context, value)


def _words(text: str) -> tuple[str, ...] | None:
    text = re.split(r"\s(?:>|<)\s", text)[0]
    words = shlex.split(text, comments=True)
    while words and re.match(r"^[A-Z_]+=", words[0]):
        words.pop(0)
    return tuple(words[1:]) if words and _BEGIN.match(words[0]) else None


def settings_files(text: str) -> dict[Path, str]:
    """Return the YAML blocks that begin with a comment that is their path."""
    found = {}
    for block in blocks(text, "yaml"):
        first, _, _ = block.partition("\n")
        if (named := re.fullmatch(r"# (\S+\.yaml)", first)) is not None:
            found[Path(named[1])] = block
    return found
