"""Calls that a gateway recorded: which may be used, and what their markers tell."""

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.audio.markers import encode_header, encode_marker
from bridge.audio.wav import write_wav
from bridge.errors import ConfigError
from bridge.recordings.deletion import hold
from bridge.recordings.files import find_call
from bridge.replay.importing.gateway_call import MayNotBeUsedError, read_gateway_call
from bridge.replay.importing.recorded import (
    AgentWords,
    RecordedCall,
    RecordedHold,
    RecordedKeys,
    RecordedSpeech,
    RecordedToolUse,
)
from bridge.store.reader import History
from tests.replay.importing.calls import RATE_HZ, sound

BEGAN_MS = int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 24 * 3600 * 1000
NOW_MS = BEGAN_MS + DAY_MS
GIVEN = {
    "version": "2026-03",
    "given": True,
    "how": "key",
    "settled_at_ms": BEGAN_MS,
}
CALLER = ((3_000, 4_500), (8_000, 9_000))
AGENT = ((500, 2_000), (5_000, 7_000))

Said = tuple[int, str, dict[str, Any]]


def turn(at_ms: int, speaker: str, item_id: str, text: str) -> Said:
    return at_ms, "turn", {"speaker": speaker, "item_id": item_id, "text": text}


def write(
    directory: Path, markers: Iterable[Said] = (), keep: int | None = 30, **changes: Any
) -> Path:
    """Write the files of a call."""
    keep_days = {"audio": keep, "transcript": None, "events": None}
    record = {
        "call_id": "c_1",
        "route": "test",
        "called": "support",
        "codec": "PCMA",
        "outcome": "completed",
        "reason": "caller_hung_up",
        "started_at_ms": BEGAN_MS - 40,
        "answered_at_ms": BEGAN_MS + 20,
        "consent": GIVEN,
        "keep_days": keep_days,
        **changes,
    }
    (directory / "c_1.json").write_text(json.dumps(record))
    sides = np.stack([sound(*CALLER), sound(*AGENT)], axis=1)
    write_wav(directory / "c_1.wav", sides, RATE_HZ)
    header = {"call_id": "c_1", "started_at_ms": BEGAN_MS, "keep_days": keep_days}
    lines = [encode_header(header), *(encode_marker(*each) for each in markers)]
    (directory / "c_1.markers.jsonl").write_bytes(b"".join(lines))
    return directory


def read(directory: Path, now_ms: int = NOW_MS, events: History | None = None) -> RecordedCall:
    return read_gateway_call(find_call(directory, "c_1"), now_ms, events)


@pytest.mark.parametrize(
    ("consent", "why"),
    [
        (None, "nothing says that the caller of c_1 agreed"),
        ({**GIVEN, "given": None}, "nothing says that the caller of c_1 agreed"),
        ({**GIVEN, "given": False}, r"refused \(key\)"),
    ],
)
def test_without_consent_a_call_is_not_used(tmp_path: Path, consent: object, why: str) -> None:
    write(tmp_path, consent=consent)
    with pytest.raises(MayNotBeUsedError, match=why) as refusal:
        read(tmp_path)
    assert refusal.value.remedy
    assert refusal.value.exit_code == 2


def test_without_a_record_nothing_says_that_the_caller_agreed(tmp_path: Path) -> None:
    (write(tmp_path) / "c_1.json").unlink()
    with pytest.raises(ConfigError, match="goes on"):
        read(tmp_path)
    old_s = BEGAN_MS / 1000
    for path in tmp_path.iterdir():
        os.utime(path, (old_s, old_s))
    with pytest.raises(MayNotBeUsedError, match="has no record"):
        read(tmp_path)


def test_a_call_over_its_time_is_not_used_though_its_files_are_still_there(tmp_path: Path) -> None:
    write(tmp_path, keep=30)
    assert read(tmp_path, BEGAN_MS + 29 * DAY_MS).keep_until == "2026-12-01"
    with pytest.raises(MayNotBeUsedError, match="audio of c_1 was to be kept until 2026-12-01"):
        read(tmp_path, BEGAN_MS + 31 * DAY_MS)


def test_a_held_call_is_evidence_and_may_be_used(tmp_path: Path) -> None:
    hold(find_call(write(tmp_path, keep=30), "c_1"), "claim 7")
    assert read(tmp_path, BEGAN_MS + 31 * DAY_MS).name == "c_1"


def test_a_call_that_was_not_recorded_is_refused(tmp_path: Path) -> None:
    (write(tmp_path) / "c_1.wav").unlink()
    with pytest.raises(ConfigError, match="c_1 has no recording"):
        read(tmp_path)


def test_its_end_and_its_line_come_from_the_record(tmp_path: Path) -> None:
    call = read(write(tmp_path))
    assert (call.route, call.called, call.codec, call.state) == (
        "test",
        "support",
        "PCMA",
        "completed",
    )
    assert call.ended_by == "caller"
    assert call.answered_ms == 20
    assert call.consent == "given on 2026-11-01 by key, text 2026-03"
    assert read(write(tmp_path, reason="end_call")).ended_by == "bridge"


def test_words_are_those_told_first_after_the_sound(tmp_path: Path) -> None:
    told = [turn(5_050, "caller", "a", "Where is it?"), turn(9_600, "caller", "b", "Thanks.")]
    assert read(write(tmp_path, told)).acts == (
        RecordedSpeech(3_000, 4_500, "Where is it?"),
        RecordedSpeech(8_000, 9_000, "Thanks."),
    )


def test_sound_without_words_keeps_its_place(tmp_path: Path) -> None:
    acts = read(write(tmp_path, [turn(9_600, "caller", "b", "Thanks.")])).acts
    assert acts == (RecordedSpeech(3_000, 4_500, None), RecordedSpeech(8_000, 9_000, "Thanks."))
    acts = read(write(tmp_path, [turn(5_050, "caller", "a", "Where is it?")])).acts
    assert acts == (
        RecordedSpeech(3_000, 4_500, "Where is it?"),
        RecordedSpeech(8_000, 9_000, None),
    )


def test_a_turn_with_a_pause_that_nobody_answered_is_one(tmp_path: Path) -> None:
    write(tmp_path, [turn(9_600, "caller", "a", "Where... is it?")])
    write_wav(tmp_path / "c_1.wav", np.stack([sound(*CALLER), sound()], axis=1), RATE_HZ)
    assert read(tmp_path).acts == (RecordedSpeech(3_000, 9_000, "Where... is it?"),)


def test_the_agents_words_are_whole_and_as_heard(tmp_path: Path) -> None:
    told = [
        (5_000, "agent_started", {"item_id": "x"}),
        turn(5_300, "agent", "x", "You can return it within thirty days."),
        turn(7_000, "agent", "x", "You can return"),
        turn(26, "bridge", "s", "This call is recorded."),
    ]
    assert read(write(tmp_path, told)).words == (
        AgentWords(26, "This call is recorded.", "This call is recorded.", by_bridge=True),
        AgentWords(5_000, "You can return it within thirty days.", "You can return"),
    )


def test_keys_are_known_only_by_what_they_did(tmp_path: Path) -> None:
    told: list[Said] = [
        (1_000, "digit", {"method": "rfc4733"}),
        (1_001, "consent_given", {"how": "key", "version": "1"}),
        (9_500, "digit", {}),
        (9_500, "menu_chosen", {"menu": "main", "key": "3"}),
        (12_000, "digit", {}),
        (12_400, "digit", {}),
        (15_000, "digit", {}),
        (15_001, "human_asked", {"by": "key", "granted": 1}),
    ]
    keys = [act for act in read(write(tmp_path, told)).acts if isinstance(act, RecordedKeys)]
    assert [(each.digits, each.count) for each in keys] == [
        ("1", 1),
        ("3", 1),
        (None, 2),
        ("0", 1),
    ]


def test_holds_are_known(tmp_path: Path) -> None:
    told: list[Said] = [(10_000, "caller_held", {}), (13_000, "caller_resumed", {})]
    assert RecordedHold(10_000, 13_000) in read(write(tmp_path, told)).acts


def test_tools_are_known_with_what_they_were_asked_and_answered(tmp_path: Path) -> None:
    told: list[Said] = [
        (5_000, "tool_arguments", {"tool": "find", "tool_call": "t1", "text": '{"id": [account]}'}),
        (5_000, "tool_called", {"tool": "find"}),
        (5_800, "tool_ended", {"tool": "find", "result": "ok", "took_ms": 800}),
        (5_800, "tool_output", {"tool": "find", "tool_call": "t1", "text": '{"n": 42}'}),
        (6_000, "tool_arguments", {"tool": "end_call", "tool_call": "t2", "text": "{}"}),
    ]
    assert read(write(tmp_path, told)).tools == (
        RecordedToolUse(5_000, "find", {"id": "[account]"}, {"n": 42}, "ok", 800),
        RecordedToolUse(6_000, "end_call", {}),
    )


def test_events_in_redis_stand_in_for_markers_that_are_gone(tmp_path: Path) -> None:
    (write(tmp_path) / "c_1.markers.jsonl").unlink()
    fields = {"kind": "turn", "speaker": "caller", "item_id": "a", "text": "Where is it?"}
    event = (f"{BEGAN_MS - 40 + 5_050}-0", fields)
    history = History({"started_at": str(BEGAN_MS - 40)}, (event,))
    assert read(tmp_path, events=history).acts[0] == RecordedSpeech(3_000, 4_500, "Where is it?")
