"""Makes an ordinary call script of a persona's words, so that every arm hears the same ones.

What the steps expect is that an answer comes in time, no more: sharpen it by hand. Paths in the
script lead to the same files from where the new one lies. Blocks.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from bridge.config.yaml_source import load_yaml
from bridge.errors import ConfigError, InfrastructureError
from bridge.recordings.writing import replace
from bridge.replay.persona.outcome import PersonaOutcome, PersonaTurn
from bridge.replay.results.files import RESULTS_FILE, read_results, read_run
from bridge.replay.results.run import ScriptInfo
from bridge.replay.script import CallScript, load_script

_WITHIN_MS = 4_000
_WIDTH = 100
_OUTCOME = TypeAdapter(PersonaOutcome)
_PATHS = (("realtime", "scenario"), ("noise", "file"))
_HEAD = """\
# {id}: what the persona of {persona} said in one call on {arm}, by `bridge replay fix`.
# Each arm hears these words, whatever it answers. Sharpen what the steps expect.
"""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A script that was written.

    Attributes:
        notes: what the one who reads it should know.
    """

    path: Path
    script: CallScript
    notes: tuple[str, ...] = ()


def fix(run: Path, out: Path, script: Path | None = None) -> Fixed:
    """Write the ordinary script of a persona's call.

    Args:
        run: folder of the call, ``runs/SCRIPT/ARM/N`` of a report.
        out: the new script.
        script: the persona's script; None: the one that the report names.

    Raises:
        ConfigError: the run is none of a persona's, or its script is gone.
        InfrastructureError: the disk refused.
    """
    outcome = _outcome_of(run)
    info = None if script is not None else _script_of(run)
    path = script or Path(info.path if info is not None else "")
    document = load_yaml(path).data
    if not isinstance(document, dict) or document.get("caller") != "persona":
        raise ConfigError("has no persona as its caller", path=str(path))
    notes = []
    if info is not None and info.sha256 != _sha256(path):
        notes.append(f"{path} was changed since the call: the rest of the script is as it is there")
    text = _HEAD.format(id=out.stem, persona=document.get("id"), arm=run.parent.name)
    text += yaml.safe_dump(
        _fixed(document, outcome, path.parent, out),
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        replace(out, text.encode())
    except OSError as error:
        raise InfrastructureError(
            f"{out} can't be written: {error.strerror}", remedy="name another place with --out"
        ) from error
    return Fixed(out, load_script(out), tuple(notes))


def _outcome_of(run: Path) -> PersonaOutcome:
    persona = read_run(run).detail.call.get("persona")
    if persona is None:
        raise ConfigError(
            "no persona spoke in this call",
            path=str(run),
            remedy="name the folder of a persona's call: OUT/runs/SCRIPT/ARM/1",
        )
    try:
        outcome = _OUTCOME.validate_python(persona)
    except ValidationError:
        raise ConfigError(
            "was written by another version", path=str(run), remedy="run bridge replay again"
        ) from None
    if not outcome.turns:
        raise ConfigError("the persona said nothing in this call", path=str(run))
    return outcome


def _script_of(run: Path) -> ScriptInfo:
    place = run.absolute().parents[3]
    name = run.absolute().parents[1].name
    if (place / RESULTS_FILE).exists():
        for info in read_results(place).scripts:
            if info.id == name:
                return info
    raise ConfigError(
        "the report does not say which script this was",
        path=str(run),
        remedy="name it with --script",
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fixed(
    document: Mapping[str, object], outcome: PersonaOutcome, folder: Path, out: Path
) -> dict[str, object]:
    kept = {name: part for name, part in document.items() if name != "persona"}
    kept["id"] = out.stem
    kept["caller"] = list(_steps(outcome))
    for part, field in _PATHS:
        held = kept.get(part)
        # A scenario that comes with the package has a name, and no file here.
        if isinstance(held, dict) and (folder / str(held.get(field))).is_file():
            there = os.path.relpath(folder / str(held[field]), out.absolute().parent)
            kept[part] = {**held, field: there}
    return kept


def _steps(outcome: PersonaOutcome) -> Iterator[dict[str, object]]:
    turns = outcome.turns
    for turn, following in zip(turns, (*turns[1:], None), strict=True):
        step: dict[str, object] = {turn.does: _does(turn)}
        # Where an interruption follows the answer begins; after the last words there may be none.
        if turn.does != "dtmf" and following is not None:
            step["expect"] = {"within_ms": _WITHIN_MS}
        yield step


def _does(turn: PersonaTurn) -> dict[str, object]:
    match turn.does:
        case "dtmf":
            return {"digits": turn.text}
        case "interrupt":
            return {"text": turn.text, "after": {"delay_ms": turn.after_ms}}
        case _:
            return {"text": turn.text, "gap_ms": turn.after_ms}
