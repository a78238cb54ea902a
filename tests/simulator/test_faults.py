"""Faults on demand: each kind, at its moment, as often as asked, in both dialects."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from pydantic import TypeAdapter
from websockets.exceptions import ConnectionClosedError, InvalidHandshake, InvalidStatus

from bridge.clock import NS_PER_MS
from bridge.simulator.faults import FaultSpec
from bridge.simulator.server import SimulatorServer
from tests.realtime.official import DialectName
from tests.simulator.client import TIMEOUT_S, Client, connected, spoken
from tests.simulator.conftest import paced
from tests.simulator.plain_http import Answer, http_url, request
from tests.support.machine import Timing

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

SECRET = "open sesame"
DIALECTS: tuple[DialectName, ...] = ("beta", "ga")
LOOKUP = {"type": "function", "name": "lookup_invoice", "parameters": {"type": "object"}}
both = pytest.mark.parametrize("dialect", DIALECTS)


@dataclass(frozen=True)
class Faulty:
    """A server with an admin endpoint."""

    url: str

    async def admin(
        self, method: str, body: object = None, secret: str = SECRET, what: str = "faults"
    ) -> Answer:
        where = http_url(self.url, f"/admin/{what}")
        headers = {"X-Simulator-Admin": secret}
        return await request(where, body, method=method, headers=headers, key=None)

    async def set(self, **fault: object) -> None:
        answer = await self.admin("POST", fault)
        assert answer.status == 201, answer.body

    async def struck(self) -> list[int]:
        answer = await self.admin("GET")
        return [fault["struck"] for fault in answer.body["faults"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Faulty]:
    server = SimulatorServer(paced(), admin_secret=SECRET)
    yield Faulty(await server.start())
    await server.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def faulty(server: Faulty) -> AsyncIterator[Faulty]:
    yield server
    await server.admin("DELETE")


def audio(dialect: DialectName, end: str) -> str:
    return f"response.audio.{end}" if dialect == "beta" else f"response.output_audio.{end}"


async def reset(client: Client) -> None:
    """Read until the TCP connection is reset."""

    async def read() -> None:
        while True:
            client.take(await client.socket.recv())

    with pytest.raises(ConnectionClosedError) as closed:
        await asyncio.wait_for(read(), TIMEOUT_S)
    assert closed.value.rcvd is None
    assert isinstance(closed.value.__cause__, ConnectionResetError)


async def respond(client: Client) -> dict[str, Any]:
    await client.send("response.create")
    return await client.until("response.done")


async def call_a_tool(client: Client) -> None:
    """Have the agent call one."""
    await client.update(tools=[LOOKUP])
    content = [{"type": "input_text", "text": "How much is my invoice?"}]
    item = {"type": "message", "role": "user", "content": content}
    await client.send("conversation.item.create", item=item)
    await respond(client)


# At the door.


async def test_drop_at_connect_gives_no_handshake(faulty: Faulty) -> None:
    await faulty.set(at="connect", kind="drop")
    with pytest.raises((InvalidHandshake, OSError, EOFError)):
        async with connected(faulty.url):
            pass
    async with connected(faulty.url) as client:
        await client.until("session.created")


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_upgrade_is_refused(faulty: Faulty, status: int) -> None:
    await faulty.set(at="connect", kind="refuse", status=status, retry_after_s=7)
    with pytest.raises(InvalidStatus) as refused:
        async with connected(faulty.url):
            pass
    response = refused.value.response
    assert response.status_code == status
    assert response.headers["Retry-After"] == "7"
    assert "error" in json.loads(response.body)


async def test_nth_and_times_count_connections_from_now_on(faulty: Faulty) -> None:
    async with connected(faulty.url) as client:
        await client.until("session.created")
    await faulty.set(at="connect", kind="refuse", status=503, nth=2, times=2)
    outcomes = []
    for _ in range(4):
        try:
            async with connected(faulty.url) as client:
                await client.until("session.created")
                outcomes.append("in")
        except InvalidStatus:
            outcomes.append("out")
    assert outcomes == ["in", "out", "out", "in"]
    assert await faulty.struck() == [2]


async def test_slow_handshake(faulty: Faulty) -> None:
    await faulty.set(at="connect", kind="stall", ms=1500)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), connected(faulty.url):
            pass


@pytest.mark.parametrize("path", ["client_secrets", "sessions"])
async def test_token_is_refused_then_slow_then_given(faulty: Faulty, path: str) -> None:
    where = http_url(faulty.url, f"/v1/realtime/{path}")
    await faulty.set(at="token", kind="refuse", status=500)
    await faulty.set(at="token", kind="refuse", status=429, retry_after_s=2, nth=2)
    await faulty.set(at="token", kind="stall", ms=150, nth=3)
    failed, limited = await request(where), await request(where)
    assert (failed.status, failed.body["error"]["type"]) == (500, "server_error")
    assert (limited.status, limited.headers["Retry-After"]) == (429, "2")
    begun = asyncio.get_running_loop().time()
    assert (await request(where)).status == 200
    assert asyncio.get_running_loop().time() - begun >= 0.15


# On the stream.


@both
@pytest.mark.parametrize("moment", ["turn", "audio", "done"])
async def test_drop_in_a_turn(faulty: Faulty, dialect: DialectName, moment: str) -> None:
    await faulty.set(at=moment, kind="drop", nth=2 if moment == "audio" else 1)
    async with connected(faulty.url, dialect=dialect) as client:
        await client.send("response.create")
        await reset(client)
        kinds = [event["type"] for event in client.events]
        assert ("response.created" in kinds) == (moment != "turn")
        assert "response.done" not in kinds
        if moment == "audio":
            assert kinds.count(audio(dialect, "delta")) == 1


async def test_quiet_drop_has_no_close_frame(faulty: Faulty) -> None:
    await faulty.set(at="turn", kind="drop", abruptly=False)
    async with connected(faulty.url) as client:
        await client.send("response.create")
        code, _ = await client.closed()
        assert code == 1006


@both
@pytest.mark.parametrize("code", [1001, 1011, 1012, 4000])
async def test_close_code(faulty: Faulty, dialect: DialectName, code: int) -> None:
    await faulty.set(at="turn", kind="close", code=code, reason="as told")
    async with connected(faulty.url, dialect=dialect) as client:
        await client.send("response.create")
        assert await client.closed() == (code, "as told")


async def test_close_right_after_the_handshake(faulty: Faulty) -> None:
    await faulty.set(at="connect", kind="error", code="session_expired")
    await faulty.set(at="connect", kind="close", code=1001)
    async with connected(faulty.url) as client:
        assert await client.closed() == (1001, "")
        (event,) = client.events
        assert event["error"]["code"] == "session_expired"


@both
async def test_stall_holds_back_each_event_that_it_strikes(
    faulty: Faulty, dialect: DialectName, timing: Timing
) -> None:
    await faulty.set(at="audio", kind="stall", ms=300, times=4)
    async with connected(faulty.url, dialect=dialect) as client:
        await client.until("session.created")
        begun_ns = time.monotonic_ns()
        await respond(client)
        took_ms = (time.monotonic_ns() - begun_ns) / NS_PER_MS
    assert await faulty.struck() == [4]
    # A busy machine only makes it longer.
    timing.check("a response of four stalls", took_ms, least_ms=4 * 300)


@both
async def test_duplicate_is_the_same_event_again(faulty: Faulty, dialect: DialectName) -> None:
    await faulty.set(at="tool", kind="duplicate")
    async with connected(faulty.url, dialect=dialect) as client:
        await call_a_tool(client)
        one, other = client.of_type("response.function_call_arguments.done")
        assert one == other


@both
async def test_reorder_changes_places_with_the_next(faulty: Faulty, dialect: DialectName) -> None:
    await faulty.set(at="tool", kind="reorder")
    async with connected(faulty.url, dialect=dialect) as client:
        await call_a_tool(client)
        order = [event["type"] for event in client.events]
        done = order.index("response.function_call_arguments.done")
        item_done = "response.output_item.done" if dialect == "beta" else "conversation.item.done"
        assert order[done - 2 : done] == ["response.function_call_arguments.delta", item_done]


@both
async def test_late_done_is_overtaken(faulty: Faulty, dialect: DialectName) -> None:
    await faulty.set(at="done", kind="delay", ms=300)
    async with connected(faulty.url, dialect=dialect) as client:
        await client.send("response.create")
        await client.until("response.output_item.done")
        # The server is ready for the next response before the client has heard so.
        await client.send("conversation.item.retrieve", item_id="nothing")
        await client.error()
        assert not client.of_type("response.done")
        await client.until("response.done")


@both
async def test_lost_event_never_comes(faulty: Faulty, dialect: DialectName) -> None:
    await faulty.set(at="done", kind="lose")
    async with connected(faulty.url, dialect=dialect) as client:
        await client.send("response.create")
        await client.until("response.output_item.done")
        await respond(client)
        assert len(client.of_type("response.created")) == 2
        assert len(client.of_type("response.done")) == 1


@both
async def test_unknown_event(faulty: Faulty, dialect: DialectName) -> None:
    await faulty.set(at="turn", kind="unknown", type="response.sung")
    async with connected(faulty.url, dialect=dialect, judged=False) as client:
        await respond(client)
        kinds = [event["type"] for event in client.events]
        assert kinds[kinds.index("response.created") - 1] == "response.sung"


@both
async def test_event_without_a_field(faulty: Faulty, dialect: DialectName) -> None:
    await faulty.set(at="audio", kind="malformed", lacks="delta")
    async with connected(faulty.url, dialect=dialect, judged=False) as client:
        await respond(client)
        first, second = client.of_type(audio(dialect, "delta"))[:2]
        assert "delta" not in first
        assert "delta" in second


@both
async def test_text_that_is_no_json(faulty: Faulty, dialect: DialectName) -> None:
    await faulty.set(at="turn", kind="malformed")
    async with connected(faulty.url, dialect=dialect) as client:
        await client.until("session.created")
        await client.send("response.create")
        with pytest.raises(json.JSONDecodeError):
            json.loads(await client.socket.recv())
        await client.until("response.done")


@both
async def test_error_event_of_any_code(faulty: Faulty, dialect: DialectName) -> None:
    await faulty.set(at="turn", kind="error", code="inference_failed", message="No.")
    async with connected(faulty.url, dialect=dialect) as client:
        await client.send("response.create")
        error = await client.error()
        assert (error["type"], error["code"]) == ("server_error", "inference_failed")
        await client.until("response.done")


@both
@pytest.mark.parametrize("code", ["rate_limit_exceeded", "insufficient_quota", "server_error"])
async def test_failed_response(faulty: Faulty, dialect: DialectName, code: str) -> None:
    await faulty.set(at="turn", kind="fail", code=code)
    async with connected(faulty.url, dialect=dialect) as client:
        failed = (await respond(client))["response"]
        assert failed["status"] == "failed"
        assert failed["status_details"]["error"]["code"] == code
        assert failed["output"] == []
        assert not client.of_type("error")
        assert not client.of_type("response.output_item.added")
        assert (await respond(client))["response"]["status"] == "completed"


@both
async def test_response_that_never_ends_can_be_cancelled(
    faulty: Faulty, dialect: DialectName
) -> None:
    await faulty.set(at="turn", kind="hang")
    async with connected(faulty.url, dialect=dialect) as client:
        await client.until("session.created")
        await client.send("response.create")
        await client.until("response.created")
        await client.send("conversation.item.retrieve", item_id="nothing")
        assert (await client.error())["code"] == "item_retrieve_invalid_item_id"
        assert not client.of_type("response.output_item.added")
        await client.send("response.cancel")
        assert (await client.until("response.done"))["response"]["status"] == "cancelled"
        assert (await respond(client))["response"]["status"] == "completed"


@both
async def test_agent_talks_on_after_the_caller_has_begun(dialect: DialectName) -> None:
    overrun = {"at": "speech", "kind": "overrun", "ms": 600, "nth": 2}
    faults = TypeAdapter(list[FaultSpec]).validate_python([overrun])
    server = SimulatorServer(paced(speedup=1).model_copy(update={"faults": tuple(faults)}))
    delta = audio(dialect, "delta")
    async with connected(await server.start(), dialect=dialect) as client:
        await client.send_audio(spoken("What is your return policy?"))
        await client.until(delta)
        await client.send_audio(spoken("Wait a moment, please.", 0))
        await client.until("input_audio_buffer.speech_started")
        begun = len(client.of_type(delta))
        done = await client.until("response.done")
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        # Six deltas in 600 ms, and fewer where the machine is slow; none without the fault.
        assert len(client.of_type(delta)) > begun
    await server.aclose()


async def test_faults_at_one_moment_add_up(faulty: Faulty) -> None:
    await faulty.set(at="turn", kind="duplicate")
    await faulty.set(at="turn", kind="unknown")
    await faulty.set(at="turn", kind="stall", ms=1, nth=2)
    async with connected(faulty.url, judged=False) as client:
        await respond(client)
        kinds = [event["type"] for event in client.events if "item" not in event["type"]]
        strange = "simulator.unheard_of"
        assert kinds[1:5] == [strange, "response.created", strange, "response.created"]
    assert await faulty.struck() == [1, 1, 0]


async def test_nth_counts_within_a_connection(faulty: Faulty) -> None:
    await faulty.set(at="turn", kind="close", nth=2)
    for _ in range(2):
        async with connected(faulty.url) as client:
            await respond(client)
    async with connected(faulty.url) as client:
        await respond(client)
        await client.send("response.create")
        assert (await client.closed())[0] == 1011


# The admin endpoint and the scenario.


async def test_now_strikes_every_open_connection(faulty: Faulty) -> None:
    async with connected(faulty.url) as one, connected(faulty.url, dialect="beta") as other:
        await one.until("session.created")
        await other.until("session.created")
        await faulty.set(at="now", kind="error", code="server_error")
        assert (await one.error())["code"] == (await other.error())["code"] == "server_error"
        await faulty.set(at="now", kind="drop")
        await reset(one)
        await reset(other)
    assert await faulty.struck() == []


async def test_admin_needs_its_secret(faulty: Faulty) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert (await faulty.admin(method, secret="wrong")).status == 401
    server = SimulatorServer(paced())
    url = await server.start()
    with pytest.raises(json.JSONDecodeError):  # a plain 404
        await Faulty(url).admin("GET")
    await server.aclose()


async def test_faults_are_listed_and_cleared(faulty: Faulty) -> None:
    faults = [{"at": "turn", "kind": "lose"}, {"at": "audio", "kind": "stall", "ms": 9}]
    added = await faulty.admin("POST", faults)
    assert [fault["kind"] for fault in added.body["faults"]] == ["lose", "stall"]
    (first, second) = (await faulty.admin("GET")).body["faults"]
    assert first["id"] != second["id"]
    assert (second["nth"], second["times"], second["struck"]) == (1, 1, 0)
    await faulty.admin("DELETE")
    assert await faulty.struck() == []


@pytest.mark.parametrize(
    "fault",
    [
        {"at": "turn", "kind": "refuse"},
        {"at": "token", "kind": "duplicate"},
        {"at": "now", "kind": "lose"},
        {"at": "audio", "kind": "fail"},
        {"at": "lunch", "kind": "drop"},
        {"at": "turn", "kind": "explode"},
        {"at": "turn", "kind": "stall"},
        {"at": "turn", "kind": "close", "code": 999},
        {"at": "turn", "kind": "drop", "nth": 0},
        {"kind": "drop"},
        "drop",
    ],
)
async def test_impossible_fault_is_refused(faulty: Faulty, fault: object) -> None:
    answer = await faulty.admin("POST", fault)
    assert answer.status == 400
    assert answer.body["error"]["code"] == "invalid_value"
    assert await faulty.struck() == []


async def test_scenario_sets_faults_from_the_start() -> None:
    (fault,) = TypeAdapter(list[FaultSpec]).validate_python([{"at": "turn", "kind": "fail"}])
    server = SimulatorServer(paced().model_copy(update={"faults": (fault,)}))
    url = await server.start()
    async with connected(url) as client:
        assert (await respond(client))["response"]["status"] == "failed"
    await server.aclose()


async def test_another_scenario_is_played_with_its_faults_and_no_others(faulty: Faulty) -> None:
    await faulty.set(at="turn", kind="lose")
    fault = {"at": "turn", "kind": "fail", "code": "rate_limit_exceeded", "nth": 2}
    other = paced().model_copy(update={"greeting": "Good evening."})
    document = {**other.model_dump(mode="json"), "faults": [fault]}
    try:
        async with connected(faulty.url) as before:
            answer = await faulty.admin("PUT", document, what="scenario")
            assert answer.status == 200, answer.body
            assert (await respond(before))["response"]["status"] == "completed"
        async with connected(faulty.url) as after:
            done = await respond(after)
            assert done["response"]["output"][0]["content"][0]["transcript"] == "Good evening."
            assert (await respond(after))["response"]["status"] == "failed"
        assert await faulty.struck() == [1]
    finally:
        await faulty.admin("PUT", paced().model_dump(mode="json"), what="scenario")


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"rules": []}, "rules is empty"), ({"voice": "xx-none"}, "no voice 'xx-none'")],
)
async def test_a_scenario_that_cannot_be_played_changes_nothing(
    faulty: Faulty, changes: dict[str, object], told: str
) -> None:
    await faulty.set(at="done", kind="lose", nth=9)
    document = {**paced().model_dump(mode="json"), **changes}
    answer = await faulty.admin("PUT", document, what="scenario")
    assert answer.status == 400
    assert told in answer.body["error"]["message"]
    assert await faulty.struck() == [0]
