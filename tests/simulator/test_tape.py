"""Tapes: a recorded call's server events come again, at the pace of who is connected."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.clock import NS_PER_MS, NS_PER_S, ManualClock
from bridge.errors import ConfigError
from bridge.simulator.tape import TapeEvent, read_tape
from bridge.simulator.tape_player import PATIENCE_NS, TapePlayer
from bridge.simulator.tape_server import TapeServer, TapeSound

Raw = dict[str, Any]  # Any: JSON
BEGUN_NS = 1_700_000_000 * NS_PER_S
_CREATED: Raw = {
    "type": "session.created",
    "session": {"id": "sess_1", "model": "gpt-4o-realtime-preview", "expires_at": 1_700_000_900},
}
_GREETING: Raw = {"type": "response.create", "event_id": "event_then"}
_BEGUN: Raw = {"type": "response.created", "response": {"id": "resp_1"}}
_DELTA: Raw = {
    "type": "response.audio.delta",
    "item_id": "item_1",
    "delta": {"bytes": 4800, "ms": 100.0},
}


def taped(at_ms: int, direction: str, raw: Raw, session: int = 1) -> TapeEvent:
    return TapeEvent.model_validate(
        {
            "at_ns": BEGUN_NS + at_ms * NS_PER_MS,
            "direction": direction,
            "session": session,
            "type": raw["type"],
            "raw": raw,
        }
    )


def append(ms: float) -> Raw:
    return {"type": "input_audio_buffer.append", "audio": {"bytes": int(ms * 48), "ms": ms}}


def appended(ms: int) -> str:
    audio = base64.b64encode(bytes(ms * 48)).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


def quiet(item_id: str, size_bytes: int) -> bytes:
    return bytes(size_bytes)


class Playing:
    """A player, and a client beside it whose time stands still until it is told otherwise."""

    def __init__(self, *events: TapeEvent) -> None:
        self.clock = ManualClock(wall_ns=BEGUN_NS + 3600 * NS_PER_S)
        now_ns, wall_ns = self.clock.now_ns(), self.clock.wall_ns()
        self.player = TapePlayer(events, quiet, now_ns, wall_ns)

    def say(self, raw: Raw | str) -> None:
        frame = raw if isinstance(raw, str) else json.dumps(raw)
        self.player.feed(frame, self.clock.now_ns())

    def hear(self, after_ms: int = 0) -> list[Raw]:
        self.clock.advance_ms(after_ms)
        return [json.loads(frame) for frame in self.player.take(self.clock.now_ns())]


def types(events: Sequence[Raw]) -> list[str]:
    return [event["type"] for event in events]


def test_an_event_waits_for_what_the_client_had_sent_before_it() -> None:
    playing = Playing(
        taped(0, "received", _CREATED), taped(5, "sent", _GREETING), taped(25, "received", _BEGUN)
    )
    assert types(playing.hear()) == ["session.created"]
    assert playing.hear(1000) == []
    playing.say({"type": "response.create"})
    assert playing.hear(19) == []
    assert types(playing.hear(1)) == ["response.created"]


def test_an_event_waits_for_as_much_audio_as_had_been_sent() -> None:
    heard = {"type": "input_audio_buffer.speech_started", "item_id": "item_2"}
    playing = Playing(
        taped(0, "received", _CREATED),
        taped(40, "sent", append(40)),
        taped(80, "sent", append(40)),
        taped(85, "received", heard),
    )
    assert types(playing.hear()) == ["session.created"]
    playing.say(appended(60))
    assert playing.hear(5000) == []
    playing.say(appended(20))
    assert types(playing.hear()) == ["input_audio_buffer.speech_started"]


def test_audio_counts_from_the_command_before_it() -> None:
    heard = {"type": "input_audio_buffer.speech_started", "item_id": "item_2"}
    playing = Playing(
        taped(0, "received", _CREATED),
        taped(0, "sent", append(400)),
        taped(5, "sent", _GREETING),
        taped(45, "sent", append(40)),
        taped(50, "received", heard),
    )
    playing.hear()
    playing.say({"type": "response.create"})
    playing.say(appended(40))
    assert types(playing.hear(45)) == ["input_audio_buffer.speech_started"]


def test_a_command_that_does_not_come_is_given_up() -> None:
    playing = Playing(
        taped(0, "received", _CREATED), taped(5, "sent", _GREETING), taped(25, "received", _BEGUN)
    )
    playing.hear()
    assert playing.hear(PATIENCE_NS // NS_PER_MS - 1) == []
    assert types(playing.hear(50) + playing.hear(50)) == ["response.created"]


def test_a_command_that_came_late_by_itself_is_waited_for_until_then() -> None:
    late_ms = 2 * PATIENCE_NS // NS_PER_MS
    playing = Playing(
        taped(0, "received", _CREATED),
        taped(late_ms, "sent", _GREETING),
        taped(late_ms + 25, "received", _BEGUN),
    )
    playing.hear()
    assert playing.hear(late_ms - 500) + playing.hear(500) == []
    playing.say(_GREETING)
    assert playing.hear(20) == []
    assert types(playing.hear(5)) == ["response.created"]


def test_what_the_client_had_not_sent_is_left_unanswered() -> None:
    playing = Playing(taped(0, "received", _CREATED), taped(25, "received", _BEGUN))
    playing.say({"type": "conversation.item.truncate", "item_id": "item_1"})
    playing.say("no JSON")
    playing.say("[]")
    assert types(playing.hear(25)) == ["session.created", "response.created"]


def test_names_that_the_client_gives_are_todays() -> None:
    note = {"type": "conversation.item.create", "item": {"id": "note_then", "type": "message"}}
    made = {
        "type": "conversation.item.created",
        "previous_item_id": "note_then",
        "item": {"id": "note_then"},
    }
    refused = {"type": "error", "error": {"event_id": "event_then"}}
    playing = Playing(
        taped(0, "sent", _GREETING),
        taped(1, "sent", note),
        taped(2, "received", made),
        taped(3, "received", refused),
    )
    playing.say({"type": "response.create", "event_id": "event_now"})
    playing.say({**note, "item": {"id": "note_now", "type": "message"}})
    item, error = playing.hear(5)
    assert (item["previous_item_id"], item["item"]["id"]) == ("note_now", "note_now")
    assert error["error"]["event_id"] == "event_now"


def test_a_session_lives_as_long_as_it_did() -> None:
    playing = Playing(taped(0, "received", _CREATED))
    (created,) = playing.hear()
    assert created["session"]["expires_at"] == 1_700_000_900 + 3600


def test_a_frame_that_was_no_json_is_none_again() -> None:
    event = taped(0, "received", _CREATED).model_copy(update={"type": "", "raw": {}})
    player = TapePlayer([event], quiet, 0, BEGUN_NS)
    (frame,) = player.take(0)
    with pytest.raises(json.JSONDecodeError):
        json.loads(frame)


@pytest.mark.speech
def test_words_are_spoken_anew_and_last_as_long_as_they_did() -> None:
    said = {"type": "response.audio_transcript.done", "item_id": "item_1"}
    words = "We are open from nine to five on every day but Sunday."
    events = [taped(0, "received", _DELTA) for _ in range(25)]
    sound = TapeSound([*events, taped(1, "received", {**said, "transcript": words})])
    reader = sound.begin()
    speech = b"".join(reader.take("item_1", 4800) for _ in range(25))
    assert len(speech) == 25 * 4800
    second = 48_000
    assert any(speech[:second])
    assert any(speech[second : 2 * second])
    assert reader.take("item_1", 960) == bytes(960)
    assert sound.begin().take("item_1", 4800) == speech[:4800]


def write_tape(path: Path, *events: TapeEvent) -> Path:
    path.write_text("".join(event.model_dump_json() + "\n" for event in events))
    return path


def test_a_tape_tells_its_dialect_and_model(tmp_path: Path) -> None:
    beta = read_tape(write_tape(tmp_path / "beta.jsonl", taped(0, "received", _CREATED)))
    assert (beta.dialect, beta.model) == ("beta", "gpt-4o-realtime-preview")
    session = {**_CREATED["session"], "type": "realtime"}
    ga = taped(0, "received", {**_CREATED, "session": session})
    assert read_tape(write_tape(tmp_path / "ga.jsonl", ga)).dialect == "ga"


def test_a_line_that_is_none_of_a_wire_log_is_told_with_its_number(tmp_path: Path) -> None:
    path = write_tape(tmp_path / "broken.jsonl", taped(0, "received", _CREATED))
    for line, what in (('{"at_ns": 1}\n', "direction"), ("nonsense\n", "JSON")):
        path.write_text(path.read_text().splitlines()[0] + "\n" + line)
        with pytest.raises(ConfigError, match=what) as error:
            read_tape(path)
        assert str(error.value).startswith(f"{path}:2: ")


def test_a_log_without_a_session_is_no_tape(tmp_path: Path) -> None:
    path = write_tape(tmp_path / "empty.jsonl")
    with pytest.raises(ConfigError, match=r"empty\.jsonl: holds no session"):
        read_tape(path)
    with pytest.raises(ConfigError, match="can't be read"):
        read_tape(tmp_path / "missing.jsonl")


@pytest.mark.speech
async def test_each_connection_gets_its_session_until_the_tape_is_rewound(tmp_path: Path) -> None:
    second = {**_CREATED, "session": {"id": "sess_2"}}
    path = write_tape(
        tmp_path / "call.jsonl",
        taped(0, "received", _CREATED),
        taped(50, "received", second, session=2),
    )
    server = TapeServer(read_tape(path), admin_secret="s3cret")
    url = await server.start()
    rewind = url.replace("ws://", "http://").replace("/v1/realtime", "/admin/rewind")

    async def first_of(client: aiohttp.ClientSession) -> Raw:
        async with client.ws_connect(url) as socket:
            event: Raw = await socket.receive_json()
            return event

    try:
        async with aiohttp.ClientSession() as client:
            async with client.ws_connect(url) as socket:
                assert (await socket.receive_json())["session"]["id"] == "sess_1"
                ended = await socket.receive()
                assert ended.type is aiohttp.WSMsgType.CLOSE, "another session follows"
            assert (await first_of(client))["session"]["id"] == "sess_2"
            assert (await first_of(client))["error"]["code"] == "tape_is_over"
            async with client.post(rewind) as answer:
                assert answer.status == 401
            async with client.post(rewind, headers={"X-Simulator-Admin": "s3cret"}) as answer:
                assert answer.status == 200
            assert (await first_of(client))["session"]["id"] == "sess_1"
    finally:
        await server.aclose()
