"""Makes a call script of a recorded call: the YAML, and beside it the caller's words as WAV files.

Blocks on the disk, and loads the recogniser's dictionary.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bridge.audio.wav import write_wav
from bridge.errors import ConfigError, InfrastructureError
from bridge.replay.importing.drafting import expect, mocks_of, rules_of
from bridge.replay.importing.hiding import Hider
from bridge.replay.importing.recorded import RecordedCall, RecordedSpeech, Sound
from bridge.replay.importing.steps import Drafter, DraftStep, Fields, VoiceCut
from bridge.replay.script import CallScript, load_script
from bridge.speech.recognition import guess_pronunciations
from bridge.speech.words import sentences_of, words_of

_WIDTH = 100

HEAD = """\
# {id}: made of a recorded call by `bridge replay import`. Edit it: the format is README.md here.
#
#   - Give it a name that says what it shows (id, this file's), and tags.
#   - Throw out steps that are not the point. A short script says better what broke.
#   - Expectations are loose: sharpen what matters (text_contains, within_ms), drop the rest.
#   - `bridge check FILE` tells every mistake; `bridge replay FILE` plays it.
"""

_VOICE = "en-us"
_BEFORE_MS, _AFTER_MS = 120, 200
"""Kept around what was said: soft sounds that the gate takes for silence."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The script that an import wrote, and what a person has to look at.

    Attributes:
        path: the script.
        audio: the files beside it.
        notes: what a person has to look at.
    """

    path: Path
    script: CallScript
    audio: tuple[Path, ...]
    notes: tuple[str, ...]


def import_call(
    call: RecordedCall, out: Path, *, names: Sequence[str] = (), revoice: bool = False
) -> Imported:
    """Write a script that plays what the caller of a recorded call did.

    Args:
        call: the call; reading it has checked that it may be used.
        out: the script's file; its audio goes into a folder of the same name beside it. What was
            there is replaced.
        names: words to take out, beside what is recognised by itself.
        revoice: keep none of the caller's own voice.

    Raises:
        ConfigError: the caller did nothing in it, or the file's name is no id.
        InfrastructureError: it can't be written.
    """
    _check_something_is_known(call)
    hider = Hider(names)
    drafted = list(Drafter(call, hider, revoice=revoice).steps())
    for step, stretch in drafted:
        if stretch is not None:
            step.expect |= expect(step, stretch, call, hider)
    steps = [step for step, _ in drafted]
    document = {**_head(call, out, hider), **_behind(call, steps, hider), "end": _end(call)}
    try:
        audio = tuple(_write_audio(call, steps, out.with_suffix("")))
        out.write_text(write_document(out, document, steps), encoding="utf-8")
    except OSError as error:
        raise InfrastructureError(
            f"{error.filename or out} can't be written: {error.strerror}",
            remedy="name a file in a folder that you may write to",
        ) from error
    return Imported(out, load_script(out), audio, tuple(_notes(call, steps)))


def _check_something_is_known(call: RecordedCall) -> None:
    if not call.acts:
        raise ConfigError(
            f"nothing was said and no key was pressed in {call.name}", remedy="use another call"
        )
    spoken = [act for act in call.acts if isinstance(act, RecordedSpeech)]
    if spoken and all(act.text is None for act in spoken):
        raise ConfigError(
            f"no words of the caller's are known in {call.name}, so nothing could be taken out",
            remedy="have the dialplan transcribe (agent.transcription), and use a later call",
        )


def _head(call: RecordedCall, out: Path, hider: Hider) -> Fields:
    head: Fields = {
        "schema": "callscript/v1",
        "id": re.sub(r"[^a-z0-9_-]+", "-", out.stem.lower()).strip("-") or "imported",
        "source": {
            "kind": "recorded",
            "call": call.name,
            "consent": call.consent,
            "redaction": hider.method,
        },
        "tags": ["recorded"],
    }
    if call.route is not None:
        head["target"] = {"route": call.route}
    if call.codec in ("PCMU", "PCMA"):
        head["media"] = {"codec": call.codec}
    if call.called is not None:
        head["called"] = call.called
    return head


def _behind(call: RecordedCall, steps: Sequence[DraftStep], hider: Hider) -> Fields:
    """Return what is behind the call, and what its caller can hear of it."""
    said = [hider.hide(each.text).text for each in call.words if each.text is not None]
    hears = list(dict.fromkeys(s for text in said for s in sentences_of(text)))
    rules = list(rules_of(call, steps, hider))
    realtime: Fields = {"rules": rules} if rules else {}
    own = [each for each in call.words if not each.by_bridge and each.text is not None]
    if own and (not call.acts or own[0].at_ms < call.acts[0].start_ms):
        realtime["greeting"] = hider.hide(own[0].text or "").text
    spoken = [each.said for each in steps if each.said is not None]
    guessed = guess_pronunciations([*hears, *spoken], _VOICE)
    heard = {word for text in hears for word in words_of(text)}
    spoken_words = {word for text in spoken for word in words_of(text)}
    if simulated := {word: phones for word, phones in guessed.items() if word in spoken_words}:
        realtime["pronunciations"] = simulated
    return {
        "realtime": realtime,
        "tools": [mock for mock, _ in mocks_of(call, hider)],
        "voice": _VOICE,
        "hears": hears,
        "pronunciations": {word: phones for word, phones in guessed.items() if word in heard},
    }


def _end(call: RecordedCall) -> Fields:
    seconds = (call.ended_ms - call.answered_ms) / 1000
    end: Fields = {"state": call.state} if call.state is not None else {}
    return {
        **end,
        "by": call.ended_by or "anyone",
        "max_duration_s": 5 * math.ceil((seconds * 1.5 + 15) / 5),
    }


def _write_audio(call: RecordedCall, steps: Sequence[DraftStep], folder: Path) -> Iterator[Path]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(audio_name(0).replace("00", "*")):
        old.unlink()
    for number, step in enumerate(steps, 1):
        if step.cut is not None:
            folder.mkdir(exist_ok=True)
            path = folder / audio_name(number)
            write_wav(path, _cut(call, step.cut), call.rate_hz)
            yield path


def _cut(call: RecordedCall, cut: VoiceCut) -> Sound:
    """Return a stretch of the caller's channel, and a little around it that nothing else is in."""
    others = [(act.start_ms, act.end_ms) for act in call.acts if act.start_ms != cut.start_ms]
    earliest = max((end for _, end in others if end <= cut.start_ms), default=0)
    latest = min((start for start, _ in others if start >= cut.end_ms), default=call.ended_ms)
    start_ms = max(cut.start_ms - _BEFORE_MS, earliest)
    end_ms = min(cut.end_ms + _AFTER_MS, latest)
    return np.ascontiguousarray(
        call.caller[start_ms * call.rate_hz // 1000 : end_ms * call.rate_hz // 1000]
    )


def _notes(call: RecordedCall, steps: Sequence[DraftStep]) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        yield from (f"step {number}: {note}" for note in step.notes)
    drafted = {step.at_ms for step in steps}
    for act in call.acts:
        if act.start_ms not in drafted:
            seconds = (act.end_ms - act.start_ms) / 1000
            yield f"left out: {seconds:.1f} s of sound without words at {act.start_ms / 1000:.1f} s"
    if call.keep_until is not None and any(step.cut for step in steps):
        yield (
            f"the caller's voice may be kept until {call.keep_until}: delete the script's audio"
            " then, or import it with --revoice"
        )
    yield from (f"tool {mock['name']}: {note}" for mock, note in mocks_of(call, Hider()) if note)


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
