"""An open session: order, counting, backpressure, and how it ends."""

import asyncio
import json

import pytest
from websockets.asyncio.server import ServerConnection

from bridge.clock import ManualClock
from bridge.config.settings import SessionSettings
from bridge.errors import UpstreamError
from bridge.realtime.commands import (
    AppendAudio,
    CancelResponse,
    ClearOutput,
    CommitInput,
    DeleteItem,
)
from bridge.realtime.events import AudioDelta, ServerEvent, SpeechStarted, UnknownEvent
from bridge.realtime.ga import GaDialect
from bridge.realtime.ids import ItemId
from bridge.realtime.session_config import AudioFormat, SessionConfig
from bridge.session.realtime import Endpoint, RealtimeSession
from tests.session.peer import (
    QUICK,
    SOON_S,
    Heard,
    accept,
    event,
    make_session,
    receive,
    serving,
    session_event,
)

CONFIG = SessionConfig()
AUDIO_20MS = bytes(960)


def delta(base64: str) -> str:
    return event(
        "response.output_audio.delta",
        response_id="resp_1",
        item_id="item_1",
        output_index=0,
        content_index=0,
        delta=base64,
    )


async def test_commands_arrive_in_order_and_audio_is_timestamped() -> None:
    got: list[str] = []

    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        got.extend([(await receive(peer))["event_id"] for _ in range(4)])
        await peer.wait_closed()

    heard = Heard()
    clock = ManualClock(now_ns=5_000)
    async with serving(script) as url:
        session = make_session(url, heard, clock=clock)
        await session.open(CONFIG)
        sent = [
            session.send(AppendAudio(AUDIO_20MS)),
            session.send(CommitInput()),
            session.send(AppendAudio(AUDIO_20MS)),
            session.send(CancelResponse()),
        ]
        await heard.until(lambda: len(heard.audio_sent) == 2)
        await session.aclose()
    assert got == sent == ["cmd_2", "cmd_3", "cmd_4", "cmd_5"]
    assert heard.audio_sent == [(1, 5_000), (2, 5_000)]
    assert session.stats.frames_sent == 5
    assert session.stats.audio_dropped == 0


async def test_events_come_in_order_with_their_arrival() -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        for number in range(100):
            await peer.send(
                event(
                    "input_audio_buffer.speech_started", item_id=f"i{number}", audio_start_ms=number
                )
            )
        await peer.wait_closed()

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard, clock=ManualClock(now_ns=7_000))
        await session.open(CONFIG)
        await heard.until(lambda: len(heard.events) == 102)
        await session.aclose()
    starts = [event for event, _ in heard.events if isinstance(event, SpeechStarted)]
    assert [event.audio_start_ms for event in starts] == list(range(100))
    assert {received_ns for _, received_ns in heard.events} == {7_000}
    assert session.stats.frames_received == 102


async def test_unknown_events_and_nonsense_are_counted_and_the_session_goes_on() -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        await peer.send(event("response.hologram.delta", delta="x"))
        await peer.send(b"\xff\xfe")
        await peer.send(event("input_audio_buffer.speech_started", audio_start_ms="soon"))
        await peer.send(delta("AQID"))  # one and a half samples
        await peer.send(delta("AQIDBA=="))
        await peer.wait_closed()

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard)
        await session.open(CONFIG)
        await heard.until(lambda: heard.kinds().count("AudioDelta") == 2)
        await session.aclose()
    assert heard.kinds()[2:] == ["UnknownEvent", "AudioDelta", "AudioDelta"]
    assert isinstance(heard.events[2][0], UnknownEvent)
    assert session.stats.unknown_events == 1
    whole = [each.audio for each, _ in heard.events if isinstance(each, AudioDelta)]
    assert whole == [b"\1\2", b"\3\1\2\3"]  # no sample is cut in two
    assert session.stats.protocol_errors == 2
    assert [error.event_type for error in heard.protocol_errors] == [
        None,
        "input_audio_buffer.speech_started",
    ]
    assert heard.closed == [None]


async def test_g711_output_may_have_odd_length() -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        await peer.send(delta("AQID"))
        await peer.wait_closed()

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard)
        await session.open(SessionConfig(output_format=AudioFormat.PCMU))
        await heard.until(lambda: "AudioDelta" in heard.kinds())
        await session.aclose()
    assert isinstance(heard.events[-1][0], AudioDelta)


@pytest.mark.parametrize(
    ("close_code", "reason", "code", "retryable"),
    [
        (1001, "going away", "closed", True),
        (4000, "", "closed", True),
        (4000, "session_expired", "session_expired", True),
        (
            4000,
            "invalid_request_error.beta_api_shape_disabled",
            "beta_api_shape_disabled",
            False,
        ),
    ],
)
async def test_close_by_the_peer_is_reported_once(
    close_code: int, reason: str, code: str, retryable: bool
) -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        await peer.close(close_code, reason)

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard)
        await session.open(CONFIG)
        await heard.until(lambda: bool(heard.closed))
        with pytest.raises(UpstreamError) as caught:
            session.send(AppendAudio(AUDIO_20MS))
        await session.aclose()
    assert caught.value.code == "not_open"
    (error,) = heard.closed
    assert error is not None
    assert (error.code, error.close_code, error.retryable) == (code, close_code, retryable)
    assert session.closure is not None
    assert session.closure.reason == reason


async def test_close_right_behind_session_updated_is_not_lost() -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.send(session_event("session.created"))
        await receive(peer)
        peer.protocol.send_text(session_event("session.updated").encode())
        peer.protocol.send_close(1001, "")
        peer.send_data()  # both in one write
        await peer.wait_closed()

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard)
        await session.open(CONFIG)
        await heard.until(lambda: bool(heard.closed))
        await session.aclose()
    (error,) = heard.closed
    assert error is not None
    assert error.close_code == 1001


async def test_drop_without_close_frame_is_1006() -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        peer.transport.abort()

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard)
        await session.open(CONFIG)
        await heard.until(lambda: bool(heard.closed))
        await session.aclose()
    (error,) = heard.closed
    assert error is not None
    assert (error.code, error.close_code, error.retryable) == ("closed", 1006, True)


async def test_frame_over_the_limit_ends_the_session_with_1009() -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        await peer.send(delta("A" * 80_000))
        await peer.wait_closed()

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard, SessionSettings(max_frame_bytes=64 * 1024))
        await session.open(CONFIG)
        await heard.until(lambda: bool(heard.closed))
        await session.aclose()
    (error,) = heard.closed
    assert error is not None
    assert error.close_code == 1009


async def test_ping_measures_the_round_trip() -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        await (await peer.ping())
        await peer.send(event("input_audio_buffer.cleared"))
        await peer.wait_closed()

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard)
        assert session.round_trip_ms is None
        await session.open(CONFIG)
        await heard.until(lambda: "InputCleared" in heard.kinds())
        assert session.round_trip_ms is not None
        assert 0 <= session.round_trip_ms < 1000  # uvloop counts whole ms
        await session.aclose()


async def fill(session: RealtimeSession, frames: int, audio: bytes) -> None:
    """Send while the loop turns, until the queue is full."""
    async with asyncio.timeout(SOON_S):
        while session.queued < frames:
            session.send(AppendAudio(audio))
            await asyncio.sleep(0)


async def test_peer_that_stops_reading_costs_audio_then_control() -> None:
    release = asyncio.Event()

    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        peer.transport.pause_reading()
        await release.wait()
        peer.transport.abort()

    heard = Heard()
    settings = SessionSettings(write_queue_events=10, close_timeout_s=0.2)
    async with serving(script) as url:
        session = make_session(url, heard, settings)
        await session.open(CONFIG)
        await fill(session, 10, bytes(200_000))
        assert session.stats.audio_dropped == 0
        session.send(AppendAudio(AUDIO_20MS))
        assert session.queued == 10
        assert session.stats.audio_dropped == 1
        with pytest.raises(UpstreamError) as caught:
            session.send(CancelResponse())
        assert (caught.value.code, caught.value.retryable) == ("stuck", True)
        await session.aclose()  # bounded: nobody answers the close
        assert session.closure is not None
        release.set()
    assert heard.closed == [None]
    assert session.stats.audio_dropped == 11


async def test_peer_that_stops_reading_is_given_up_after_the_ping_timeout() -> None:
    release = asyncio.Event()

    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        peer.transport.pause_reading()
        await release.wait()
        peer.transport.abort()

    heard = Heard()
    settings = SessionSettings(write_queue_events=10, ping_timeout_s=0.2)
    async with serving(script) as url:
        session = make_session(url, heard, settings)
        await session.open(CONFIG)
        await fill(session, 10, bytes(200_000))
        await heard.until(lambda: bool(heard.closed))
        release.set()
        await session.aclose()
    (error,) = heard.closed
    assert error is not None
    assert error.code == "stalled"


async def test_aclose_flushes_control_and_drops_audio() -> None:
    got: list[str] = []

    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        async for frame in peer:
            got.append(json.loads(frame)["type"])

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard)
        await session.open(CONFIG)
        for _ in range(3):  # a control frame first: audio behind it has to queue
            session.send(DeleteItem(ItemId("item_1")))
            session.send(AppendAudio(AUDIO_20MS))
        await session.aclose()
        await asyncio.gather(session.aclose(), session.aclose())
    assert got == ["conversation.item.delete"] * 3
    assert session.stats.audio_dropped == 3
    assert heard.closed == [None]
    assert heard.audio_sent == []


async def test_audio_with_nothing_before_it_goes_out_at_once_and_overtakes_nothing() -> None:
    got: list[str] = []
    done = asyncio.Event()

    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        async for frame in peer:
            said = json.loads(frame)
            got.append(said.get("item_id", said["type"]))
            if len(got) == 5:
                done.set()

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard)
        await session.open(CONFIG)
        session.send(AppendAudio(AUDIO_20MS))
        assert (session.queued, len(heard.audio_sent)) == (0, 1)
        session.send(DeleteItem(ItemId("item_1")))
        session.send(AppendAudio(AUDIO_20MS))
        session.send(DeleteItem(ItemId("item_2")))
        session.send(AppendAudio(AUDIO_20MS))
        assert (session.queued, len(heard.audio_sent)) == (4, 1)
        await asyncio.wait_for(done.wait(), SOON_S)
        await session.aclose()
    append = "input_audio_buffer.append"
    assert got == [append, "item_1", append, "item_2", append]
    assert [sequence for sequence, _ in heard.audio_sent] == [1, 2, 3]
    assert session.stats.frames_sent == 6


async def test_events_after_aclose_are_not_told() -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        async for _ in peer:
            for _ in range(50):
                await peer.send(event("input_audio_buffer.cleared"))

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard)
        await session.open(CONFIG)
        session.send(CommitInput())
        await session.aclose()
    assert heard.kinds() == ["SessionCreated", "SessionUpdated"]


async def test_aclose_cancelled_still_ends_everything() -> None:
    release = asyncio.Event()

    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        peer.transport.pause_reading()  # the close is never answered
        await release.wait()
        peer.transport.abort()

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard, SessionSettings(close_timeout_s=30))
        await session.open(CONFIG)
        closing = asyncio.create_task(session.aclose())
        await asyncio.sleep(0)  # its first step: it waits for the peer now
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert heard.closed == [None]
        assert session.closure is not None  # gone before the peer let go
        release.set()


async def test_callback_that_raises_ends_the_session_with_an_outcome() -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        await peer.send(event("input_audio_buffer.cleared"))
        await peer.wait_closed()

    heard = Heard()

    def on_event(event: ServerEvent, received_ns: int) -> None:
        heard.on_event(event, received_ns)
        if len(heard.events) == 3:
            raise KeyError("our bug")

    async with serving(script) as url:
        session = RealtimeSession(
            Endpoint(url, "m"),
            GaDialect(),
            QUICK,
            clock=ManualClock(),
            on_event=on_event,
            on_closed=heard.on_closed,
        )
        await session.open(CONFIG)
        await heard.until(lambda: bool(heard.closed))
        await session.aclose()
    (error,) = heard.closed
    assert error is not None
    assert error.code == "internal"
    assert isinstance(error.__cause__, KeyError)


async def test_send_what_the_dialect_cannot_say_uses_no_event_id() -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        await peer.wait_closed()

    async with serving(script) as url:
        session = make_session(url, Heard())
        await session.open(CONFIG)
        with pytest.raises(ValueError, match="WebRTC"):
            session.send(ClearOutput())
        assert session.send(CommitInput()) == "cmd_2"
        await session.aclose()


async def test_a_burst_leaves_turns_to_others() -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        await receive(peer)
        # One write, so that the frames arrive in one read.
        for _ in range(200):
            peer.protocol.send_text(event("input_audio_buffer.cleared").encode())
        peer.send_data()
        await peer.wait_closed()

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard)
        await session.open(CONFIG)
        session.send(CommitInput())
        most = 0
        async with asyncio.timeout(SOON_S):
            while len(heard.events) < 202:
                before = len(heard.events)
                await asyncio.sleep(0)
                most = max(most, len(heard.events) - before)
        await session.aclose()
    assert most <= 8
