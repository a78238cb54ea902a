"""What callers are told and asked before an AI listens, over real SIP in both dialects.

What has left of the caller's audio is read off the wire to the Realtime server, by a relay.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bridge.audio.resample import downsample_whole
from bridge.audio.wav import read_wav
from bridge.speech.recognition import Recognizer
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.audio.signals import level_at_db, tone
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, Overrides, Record, serving
from tests.support.person import LOUD_DB, a_person
from tests.support.ports import free_port
from tests.support.processes import simulating, write_yaml
from tests.support.relay import Relay, relaying
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

TOLD = ["You talk to a machine.", "This call is recorded."]
ASK = "Press one to agree."
REFUSED = "I will put you through."
HANG_UP = "Hang up and call for help."
QUESTION = "Where is my order?"
ANSWER = "It is on its way."
CRY = "I need an ambulance now."
HUM_HZ, PERSON_HZ = 440.0, 1000.0
HUM_PACKETS = 50
CARRIER: Overrides = {
    "trunks": {"carrier": {"addresses": ["127.0.0.1"], "trust": ["P-Asserted-Identity"]}}
}
"""Whose word on who calls is taken."""
"""`NEEDS.md` section 5: our answer to the first sound."""

SCENARIO = {
    "name": "consent",
    "words_per_minute": 220,
    "greeting": "Hello.",
    "fallback": "I see.",
    "rules": [
        {"hears": [QUESTION], "say": ANSWER},
        {"hears": [CRY], "say": "It is not in stock."},
    ],
}

Sound = npt.NDArray[np.int16]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An agent of few words."""
    directory = tmp_path_factory.mktemp("simulator")
    with simulating(directory, write_yaml(directory / "consent.yaml", SCENARIO)) as url:
        yield url


@dataclass
class Office:
    """A gateway whose way to its Realtime server leads through ``relay_port``."""

    gateway: Gateway
    simulator: str
    relay_port: int
    person_port: int
    redis_url: str


def write_dialplans(directory: Path, person_port: int) -> Path:
    """Write a dialplan that tells, and one that asks."""
    disclosure = {"disclosure": " ".join(TOLD), "version": "v7"}
    handoff = {"targets": {"ann": {"to": f"sip:ann@127.0.0.1:{person_port}", "refer": False}}}
    plans: dict[str, dict[str, object]] = {
        "told": {"consent": disclosure},
        "asked": {
            "consent": {**disclosure, "consent": "ask", "ask": ASK, "refused": REFUSED},
            "handoff": handoff,
            "emergency": {"say": HANG_UP},
        },
    }
    for name, parts in plans.items():
        plan = {"schema": "dialplan/v1", "name": name, "match": [{"called": name}], "arm": "local"}
        write_yaml(directory / f"{name}.yaml", {**plan, "agent": {**PLAIN_AGENT}, **parts})
    return directory


@pytest.fixture(scope="module", params=["ga", "beta"])
def office(
    request: pytest.FixtureRequest,
    simulator: str,
    redis: LocalRedis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Office]:
    """One gateway for all tests of a dialect."""
    directory = tmp_path_factory.mktemp(request.param)
    relay_port, person_port = free_port(), free_port()
    url = f"ws://127.0.0.1:{relay_port}/v1/realtime"
    arm = {"dialect": request.param, "url": url, "api_key_env": "SIM_KEY"}
    dialplans = write_dialplans(directory / "dialplans", person_port)
    with serving(
        directory,
        url,
        dialplans,
        redis_url=redis.url,
        preflight=False,
        arms={"local": arm},
        sip=CARRIER,
    ) as gateway:
        yield Office(gateway, simulator, relay_port, person_port, redis.url)


@dataclass
class Talk:
    """An answered call; ``record`` and ``state`` are there once it is over."""

    caller: RtpCaller
    calls: CallsInRedis
    relay: Relay
    call_id: str
    answered_ns: int
    record: Record = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)

    async def loud(self) -> None:
        """Wait for the caller's next loud packet."""
        count = len(self.caller.heard)
        await self.caller.until(lambda: any(each.loud for each in self.caller.heard[count:]))

    async def quiet(self, packets: int = 40) -> None:
        """Wait until the caller hears something, and then nothing for so many packets."""
        await self.loud()
        heard = self.caller.heard
        await self.caller.until(lambda: not any(each.loud for each in heard[-packets:]))

    async def told(self, kind: str) -> dict[str, str]:
        """Wait for an event in Redis."""
        return (await self.calls.until_told(self.call_id, kind))[-1]

    @property
    def left(self) -> Sound:
        """All of the caller's audio that has left, at 24 kHz."""
        audio = b"".join(each.audio for each in self.relay.appended)
        return np.frombuffer(audio, dtype="<i2")

    def heard_until(self, end_ns: float) -> Sound:
        """Return what the caller heard up to a moment."""
        return np.concatenate(
            [each.samples for each in self.caller.heard if each.arrived_ns <= end_ns]
        )


@asynccontextmanager
async def placed(office: Office, called: str, more: str | None = None) -> AsyncIterator[Talk]:
    """Place a call; hang up at the end, if need be, and read what is known of it."""
    async with (
        relaying(office.simulator, office.relay_port) as (relay, _),
        CallsInRedis(office.redis_url) as calls,
        RtpCaller(office.gateway.sip_port) as caller,
    ):
        headers = () if more is None else (more,)
        caller.invite(called, *headers)
        assert await caller.answered() == 200
        answered_ns = caller.answered_ns
        call_id = await calls.until_active(office.gateway.node)
        talk = Talk(caller, calls, relay, call_id, answered_ns)
        yield talk
        if not caller.ended.is_set():
            await caller.hang_up()
        talk.state.update(await calls.until_ended(call_id))
        talk.record.update(await office.gateway.record_of(call_id))


def speech(text: str) -> Sound:
    return downsample_whole(Synthesizer("en-us", 150).say(text))


def hum(ms: int) -> Sound:
    return tone(HUM_HZ, 8000, 8 * ms, amplitude=8000)


def recognised(sound: Sound, phrases: list[str]) -> list[str]:
    return [each.text for each in Recognizer(phrases).hear_all(sound, 8000) if each.text]


def level_db(sound: Sound, hz: float, rate_hz: int) -> float:
    """Return the loudest that a tone is in any half second."""
    window = rate_hz // 2
    pieces = [sound[start : start + window] for start in range(0, len(sound) - window, window)]
    return max((level_at_db(piece, hz, rate_hz) for piece in pieces), default=0.0)


async def test_nothing_of_the_caller_leaves_before_they_have_heard_the_disclosure(
    office: Office,
) -> None:
    asserted = "P-Asserted-Identity: <sip:test;verstat=TN-Validation-Passed-B@carrier>"
    async with placed(office, "told", asserted) as talk:
        caller = talk.caller
        await talk.loud()
        caller.speak(hum(20 * HUM_PACKETS))  # over the disclosure, which goes on
        await talk.told("disclosure_spoken")
        caller.speak(speech(QUESTION))
        assert await talk.calls.until_spoken(talk.call_id, "agent") == ANSWER
    first_ns = min(each.arrived_ns for each in caller.heard if each.loud)
    print(f"audible {(first_ns - talk.answered_ns) / 1e6:.0f} ms after our answer")
    assert talk.record["greeting_ms"] > 0
    left_ns = talk.relay.appended[0].arrived_ns
    assert recognised(talk.heard_until(left_ns), TOLD) == TOLD
    asked_ns = caller.spoken_ns[HUM_PACKETS]
    assert not any(each.loud for each in talk.relay.appended if each.arrived_ns < asked_ns)
    assert level_db(talk.left, HUM_HZ, 24_000) < LOUD_DB
    assert [each["text"] for each in talk.record["turns"] if each["speaker"] == "caller"] == [
        QUESTION
    ]
    consent = talk.record["consent"]
    assert (consent["version"], consent["language"]) == ("v7", "en")
    assert (consent["given"], consent["how"]) == (True, "notice")
    assert consent["disclosed_at_ms"] >= talk.record["answered_at_ms"] + 1_500
    assert (talk.state["consent"], talk.state["consent_version"]) == ("given", "v7")
    assert (talk.state["verstat"], talk.record["verstat"]) == ("B", "B")
    recording, rate_hz = read_wav(Path(talk.record["recording"]))
    assert level_db(recording[:, 0], HUM_HZ, rate_hz) < LOUD_DB
    assert recognised(recording[:, 0], [QUESTION]) == [QUESTION]


async def test_who_refuses_by_key_gets_a_person_and_the_agent_hears_nothing(
    office: Office,
) -> None:
    async with (
        a_person(office.gateway.sip_port, office.person_port) as person,
        placed(office, "asked") as talk,
    ):
        caller = talk.caller
        await talk.loud()
        caller.press("2")
        await person.called()
        person.hum(PERSON_HZ)
        caller.speak(hum(60_000))
        await person.hears(HUM_HZ)
        await caller.until(
            lambda: level_db(talk.heard_until(np.inf)[-8_000:], PERSON_HZ, 8000) > LOUD_DB
        )
        await caller.hang_up()
        await asyncio.wait_for(person.call.ended.wait(), 60)
    assert talk.relay.appended == []
    assert len(talk.relay.close_codes) == 1  # its session went before the call
    consent = talk.record["consent"]
    assert (consent["given"], consent["how"]) == (False, "key")
    assert talk.state["consent"] == "refused"
    assert (talk.record["outcome"], talk.record["reason"]) == ("transferred", "consent_refused")
    recording, _ = read_wav(Path(talk.record["recording"]))
    assert not recording.any()
    metrics = await office.gateway.metrics()
    refused = {"route": "asked", "result": "refused"}
    assert metrics.value("bridge_consent_prompts_total", **refused) == 1


async def test_words_of_an_emergency_bring_the_instruction_and_alert_the_supervisors(
    office: Office,
) -> None:
    async with placed(office, "asked") as talk:
        caller = talk.caller
        await talk.told("disclosure_spoken")
        assert talk.relay.appended == []  # they have not agreed yet
        caller.press("1")
        assert (await talk.told("consent_given"))["how"] == "key"
        caller.speak(speech(CRY))
        alert = await talk.told("emergency_heard")
        await talk.quiet()
        alerts = [fields for _, fields in await talk.calls.reader.alerts()]
    assert HANG_UP in recognised(talk.heard_until(np.inf), [*TOLD, ASK, HANG_UP])
    assert alert["phrase"] == "need an ambulance"
    [mine] = [each for each in alerts if each["call_id"] == talk.call_id]
    assert (mine["kind"], mine["route"]) == ("emergency_heard", "asked")
    assert mine["phrase"] == "need an ambulance"
    assert talk.record["emergencies"] == ["need an ambulance"]
    bridge_said = [each["text"] for each in talk.record["turns"] if each["speaker"] == "bridge"]
    assert bridge_said == [" ".join(TOLD), ASK, HANG_UP]
    metrics = await office.gateway.metrics()
    assert metrics.value("bridge_emergencies_total", route="asked") == 1
    logged = [line for line in office.gateway.process.logged if line["event"] == "emergency_heard"]
    assert [(line["level"], line["call_id"]) for line in logged] == [("warning", talk.call_id)]
    assert not any(re.search("ambulance now", str(line)) for line in office.gateway.process.logged)
