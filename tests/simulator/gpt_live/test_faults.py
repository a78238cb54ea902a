"""Faults that the simulated GPT-Live strikes with, each as a client sees it."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from bridge.simulator.faults import FaultSpec
from bridge.simulator.server import SimulatorServer
from tests.simulator.client import Event, spoken
from tests.simulator.conftest import paced
from tests.simulator.gpt_live.live_client import AUDIO, BACKEND, LiveClient, live, says

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

SPECS: TypeAdapter[tuple[FaultSpec, ...]] = TypeAdapter(tuple[FaultSpec, ...])


@asynccontextmanager
async def struck(
    *faults: dict[str, Any], judged: bool = True, **session: object
) -> AsyncIterator[LiveClient]:
    """Begin a session with a server that has these faults."""
    scenario = paced().model_copy(update={"faults": SPECS.validate_python(faults)})
    server = SimulatorServer(scenario)
    try:
        async with live(await server.start(), judged=judged) as client:
            await client.begin(**session)
            yield client
    finally:
        await server.aclose()


def sounds(event: Event) -> bool:
    if event["type"] != AUDIO:
        return False
    return bool(np.frombuffer(base64.b64decode(event["delta"]), "<i2").any())


async def ask(client: LiveClient, sentence: str = "Where is my order?") -> None:
    await client.send_audio(spoken(sentence))


async def silence_until(client: LiveClient, done: Callable[[], bool]) -> None:
    """Keep the microphone open until something is so."""
    while not done():
        await client.be_silent(100)
        await client.until(AUDIO)


async def test_refused_at_the_handshake() -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with struck({"at": "connect", "kind": "refuse", "status": 429, "retry_after_s": 3}):
            pass
    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "3"


async def test_closed_in_mid_word() -> None:
    async with struck({"at": "audio", "kind": "close", "nth": 3, "code": 1011}) as client:
        await ask(client)
        await silence_until(client, lambda: len(client.events) > 10)
        with pytest.raises(ConnectionClosedError, match="1011"):
            await client.until_silently(says("Thursday."))
        assert len([each for each in client.events if sounds(each)]) == 2
        assert not client.of_type("session.closed")


async def test_silent_for_a_while_and_then_late() -> None:
    async with struck({"at": "turn", "kind": "stall", "ms": 300}) as client:
        loop = asyncio.get_running_loop()
        await ask(client)
        await client.until("session.input_transcript.delta")
        begun = loop.time()
        await client.until_silently(sounds)
        assert loop.time() - begun >= 0.3


async def test_voice_is_lost_while_the_track_goes_on() -> None:
    async with struck({"at": "audio", "kind": "lose", "times": None}) as client:
        await ask(client)
        await client.until_silently(says("Thursday."))
        assert not any(sounds(each) for each in client.events)
        assert client.of_type(AUDIO)


async def test_audio_goes_on_after_an_interruption() -> None:
    lengths = {}
    for ms in (None, 700):
        faults = [] if ms is None else [{"at": "speech", "kind": "overrun", "ms": ms, "nth": 2}]
        async with struck(*faults) as client:
            await ask(client, "What is your return policy?")
            await client.until_silently(says("Northwind"))
            begun = len(client.of_type(AUDIO))
            await client.send_audio(spoken("Stop, I have another question."))
            await client.until_silently(says("ahead."))
            track = [sounds(each) for each in client.of_type(AUDIO)]
            lengths[ms] = track.index(False, begun) - begun
    assert lengths[700] - lengths[None] == pytest.approx(7, abs=3)


async def test_model_that_is_over_its_limit_says_so_and_nothing_else() -> None:
    async with struck({"at": "turn", "kind": "fail", "code": "rate_limit_exceeded"}) as client:
        await ask(client)
        error = await client.error()
        assert (error["code"], error["type"]) == ("rate_limit_exceeded", "server_error")
        await ask(client)
        await client.until_silently(says("Thursday."))
        assert client.said() == "Your order shipped on Monday and should arrive on Thursday."


async def ask_for_invoice(client: LiveClient) -> None:
    """Have the backend call, and give it the output."""
    await ask(client, "How much is my invoice?")
    await client.until_silently(
        lambda event: (
            event["type"] == "response.event" and event["event"]["type"] == "response.completed"
        )
    )
    (call,) = [
        each["item"] for each in client.nested() if "done" in each["type"] and "item" in each
    ]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "{}"}
    await client.send("response.item.create", item=output)
    await client.send("response.create")


async def test_backend_that_fails_says_so_within_its_response() -> None:
    fault = {"at": "turn", "kind": "fail", "code": "rate_limit_exceeded", "nth": 2}
    async with struck(fault, delegation=BACKEND) as client:
        await ask_for_invoice(client)
        await client.until_silently(
            lambda event: (
                event["type"] == "response.event" and event["event"]["type"] == "response.failed"
            )
        )
        failed = client.nested()[-1]["response"]
        assert (failed["status"], failed["error"]["code"]) == ("failed", "rate_limit_exceeded")


async def test_delegation_that_never_ends() -> None:
    fault = {"at": "turn", "kind": "hang", "nth": 2}
    async with struck(fault, delegation=BACKEND) as client:
        await ask_for_invoice(client)
        # Another turn is answered meanwhile, and the work is still out.
        await ask(client)
        await client.until_silently(says("Thursday."))
        kinds = [each["type"] for each in client.nested()]
        assert kinds.count("response.created") == 2
        assert kinds.count("response.completed") == 1
        await client.send("session.close")
        assert (await client.until("session.closed"))["reason"] == "close_requested"


async def test_delegation_that_is_lost() -> None:
    async with struck({"at": "tool", "kind": "lose"}) as client:
        await ask(client, "How much is my invoice?")
        await client.until_silently(says("up."))
        await client.be_silent(1000)
        await client.send("session.close")
        await client.until("session.closed")
        assert not client.of_type("session.delegation.created")


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ({"at": "connect", "kind": "error", "code": "server_error"}, "error"),
        ({"at": "connect", "kind": "unknown", "type": "session.novelty"}, "session.novelty"),
    ],
)
async def test_strange_first_event(fault: dict[str, Any], seen: str) -> None:
    async with struck(fault, judged=False) as client:
        await client.be_silent(100)
        await client.until(AUDIO)
        assert client.events[0]["type"] == seen
        assert client.of_type("session.started")


async def test_first_event_without_its_session() -> None:
    async with struck(
        {"at": "connect", "kind": "malformed", "lacks": "session"}, judged=False
    ) as client:
        assert "session" not in client.events[0]


@pytest.mark.parametrize(
    "moment", ["speech", "speech_end", "turn", "audio", "tool", "done", "connect"]
)
async def test_every_moment_of_the_stream_comes_in_a_call(moment: str) -> None:
    fault = {"at": moment, "kind": "unknown", "type": "session.mark"}
    async with struck(fault, judged=False, delegation=BACKEND) as client:
        await ask(client, "How much is my invoice?")
        await client.until_silently(
            lambda _: bool(
                client.of_type("session.mark")
                and client.of_type("session.delegation.created")
                and "up." in client.said()
            )
        )


async def test_error_of_the_service_is_in_the_dialects_own_shape() -> None:
    async with struck({"at": "turn", "kind": "error", "code": "server_error"}) as client:
        await ask(client)
        error = (await client.until_silently("error"))["error"]
        assert error["code"] == "server_error"
        assert "event_id" not in error
