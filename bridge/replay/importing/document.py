"""A drafted script as YAML with comments, for a person to edit."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bridge.replay.importing.steps import DraftStep, Fields

_WIDTH = 100

HEAD = """\
# {id}: made of a recorded call by `bridge replay import`. Edit it: the format is README.md here.
#
#   - Give it a name that says what it shows (id, this file's), and tags.
#   - Throw out steps that are not the point. A short script says better what broke.
#   - Expectations are loose: sharpen what matters (text_contains, within_ms), drop the rest.
#   - `bridge check FILE` tells every mistake; `bridge replay FILE` plays it.
"""


def write_document(path: Path, document: Mapping[str, Any], steps: Sequence[DraftStep]) -> str:
    """Return a script's text.

    Args:
        path: the script's file; its audio lies in a folder of the same name.
        document: everything but the steps.
        steps: what the caller does.
    """
    return "\n".join(_blocks(path, document, steps)) + "\n"


def _blocks(path: Path, document: Mapping[str, Any], steps: Sequence[DraftStep]) -> Iterator[str]:
    yield HEAD.format(id=document["id"]).rstrip()
    for name, part in document.items():
        if name == "end":
            yield "\ncaller:"
            for number, step in enumerate(steps, 1):
                yield from _step(number, step, path)
        if part not in ({}, [], None):
            if isinstance(part, dict | list):
                yield ""
            yield from (f"# {line}" for line in _COMMENTS.get(name, ()))
            yield _dump({name: part})


_COMMENTS = {
    "source": ("Where it comes from. Keep this: it says why the recording may be used.",),
    "realtime": (
        "What the simulated agent answers here is what the agent answered then. A live arm answers",
        "as it likes.",
    ),
    "tools": ("What the tools answered, and how long they took.",),
    "hears": (
        "The agent's sentences. The caller's recogniser knows no others: add what may come, too.",
    ),
    "pronunciations": ("Guessed by espeak-ng: mend what sounds wrong (ARPABET).",),
}


def _step(number: int, step: DraftStep, path: Path) -> Iterator[str]:
    yield ""
    yield f"  # step {number}, at {step.at_ms / 1000:.1f} s of the call"
    yield from (f"  # {note}" for note in step.notes)
    fields: Fields = {name: dict(does) for name, does in step.does.items()}
    if step.cut is not None:
        next(iter(fields.values()))["audio"] = f"{path.stem}/{audio_name(number)}"
    if step.expect:
        fields["expect"] = step.expect
    text = _dump([fields])
    yield "\n".join(f"  {line}" for line in text.splitlines())


def audio_name(number: int) -> str:
    """Return the name of the file of what is said at a step."""
    return f"step-{number:02}.wav"


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML readers take for something else, and indents lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists in mappings, as people do."""
        super().increase_indent(flow, False)


def _dump(part: object) -> str:
    return yaml.dump(
        part, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH
    ).rstrip()
