"""The wire log: every frame both ways, in order, without audio; a bad disk harms no call."""

import asyncio
import json
from pathlib import Path

import pybase64
from websockets.asyncio.server import ServerConnection

from bridge.clock import ManualClock
from bridge.config.settings import SessionSettings
from bridge.realtime.commands import CancelResponse, CreateItem
from bridge.realtime.events import ServerEvent
from bridge.realtime.ga import GaDialect
from bridge.realtime.items import ContentPart, Message, PartKind, Role
from bridge.realtime.session_config import SessionConfig
from bridge.session.realtime import Endpoint, RealtimeSession
from bridge.session.wire_log import WireLog, without_audio
from tests.session.peer import QUICK, SOON_S, accept, event, receive, serving
from tests.support.pictures import digest, png

_AUDIO_20MS = bytes(960)


async def _talk(path: Path, settings: SessionSettings = QUICK) -> None:
    """Have a session in which one command, one append and four events go over the wire."""
    log, all_came = WireLog(path, ManualClock()), asyncio.Event()
    delta = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    audio = pybase64.b64encode_as_string(_AUDIO_20MS)

    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        for _ in range(2):
            await receive(peer)
        await peer.send(event("response.output_audio.delta", **delta, delta=audio))
        await peer.send(event("response.novelty", text="x"))
        await peer.send("no json")
        await peer.send(event("input_audio_buffer.cleared"))
        await peer.wait_closed()

    def on_event(told: ServerEvent, _: int) -> None:
        if type(told).__name__ == "InputCleared":
            all_came.set()

    async with serving(script) as url:
        session = RealtimeSession(
            Endpoint(url, "m"),
            GaDialect(),
            settings,
            clock=ManualClock(),
            on_event=on_event,
            on_closed=lambda error: None,
            wire=log.tap(),
        )
        await session.open(SessionConfig())
        session.send(CancelResponse())
        session.append(_AUDIO_20MS)
        async with asyncio.timeout(SOON_S):
            await all_came.wait()
        await session.aclose()
    await asyncio.to_thread(log.close)


async def test_every_frame_both_ways_is_written_in_order(tmp_path: Path) -> None:
    path = tmp_path / "wire" / "c_1.jsonl"
    await _talk(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["direction"], line["type"], line["canonical"]) for line in lines] == [
        ("received", "session.created", "SessionCreated"),
        ("sent", "session.update", "UpdateSession"),
        ("received", "session.updated", "SessionUpdated"),
        ("sent", "response.cancel", "CancelResponse"),
        ("sent", "input_audio_buffer.append", "AppendAudio"),
        ("received", "response.output_audio.delta", "AudioDelta"),
        ("received", "response.novelty", None),
        ("received", "", None),
        ("received", "input_audio_buffer.cleared", "InputCleared"),
    ]
    assert {line["session"] for line in lines} == {1}


async def test_audio_is_told_by_its_length_alone(tmp_path: Path) -> None:
    path = tmp_path / "c_1.jsonl"
    await _talk(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    told = {"bytes": 960, "ms": 20.0}
    assert lines[4]["raw"]["audio"] == told
    assert lines[5]["raw"]["delta"] == told
    assert pybase64.b64encode_as_string(_AUDIO_20MS) not in path.read_text()


async def test_fields_that_hold_something_are_named(tmp_path: Path) -> None:
    path = tmp_path / "c_1.jsonl"
    await _talk(path)
    line = json.loads(path.read_text().splitlines()[5])
    names = {"audio", "content_index", "item_id", "output_index", "response_id"}
    assert names <= set(line["fields"])


def test_a_call_without_a_session_has_an_empty_log(tmp_path: Path) -> None:
    WireLog(tmp_path / "c_1.jsonl", ManualClock()).close()
    assert (tmp_path / "c_1.jsonl").read_text() == ""


async def test_a_disk_that_refuses_ends_the_log_and_not_the_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    await _talk(tmp_path / "file" / "c_1.jsonl")


def test_text_deltas_stay() -> None:
    told = {"type": "response.output_audio_transcript.delta", "delta": "Good morning"}
    assert without_audio(dict(told)) == told


def test_audio_within_an_item_is_replaced() -> None:
    part = {"type": "input_audio", "audio": pybase64.b64encode_as_string(b"abc")}
    told = without_audio({"type": "conversation.item.create", "item": {"content": [part]}})
    assert told["item"] == {
        "content": [{"type": "input_audio", "audio": {"bytes": 3, "ms": 3 / 48}}]
    }


async def test_tokens_and_headers_of_tool_servers_are_not_written(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "c_1.jsonl", ManualClock())
    tool = {
        "type": "mcp",
        "server_label": "crm",
        "authorization": "hush-token",
        "headers": {"X-Key": "hush-key"},
    }
    tap = log.tap()
    for kind in ("session.update", "session.updated"):
        tap("sent", event(kind, session={"tools": [tool], "tracing": {"headers": "kept"}}), None)
    await asyncio.to_thread(log.close)
    text = (tmp_path / "c_1.jsonl").read_text()
    assert "hush" not in text
    for line in map(json.loads, text.splitlines()):
        (written,) = line["raw"]["session"]["tools"]
        assert written == {**tool, "authorization": "(secret)", "headers": {"X-Key": "(secret)"}}
        assert line["raw"]["session"]["tracing"] == {"headers": "kept"}


async def test_picture_is_told_by_its_digest_and_size_alone(tmp_path: Path) -> None:
    log, data = WireLog(tmp_path / "c_1.jsonl", ManualClock()), png(64, 48)
    text = pybase64.b64encode_as_string(data)
    url = f"data:image/png;base64,{text}"
    part = {"type": "input_image", "image_url": url, "detail": "auto"}
    other = {"type": "input_image", "image_url": "data:image/png;base64,%%%secret"}
    message = {"type": "message", "role": "user", "content": [part, other]}
    shown = CreateItem(Message(Role.USER, (ContentPart(PartKind.INPUT_IMAGE, image_url=url),)))
    tap = log.tap()
    tap("sent", event("conversation.item.create", item=message), shown)
    tap("received", event("conversation.item.added", item=message), None)
    await asyncio.to_thread(log.close)
    written = (tmp_path / "c_1.jsonl").read_text()
    assert text[:30] not in written
    assert "secret" not in written
    for line in map(json.loads, written.splitlines()):
        first, second = line["raw"]["item"]["content"]
        assert first == {**part, "image_url": {"sha256": digest(data), "bytes": len(data)}}
        assert second["image_url"]["bytes"] == len(str(other["image_url"]))
