"""Who has the floor, over real SIP in both dialects: barge-in, backchannels, silences, warnings."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bridge.audio.resample import downsample_whole
from bridge.speech.recognition import Recognizer
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, Record, serving
from tests.support.machine import Timing
from tests.support.processes import write_yaml
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

LONG_QUESTION = "What is your return policy?"
INTERRUPTION = "Wait a moment, please."
GO_AHEAD = "Sure, go ahead."
QUESTION = "Where is my order?"
ANSWER = "Your order shipped on Monday and should arrive on Thursday."
GREETING = "Thank you for calling. I am an automated assistant. This call may be recorded."
SENTENCES = [f"{each.strip()}." for each in GREETING.split(".") if each]
STILL_THERE = "Are you still there?"
GOODBYE = "I cannot hear you, so I am ending this call."
SORRY = "I am sorry that this takes so long."
OFFER = "Press zero for a person."
WARNING = "This call has to end in a moment."

SPOKEN_OVER_MS = 500
"""`NEEDS.md` section 5: the caller's first sound to silence, p95."""

INVOICE = {
    "name": "lookup_invoice",
    "description": "Look up the caller's invoice.",
    "parameters": {"type": "object", "properties": {"which": {"type": "string"}}},
}

Sound = npt.NDArray[np.int16]


def write_dialplans(directory: Path, hook_port: int) -> Path:
    """Write a dialplan for each number that the tests dial."""
    webhook = {"url": f"http://127.0.0.1:{hook_port}/", "allow_private": True, "timeout_s": 30}
    silence = {"reprompt": STILL_THERE, "reprompts": 1, "goodbye": GOODBYE}
    agents: dict[str, dict[str, object]] = {
        "plain": {},
        "protected": {"agent": {"greeting": GREETING, "barge_in": {"protect_greeting": True}}},
        "muted": {"caller_silence": {**silence, "reprompt_after_s": 1, "close_after_s": 4}},
        "noisy": {"caller_silence": {**silence, "cap_s": 5}},
        "waiting": {
            "agent": {"tools": [{**INVOICE, "webhook": webhook}]},
            "fallback": {"then": "transfer", "to": "sip:queue@127.0.0.1:5070"},
            "dead_air": {
                "apology": SORRY,
                "apology_after_s": 2.5,
                "offer": OFFER,
                "offer_after_s": 6,
            },
        },
        "short": {
            "limits": {"max_call_s": 8, "warn_before_s": 6, "max_call_warning": WARNING},
        },
    }
    for name, changes in agents.items():
        own = changes.get("agent", {})
        assert isinstance(own, dict)
        parts = {key: value for key, value in changes.items() if key != "agent"}
        write_yaml(
            directory / f"{name}.yaml",
            {
                "schema": "dialplan/v1",
                "name": name,
                "match": [{"called": name}],
                "arm": "local",
                "agent": {**PLAIN_AGENT, **own},
                **parts,
            },
        )
    return directory


@pytest.fixture(scope="module")
def hung_port() -> Iterator[int]:
    """Give a port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture(scope="module", params=["ga", "beta"])
def gateway(
    request: pytest.FixtureRequest,
    simulator: str,
    redis: LocalRedis,
    hung_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """A gateway with one arm of a dialect, and the dialplans of this module."""
    directory = tmp_path_factory.mktemp(request.param)
    arm = {"dialect": request.param, "url": simulator, "api_key_env": "SIM_KEY"}
    dialplans = write_dialplans(directory / "dialplans", hung_port)
    with serving(
        directory, simulator, dialplans, redis_url=redis.url, arms={"local": arm}
    ) as started:
        yield started


def speech(text: str, words_per_minute: int = 150) -> Sound:
    return downsample_whole(Synthesizer("en-us", words_per_minute).say(text))


def heard_by(caller: RtpCaller) -> Sound:
    return np.concatenate([each.samples for each in caller.heard])


def texts(caller: RtpCaller, phrases: list[str]) -> list[str]:
    """Return which of the phrases the caller heard, in order."""
    found = Recognizer(phrases).hear_all(heard_by(caller), 8000)
    return [each.text for each in found if each.text]


async def loud(caller: RtpCaller, packets: int) -> None:
    """Wait for so many more loud packets."""
    count = sum(each.loud for each in caller.heard) + packets
    await caller.until(lambda: sum(each.loud for each in caller.heard) >= count)


async def quiet(caller: RtpCaller, packets: int) -> None:
    """Wait until the agent has been silent for so many packets."""
    await caller.until(
        lambda: (
            len(caller.heard) > packets and not any(each.loud for each in caller.heard[-packets:])
        ),
    )


@dataclass
class Placed:
    """An answered call; ``record`` is there once it is over."""

    caller: RtpCaller
    call_id: str
    record: Record


@asynccontextmanager
async def placed(gateway: Gateway, redis: LocalRedis, called: str) -> AsyncIterator[Placed]:
    """Place a call; hang up at the end, if need be, and read its record."""
    async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
        assert await caller.call(called) == 200
        call = Placed(caller, await calls.until_active(gateway.node), {})
        yield call
        if not caller.ended.is_set():
            await caller.hang_up()
        await calls.until_ended(call.call_id)
        call.record.update(await gateway.record_of(call.call_id))


def agent_turns(record: Record) -> list[Record]:
    return [each for each in record["turns"] if each["speaker"] == "agent"]


def turns(record: Record, speaker: str) -> list[str]:
    return [each["text"] for each in record["turns"] if each["speaker"] == speaker]


async def judged(gateway: Gateway, kind: str) -> float:
    """Return how many interruptions were of a kind so far."""
    metrics = await gateway.metrics()
    return metrics.value("bridge_interruptions_total", by="caller", kind=kind)


async def ask_long(caller: RtpCaller) -> None:
    """Ask for a long answer, and wait until it goes on for two seconds."""
    caller.speak(speech(LONG_QUESTION))
    await loud(caller, 100)


async def test_caller_who_goes_on_speaking_stops_the_agent_and_is_understood_whole(
    gateway: Gateway, redis: LocalRedis, timing: Timing
) -> None:
    before = await judged(gateway, "true")
    async with placed(gateway, redis, "plain") as call:
        await ask_long(call.caller)
        spoken = len(call.caller.spoken_ns)
        call.caller.speak(speech(INTERRUPTION))
        await quiet(call.caller, 15)
        sound_ns = call.caller.spoken_ns[spoken]
        stopped_ns = max(each.arrived_ns for each in call.caller.heard if each.loud)
        await loud(call.caller, 20)
        await quiet(call.caller, 30)
    stop_ms = (stopped_ns - sound_ns) / 1e6
    print(f"agent silent {stop_ms:.0f} ms after the caller's first sound")
    timing.check("agent", stop_ms, most_ms=SPOKEN_OVER_MS)
    assert turns(call.record, "caller") == [LONG_QUESTION, INTERRUPTION]  # from its first syllable
    assert turns(call.record, "agent")[1] == GO_AHEAD
    assert call.record["interruptions"] == 1
    assert await judged(gateway, "true") == before + 1


async def test_backchannel_does_not_stop_the_agent(gateway: Gateway, redis: LocalRedis) -> None:
    before = await judged(gateway, "backchannel")
    async with placed(gateway, redis, "plain") as call:
        await ask_long(call.caller)
        for _ in range(2):
            call.caller.speak(speech("Yeah.", 200))
            await loud(call.caller, 75)  # another second and a half of the agent
        silences = [not each.loud for each in call.caller.heard[-60:]]
    assert sum(silences) < 40  # pauses between its sentences
    assert call.record["interruptions"] == 0
    assert len(turns(call.record, "agent")) == 1  # and nobody answered it
    assert await judged(gateway, "backchannel") == before + 2


async def test_protected_greeting_is_heard_whole_and_the_caller_answered_after_it(
    gateway: Gateway, redis: LocalRedis
) -> None:
    async with placed(gateway, redis, "protected") as call:
        await loud(call.caller, 20)
        call.caller.speak(speech(QUESTION))
        async with CallsInRedis(redis.url) as calls:
            assert await calls.until_spoken(call.call_id, "agent", 2) == ANSWER
    # The answer was ready long before: it follows without a pause, so it is heard on its own.
    sound = heard_by(call.caller)
    greeting_ms, answer_ms = (each["heard_ms"] for each in agent_turns(call.record))
    answer = len(sound) - (answer_ms + 300) * 8
    assert texts(call.caller, SENTENCES)[:2] == SENTENCES[:2]
    third = Recognizer(SENTENCES).hear(sound[answer - 1_500 * 8 : answer + 300 * 8], 8000)
    assert third is not None
    assert third.text == SENTENCES[2]
    spoken = Recognizer([ANSWER]).hear(sound[answer:], 8000)
    assert spoken is not None
    assert greeting_ms > 4_000
    assert turns(call.record, "caller") == [QUESTION]
    assert call.record["interruptions"] == 0


async def test_muted_caller_is_asked_and_then_left(gateway: Gateway, redis: LocalRedis) -> None:
    async with placed(gateway, redis, "muted") as call:
        await call.caller.until(call.caller.ended.is_set)
    assert texts(call.caller, [STILL_THERE, GOODBYE]) == [STILL_THERE, GOODBYE]
    assert turns(call.record, "bridge") == [STILL_THERE, GOODBYE]
    assert (call.record["outcome"], call.record["fault"]) == ("completed", "caller")
    assert call.record["reason"] == "caller_silent"


async def test_muted_caller_whose_noise_passes_for_speech_is_left_by_the_clock(
    gateway: Gateway, redis: LocalRedis
) -> None:
    noise = np.random.default_rng(1).normal(0, 600, 8_000 * 30).astype(np.int16)  # -35 dBFS
    async with placed(gateway, redis, "noisy") as call:
        call.caller.speak(noise)
        await call.caller.until(call.caller.ended.is_set)
    assert turns(call.record, "bridge")[-1] == GOODBYE
    assert call.record["reason"] == "caller_silent"


async def test_caller_who_waits_hears_an_apology_and_is_offered_a_person(
    gateway: Gateway, redis: LocalRedis
) -> None:
    async with placed(gateway, redis, "waiting") as call:
        call.caller.speak(speech("How much is my invoice?"))
        async with CallsInRedis(redis.url) as calls:
            assert await calls.until_spoken(call.call_id, "bridge", 2) == OFFER
        await loud(call.caller, 40)
        await quiet(call.caller, 20)
    heard = texts(call.caller, [SORRY, OFFER])
    assert [each for each in (SORRY, OFFER) if each in heard] == [SORRY, OFFER]
    assert turns(call.record, "bridge") == [SORRY, OFFER]
    assert call.record["longest_silence_ms"]  # the filler's tones come between


async def test_end_of_the_longest_call_is_told_before(gateway: Gateway, redis: LocalRedis) -> None:
    async with placed(gateway, redis, "short") as call:
        await call.caller.until(call.caller.ended.is_set)
    assert texts(call.caller, [WARNING]) == [WARNING]
    assert (call.record["outcome"], call.record["reason"]) == ("max_duration", "max_duration")
