"""A call of one's own, recorded by the phone that made it: ``bridge call --record --events``.

Whoever records their own call has agreed to it. The phone knows the caller's words, keys and holds,
and of the agent what it heard: words only where ``--hears`` and ``--json`` were given, too.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bridge.audio.wav import read_wav
from bridge.errors import ConfigError
from bridge.replay.importing.recorded import (
    AgentWords,
    CallerAct,
    RecordedCall,
    RecordedHold,
    RecordedKeys,
    RecordedSpeech,
    spans_of,
)

OWN_CALL = "the caller's own recording"

Event = Mapping[str, Any]  # Any: a line of `bridge call --events`

_REMEDY = "make both with: bridge call URI --record call.wav --events --json > call.jsonl"


def read_caller_call(recording: Path, events: Path) -> RecordedCall:
    """Read a call.

    Args:
        recording: stereo WAV, caller left, agent right; its begin is the answer.
        events: one JSON object a line; the result of ``--json`` may be the last.

    Raises:
        ConfigError: a file is no good, or the call was not answered.
    """
    sound, rate_hz = read_wav(recording)
    if sound.shape[1] != 2:
        raise ConfigError(
            "one channel: the caller can't be told from the agent",
            path=str(recording),
            remedy=_REMEDY,
        )
    lines = list(_lines(events))
    result = next((each for each in lines if "outcome" in each), None)
    if not any(each.get("event") == "answered" for each in lines):
        raise ConfigError("tells of no answered call", path=str(events), remedy=_REMEDY)
    ended_ms = sound.shape[0] * 1000 // rate_hz
    acts: list[CallerAct] = [*_speeches(lines, ended_ms), *_keys(lines), *_holds(lines)]
    return RecordedCall(
        name=recording.stem,
        consent=OWN_CALL,
        caller=sound[:, 0],
        agent=sound[:, 1],
        rate_hz=rate_hz,
        answered_ms=0,
        ended_ms=ended_ms,
        acts=tuple(sorted(acts, key=lambda act: act.start_ms)),
        words=tuple(_words(result)),
        agent_spans=spans_of(sound[:, 1], rate_hz),
        ended_by=None if result is None else result.get("ended_by"),
    )


def _lines(path: Path) -> Iterator[Event]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't be read: {error}", path=str(path), remedy=_REMEDY) from error
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
        except ValueError as error:
            raise ConfigError("is no JSON", path=str(path), line=number, remedy=_REMEDY) from error
        if isinstance(found, dict):
            yield found


def _speeches(lines: list[Event], ended_ms: int) -> Iterator[RecordedSpeech]:
    begun: Event | None = None
    for each in lines:
        if each.get("event") == "caller_started":
            begun = each
        elif each.get("event") == "caller_stopped" and begun is not None:
            yield RecordedSpeech(int(begun["at_ms"]), int(each["at_ms"]), str(begun["text"]))
            begun = None
    if begun is not None:  # hung up in the middle of it
        yield RecordedSpeech(int(begun["at_ms"]), ended_ms, str(begun["text"]))


def _keys(lines: list[Event]) -> Iterator[RecordedKeys]:
    for each in lines:
        if each.get("event") == "keys_pressed":
            at_ms, digits = int(each["at_ms"]), str(each["digits"])
            yield RecordedKeys(at_ms, at_ms, digits, len(digits))


def _holds(lines: list[Event]) -> Iterator[RecordedHold]:
    begun_ms: int | None = None
    for each in lines:
        if each.get("event") == "held":
            begun_ms = int(each["at_ms"])
        elif each.get("event") == "resumed" and begun_ms is not None:
            yield RecordedHold(begun_ms, int(each["at_ms"]))
            begun_ms = None


def _words(result: Event | None) -> Iterator[AgentWords]:
    for turn in [] if result is None else result.get("turns", []):
        if turn["speaker"] == "agent":
            yield AgentWords(int(turn["start_ms"]), turn["text"], turn["text"])
