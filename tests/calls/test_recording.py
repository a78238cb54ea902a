"""Recordings over real SIP in both dialects: markers, pauses, redaction, and a full disk."""

import asyncio
import json
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import numpy as np
import numpy.typing as npt
import pytest

from bridge.audio.markers import HEADER_SCHEMA, MARKER_SCHEMA, Marker, Markers, decode
from bridge.audio.resample import downsample_whole
from bridge.audio.wav import read_wav
from bridge.live.recording import NOT_RECORDED
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.support.gateways import (
    PLAIN_AGENT,
    CallsInRedis,
    Gateway,
    Record,
    serving,
    write_dialplan,
)
from tests.support.processes import simulating, write_yaml
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

QUESTION = "What is your account number?"
ACCOUNT = "It is one two three four five six."
REDACTED = "It is [account]."
LONG_ANSWER = (
    "Thank you. You can return anything that you bought within thirty days of delivery. Please keep"
    " the original packaging, because the warehouse needs the label on the side of the box."
)
INTERRUPTION = "I would like to pay by card."
GO_ON = "Go on."
SECRET = "Where is my order?"
UNDERSTOOD = "The recording goes on."

NEAR_MS = 100
ALLOWED_AUDIO_MS = 20
"""A marker's place is good to a frame."""

SCENARIO: dict[str, object] = {
    "name": "recorded",
    "greeting": QUESTION,
    "fallback": "Sorry?",
    "rules": [
        {"hears": [ACCOUNT], "say": LONG_ANSWER},
        {
            "hears": [INTERRUPTION],
            "tool": {"name": "pause_recording", "arguments": {}},
            "then": GO_ON,
        },
        {
            "hears": [SECRET],
            "tool": {"name": "resume_recording", "arguments": {}},
            "then": UNDERSTOOD,
        },
    ],
}

Sound = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Kept:
    """Everything that is left of a call."""

    sound: Sound
    markers: Markers
    record: Record
    events: list[dict[str, str]]
    log: str

    def first(self, kind: str, after_ms: int = -1) -> Marker:
        return next(
            each
            for each in self.markers.markers
            if each["kind"] == kind and int(each["at_ms"]) > after_ms
        )

    def at_ms(self, kind: str, after_ms: int = -1) -> int:
        return int(self.first(kind, after_ms)["at_ms"])

    def loud_ms(self, channel: int, start_ms: int, end_ms: int) -> npt.NDArray[np.int64]:
        """Return where in a stretch a channel is loud, in ms."""
        part = self.sound[start_ms * 8 : end_ms * 8, channel].astype(int)
        loud: npt.NDArray[np.int64] = np.flatnonzero(np.abs(part) > 500) // 8 + start_ms
        return loud


def speech(text: str) -> Sound:
    return downsample_whole(Synthesizer("en-us", 150).say(text))


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An agent that pauses the recording when the caller wants to pay."""
    directory = tmp_path_factory.mktemp("simulator")
    with simulating(directory, write_yaml(directory / "scenario.yaml", SCENARIO)) as url:
        yield url


@pytest.fixture(scope="module", params=["ga", "beta"])
def gateway(
    request: pytest.FixtureRequest,
    simulator: str,
    redis: LocalRedis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """A gateway with one arm of a dialect."""
    directory = tmp_path_factory.mktemp(request.param)
    arm = {"dialect": request.param, "url": simulator, "api_key_env": "SIM_KEY"}
    tools = [{"name": "pause_recording"}, {"name": "resume_recording"}]
    dialplans = write_dialplan(
        directory / "dialplans",
        {**PLAIN_AGENT, "greeting": QUESTION, "tools": tools},
        recording={"keep_days": {"audio": 30, "transcript": 7, "events": 90}},
    )
    with serving(
        directory, simulator, dialplans, redis_url=redis.url, arms={"local": arm}
    ) as started:
        yield started


async def place(gateway: Gateway, redis: LocalRedis) -> str:
    """Place the call: an account number, an interruption, a pause, a secret, and on; return it."""
    async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
        assert await caller.call() == 200
        call_id = await calls.until_active(gateway.node)
        assert await calls.until_spoken(call_id, "agent") == QUESTION
        caller.speak(speech(ACCOUNT))
        heard = len(caller.heard)
        await caller.until(lambda: sum(each.loud for each in caller.heard[heard:]) > 50)
        caller.speak(speech(INTERRUPTION))
        await calls.until_told(call_id, "recording_paused")
        assert await calls.until_spoken(call_id, "agent", 3) == NOT_RECORDED
        caller.speak(speech(SECRET))
        await calls.until_told(call_id, "recording_resumed")
        assert await calls.until_spoken(call_id, "agent", 4) == UNDERSTOOD
        await caller.hang_up()
        await calls.until_ended(call_id)
    return call_id


@pytest.fixture(scope="module")
def kept(gateway: Gateway, redis: LocalRedis) -> Kept:
    """One call, and all that is left of it."""
    return asyncio.run(place_and_read(gateway, redis))


async def place_and_read(gateway: Gateway, redis: LocalRedis) -> Kept:
    call_id = await place(gateway, redis)
    record = await gateway.record_of(call_id)
    path = Path(record["recording"])
    async with CallsInRedis(redis.url) as calls:
        events = [fields for _, fields in await calls.reader.events(call_id)]
    return Kept(
        read_wav(path)[0],
        decode(path.with_suffix(".markers.jsonl").read_bytes()),
        record,
        events,
        gateway.process.stderr,
    )


def test_markers_are_as_their_schema_says_and_in_order(kept: Kept) -> None:
    jsonschema.validate(kept.markers.header, HEADER_SCHEMA)
    for marker in kept.markers.markers:
        jsonschema.validate(marker, MARKER_SCHEMA)
    header = kept.markers.header
    assert header["call_id"] == kept.record["call_id"]
    assert header["keep_days"] == {"audio": 30, "transcript": 7, "events": 90}
    told = [each["kind"] for each in kept.events]
    marked = [each["kind"] for each in kept.markers.markers]
    for kind in ("turn", "interrupted", "recording_paused", "recording_resumed", "ended"):
        assert marked.count(kind) == told.count(kind) > 0
    assert int(kept.markers.markers[-1]["at_ms"]) <= len(kept.sound) // 8


def test_a_barge_in_is_marked_where_the_audio_shows_it(kept: Kept) -> None:
    interrupted_ms = kept.at_ms("interrupted")
    yielded_ms = kept.at_ms("agent_yielded")
    started_ms = max(
        int(each["at_ms"])
        for each in kept.markers.markers
        if each["kind"] == "caller_started" and int(each["at_ms"]) < interrupted_ms
    )
    caller = kept.loud_ms(0, started_ms - 500, interrupted_ms)
    assert abs(int(caller[0]) - started_ms) < NEAR_MS
    agent_ms = int(kept.loud_ms(1, started_ms, interrupted_ms + 500)[-1])
    assert abs(agent_ms - min(yielded_ms, interrupted_ms)) < NEAR_MS


def test_each_side_is_marked_where_it_is_heard(kept: Kept) -> None:
    for channel, kind in enumerate(("caller_started", "agent_started")):
        marked_ms = kept.at_ms(kind)
        assert abs(int(kept.loud_ms(channel, 0, len(kept.sound) // 8)[0]) - marked_ms) < NEAR_MS
    last_ms = int(kept.loud_ms(1, 0, len(kept.sound) // 8)[-1])
    stopped_ms = max(
        int(each["at_ms"]) for each in kept.markers.markers if each["kind"] == "agent_stopped"
    )
    assert 0 <= stopped_ms - last_ms < 500  # the service's sentences end in silence


def test_a_pause_leaves_silence_and_no_words(kept: Kept) -> None:
    paused_ms, resumed_ms = kept.at_ms("recording_paused"), kept.at_ms("recording_resumed")
    assert resumed_ms - paused_ms > 2_000  # the secret, and what was said before it
    within = slice((paused_ms + ALLOWED_AUDIO_MS) * 8, (resumed_ms - ALLOWED_AUDIO_MS) * 8)
    assert not kept.sound[within].any()
    assert kept.loud_ms(0, 0, paused_ms).size
    assert kept.loud_ms(1, resumed_ms, len(kept.sound) // 8).size
    assert abs(len(kept.sound) / 8 - kept.at_ms("ended")) < 200  # positions stayed true
    texts = [turn["text"] for turn in kept.record["turns"]]
    assert texts.count(NOT_RECORDED) == 2  # the agent's "go on", the caller's secret
    assert texts[-1] == UNDERSTOOD
    everything = json.dumps([kept.record, kept.events, kept.markers.markers]) + kept.log
    assert SECRET not in everything
    assert GO_ON not in everything


def test_a_number_is_redacted_wherever_it_is_written(kept: Kept) -> None:
    """What it is stands in the question alone."""
    assert [turn["text"] for turn in kept.record["turns"][:2]] == [QUESTION, REDACTED]
    for told in (kept.events, kept.markers.markers):
        assert REDACTED in [each["text"] for each in told if each["kind"] == "turn"]
    everything = json.dumps([kept.record, kept.events, kept.markers.markers]) + kept.log
    assert "one two three" not in everything


@pytest.mark.parametrize("gateway", ["ga"], indirect=True, scope="module")
async def test_a_full_disk_ends_the_recording_and_not_the_call(
    gateway: Gateway, redis: LocalRedis
) -> None:
    pid = gateway.process.pid
    before = (await gateway.metrics()).value("bridge_recording_stopped_total", reason="disk_full")
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
        assert await caller.call() == 200
        call_id = await calls.until_active(gateway.node)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (60_000, hard))  # two seconds of audio
        try:
            await calls.until_told(call_id, "recording_stopped")
            caller.speak(speech(SECRET))  # the talk goes on
            assert await calls.until_spoken(call_id, "agent", 2) == UNDERSTOOD
            await caller.hang_up()
            await calls.until_ended(call_id)
            record = await gateway.record_of(call_id)
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    after = (await gateway.metrics()).value("bridge_recording_stopped_total", reason="disk_full")
    assert after == before + 1
    assert record["recording_stopped"] == "disk_full"
    assert record["outcome"] == "completed"
    sound, _ = read_wav(Path(record["recording"]))
    assert 8_000 <= len(sound) <= 15_000
    assert f'"call_id": "{call_id}"' in gateway.process.stderr
    assert "recording_stopped" in gateway.process.stderr
