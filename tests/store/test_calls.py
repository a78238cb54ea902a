"""Call state in a real Redis: what readers see of what a call runner wrote."""

import asyncio

import pytest

from bridge.clock import ManualClock
from bridge.config.settings import RedisSettings
from bridge.errors import ConfigError, InfrastructureError
from bridge.store.calls import CallStore
from bridge.store.local import LocalRedis
from bridge.store.reader import CallReader
from tests.store.conftest import SETTINGS, OpenStore, Raw
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis


async def written(store: CallStore) -> None:
    await wait_until(lambda: store.stats.pending == 0, message="the buffer is not empty")


async def test_begin_shows_an_active_call(store: CallStore, reader: CallReader) -> None:
    store.begin("c1", {"dialplan": "support", "from": "+1555", "phase": "idle"})
    assert await reader.wait_for_call(timeout_s=2) == "c1"
    call = await reader.call("c1")
    assert call is not None
    assert call.items() >= {"call_id": "c1", "node": "node-a", "dialplan": "support"}.items()
    assert call["started_at"] == call["updated_at"]
    assert await reader.call("c2") is None


async def test_active_calls_are_ordered_by_start(store: CallStore, reader: CallReader) -> None:
    store.begin("late", {"started_at": 2_000})
    store.begin("early", {"started_at": 1_000})
    await written(store)
    assert await reader.active() == ["early", "late"]


async def test_end_closes_the_call_and_lets_both_keys_expire(
    store: CallStore, reader: CallReader, redis: Raw
) -> None:
    store.begin("c1", {})
    store.event("c1", "answered")
    await written(store)
    assert await redis("TTL", "bridge:call:c1") == -1
    store.end("c1", {"outcome": "completed", "fault": "none"})
    await written(store)
    call = await reader.call("c1")
    assert call is not None
    assert (call["phase"], call["outcome"]) == ("ended", "completed")
    assert await reader.active() == []
    for key in ("bridge:call:c1", "bridge:call:c1:events"):
        ttl = await redis("TTL", key)
        assert isinstance(ttl, int)
        assert SETTINGS.expire_after_end_s - 10 < ttl <= SETTINGS.expire_after_end_s


async def test_call_that_begins_and_ends_between_two_flushes_is_whole(
    store: CallStore, reader: CallReader, redis: Raw
) -> None:
    store.begin("c1", {"arm": "local"})
    store.event("c1", "rejected", {"sip_code": 503})
    store.end("c1", {"outcome": "session_unavailable"})
    await written(store)
    call = await reader.call("c1")
    assert call is not None
    assert call.items() >= {"arm": "local", "outcome": "session_unavailable"}.items()
    assert await reader.active() == []
    assert await redis("TTL", "bridge:call:c1:events") != -1


async def test_alert_is_read_by_supervisors_with_its_place_and_time(
    store: CallStore, reader: CallReader
) -> None:
    store.begin("c1", {})
    store.alert("c1", "emergency_heard", {"route": "support", "text": "help"})
    await written(store)
    [(alert_id, alert)] = await reader.alerts()
    assert alert.items() >= {"kind": "emergency_heard", "call_id": "c1", "node": "node-a"}.items()
    assert (alert["route"], alert["text"]) == ("support", "help")
    assert int(alert["at_ms"]) > 0
    assert await reader.alerts(alert_id) == []
    assert await reader.events("c1") == []


async def test_updates_between_two_flushes_are_one_command(
    store: CallStore, reader: CallReader, redis: Raw
) -> None:
    store.begin("c1", {})
    for i in range(1000):
        store.update("c1", {"played_ms": i, "last_user_audio_seq": i})
    await written(store)
    call = await reader.call("c1")
    assert call is not None
    assert (call["played_ms"], call["last_user_audio_seq"]) == ("999", "999")
    assert await redis.calls_of("evalsha") == 1


async def test_late_sequence_number_does_not_go_back_in_the_buffer(
    store: CallStore, reader: CallReader
) -> None:
    store.begin("c1", {"last_user_audio_seq": 10})
    store.update("c1", {"last_user_audio_seq": 9, "last_agent_audio_seq": 3})
    await written(store)
    call = await reader.call("c1")
    assert call is not None
    assert (call["last_user_audio_seq"], call["last_agent_audio_seq"]) == ("10", "3")


async def test_late_sequence_number_does_not_go_back_in_redis(
    store: CallStore, make_store: OpenStore, reader: CallReader
) -> None:
    """The numbers are compared as numbers: as text, 9 is greater than 10."""
    slow = make_store("node-a")
    slow.begin("c1", {"last_user_audio_seq": 9, "last_agent_audio_seq": 2, "played_ms": 40})
    store.begin("c1", {"last_user_audio_seq": 10, "last_agent_audio_seq": 1, "played_ms": 60})
    await written(store)
    newest = await reader.call("c1")
    await slow.open()
    await written(slow)
    call = await reader.call("c1")
    assert call is not None
    assert newest is not None
    assert (call["last_user_audio_seq"], call["last_agent_audio_seq"]) == ("10", "2")
    assert call["played_ms"] == "40", "fields that may go back are the last writer's"
    assert int(call["updated_at"]) >= int(newest["updated_at"])


async def test_late_update_does_not_reopen_an_ended_call(
    store: CallStore, make_store: OpenStore, reader: CallReader
) -> None:
    other = make_store("node-b")
    await other.open()
    other.begin("c1", {"node": "node-a"})
    await written(other)
    store.begin("c1", {})
    store.end("c1", {"outcome": "completed", "ended_at": 5})
    store.update("c1", {"phase": "speaking", "played_ms": 7})
    await written(store)
    store.update("c1", {"phase": "speaking"})
    other.update("c1", {"phase": "listening", "outcome": "", "last_user_audio_seq": 4})
    await written(other)
    other.end("c1", {"outcome": "internal_error"})
    await written(other)
    call = await reader.call("c1")
    assert call is not None
    assert [call[name] for name in ("phase", "ended_at", "outcome")] == ["ended", "5", "completed"]
    assert (call["played_ms"], call["last_user_audio_seq"]) == ("7", "4")
    assert await reader.active() == []
    assert store.stats.late == 2


async def test_events_are_in_order(store: CallStore, reader: CallReader) -> None:
    store.begin("c1", {})
    store.event("c1", "turn", {"speaker": "caller", "text": "it is I"})
    store.event("c1", "turn", {"speaker": "agent", "text": "thanks", "latency_ms": None})
    await written(store)
    (first, caller), (second, agent) = await reader.events("c1")
    assert caller == {"kind": "turn", "speaker": "caller", "text": "it is I"}
    assert agent == {"kind": "turn", "speaker": "agent", "text": "thanks"}
    assert await reader.events("c1", after=first) == [(second, agent)]
    assert await reader.events("c1", after=second) == []


async def test_reader_waits_for_the_next_event(store: CallStore, reader: CallReader) -> None:
    store.begin("c1", {})
    waiting = asyncio.create_task(reader.events("c1", block_ms=5000))
    store.event("c1", "answered")
    async with asyncio.timeout(2):
        events = await waiting
    assert [fields["kind"] for _, fields in events] == ["answered"]


async def test_event_stream_is_capped(make_store: OpenStore, redis: Raw) -> None:
    store = make_store(settings=RedisSettings(flush_ms=10, events_kept=10))
    await store.open()
    store.begin("c1", {})
    for i in range(1000):
        store.event("c1", "turn", {"n": i})
    await written(store)
    kept = await redis("XLEN", "bridge:call:c1:events")
    assert isinstance(kept, int)
    # "~" lets Redis keep up to one node of 100 entries more (stream-node-max-entries).
    assert 10 <= kept <= 110


async def test_events_keep_their_order_when_the_wall_clock_steps_back(
    server: LocalRedis, reader: CallReader
) -> None:
    clock = ManualClock()
    store = CallStore(SETTINGS, server.url, "node-a", clock=clock)
    await store.open()
    store.begin("c1", {})
    store.event("c1", "first")
    clock._wall_ns -= 60_000_000_000
    store.event("c1", "second")
    await store.aclose()
    assert [fields["kind"] for _, fields in await reader.events("c1")] == ["first", "second"]


async def test_unknown_field_is_left_out_and_counted(store: CallStore, reader: CallReader) -> None:
    store.begin("c1", {"colour": "green", "arm": "local"})
    await written(store)
    call = await reader.call("c1")
    assert call is not None
    assert "colour" not in call
    assert store.stats.rejected == 1


async def test_key_that_holds_something_else_blocks_no_other_call(
    store: CallStore, reader: CallReader, redis: Raw
) -> None:
    await redis("SET", "bridge:call:c1", "not a hash")
    await redis("SET", "bridge:call:c1:events", "not a stream")
    store.begin("c1", {})
    store.event("c1", "answered")
    store.begin("c2", {})
    await written(store)
    assert await reader.call("c2") is not None
    assert store.stats.rejected == 2
    assert store.stats.connected


async def test_script_that_redis_forgot_is_loaded_again(
    store: CallStore, reader: CallReader, redis: Raw
) -> None:
    await redis("SCRIPT", "FLUSH")
    store.begin("c1", {})
    store.event("c1", "answered")
    await written(store)
    assert await reader.active() == ["c1"]
    assert len(await reader.events("c1")) == 1


async def test_aclose_writes_what_is_buffered(make_store: OpenStore, reader: CallReader) -> None:
    store = make_store(settings=RedisSettings(flush_ms=5000))
    await store.open()
    store.begin("c1", {})
    store.end("c1", {"outcome": "shutdown"})
    await store.aclose()
    call = await reader.call("c1")
    assert call is not None
    assert call["outcome"] == "shutdown"
    assert await reader.node("node-a") is None


async def test_open_without_redis_names_the_place_and_no_password() -> None:
    store = CallStore(SETTINGS, "redis://user:hunter2@127.0.0.1:1/0", "n", clock=ManualClock())
    with pytest.raises(InfrastructureError) as caught:
        await store.open()
    text = str(caught.value)
    assert text.startswith("Redis at 127.0.0.1:1 can't be reached (connection refused); ")
    assert "BRIDGE_REDIS_URL" in text
    assert "hunter" not in text
    await store.aclose()


async def test_open_gives_up_on_a_silent_server_in_time() -> None:
    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    done = asyncio.Event()
    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    host, port = silent.sockets[0].getsockname()
    settings = RedisSettings(connect_timeout_s=0.1)
    store = CallStore(settings, f"redis://{host}:{port}", "n", clock=ManualClock())
    with pytest.raises(InfrastructureError, match=rf"{host}:{port} did not answer within 0.1 s"):
        await store.open()
    done.set()
    silent.close()
    await silent.wait_closed()


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@localhost",
        "redis://:hunter2@localhost:port",
        "hunter2",
        "",
        "redis://h?x=hunter2",
    ],
)
def test_url_that_cannot_be_read_is_bad_input(url: str) -> None:
    with pytest.raises(ConfigError, match="BRIDGE_REDIS_URL") as caught:
        CallStore(SETTINGS, url, "n", clock=ManualClock())
    assert "hunter2" not in str(caught.value)
