"""Calls that are handed to a person, over real SIP, in both dialects.

The caller says that an order is wrong; the simulated agent calls ``transfer_to_human``. The
person is a phone of its own. Who hears whom is told by tones (FFT).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bridge.audio.resample import downsample_whole
from bridge.audio.wav import read_wav
from bridge.clock import SystemClock
from bridge.config.settings import RedisSettings
from bridge.softphone.sip_message import audio_sdp
from bridge.speech.synthesis import Synthesizer
from bridge.store.control import Answer, ControlSender
from bridge.store.local import LocalRedis
from tests.audio.signals import level_at_db, tone
from tests.support.gateways import (
    PLAIN_AGENT,
    CallsInRedis,
    Gateway,
    Record,
    serving,
)
from tests.support.machine import Timing
from tests.support.person import LOUD_DB, Person, Phone, a_person, hears
from tests.support.ports import free_port
from tests.support.processes import simulating, write_yaml
from tests.support.rtp import RtpPeer
from tests.support.rtp_caller import RtpCaller, header
from tests.support.sip import SipPeer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

WANTS = "My order has the wrong size."
ASKS = "Where is my order?"
SAYS = "One moment."
SORRY = "Nobody is free."
ACCOUNT = "4711; Müller & Co?tier=gold"
"""A header's value that a URI has to escape."""

BACK = "You are back."
SUMMARY = "Order 4711 - Größe tauschen, urgent."
CALLER_HZ, PERSON_HZ = 440.0, 1000.0
DEAD_AIR_MS = 2_000
"""A longer silence is dead air (`NEEDS.md` section 5)."""

SCENARIO = {
    "name": "handoff",
    "words_per_minute": 220,
    "greeting": "Hello.",
    "fallback": "I see.",
    "rules": [
        {
            "hears": [WANTS],
            "say": SAYS,
            "tool": {"name": "transfer_to_human", "arguments": {"summary": SUMMARY}},
            "then": SORRY,
        },
        {"hears": [ASKS], "say": "It is on its way."},
    ],
}

HANDOFFS: dict[str, dict[str, object]] = {
    "blind": {},
    "warm": {"mode": "warm", "ring_s": 3},
    "back": {"mode": "warm", "when_person_leaves": "hand_back"},
}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An agent that hands over at once."""
    directory = tmp_path_factory.mktemp("simulator")
    with simulating(directory, write_yaml(directory / "handoff.yaml", SCENARIO)) as url:
        yield url


_JOINING_MS = 6_000
"""Longer than two legs take to be joined."""


@dataclass
class Office:
    """A gateway whose dialplans are named after what they do; its person, a supervisor's phone."""

    gateway: Gateway
    person_port: int
    redis_url: str
    dialect: str
    phone_port: int

    @asynccontextmanager
    async def person(self, status: int = 200) -> AsyncIterator[Person]:
        async with a_person(self.gateway.sip_port, self.person_port, status) as person:
            yield person


@pytest.fixture(scope="module", params=["ga", "beta"])
def office(
    request: pytest.FixtureRequest,
    simulator: str,
    redis: LocalRedis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Office]:
    """One gateway for all tests of a dialect: what one leaves behind, the next ones miss."""
    directory, port = tmp_path_factory.mktemp("gateway"), free_port()
    phone_port = free_port()
    for name, target in HANDOFFS.items():
        agent = {**PLAIN_AGENT, "tools": [{"name": "transfer_to_human"}]}
        handoff = {
            "targets": {"ann": {"to": f"sip:ann@127.0.0.1:{port}", **target}},
            "announce": "A call.",
            "ask": "Press one.",
            "accept": {"by": "either"},
            "on_hand_back": BACK,
            "hand_back_key": "*9",
        }
        dialplan = {
            "schema": "dialplan/v1",
            "name": name,
            "match": [{"called": name}],
            "arm": "local",
            "pass_headers": ["X-Account", "User-to-User", "X-Absent"],
            "agent": agent,
            "handoff": handoff,
        }
        write_yaml(directory / "dialplans" / f"{name}.yaml", dialplan)
    arm = {"url": simulator, "api_key_env": "SIM_KEY", "dialect": request.param}
    with serving(
        directory,
        simulator,
        directory / "dialplans",
        redis_url=redis.url,
        arms={"local": arm},
        sip={"supervisor_phones": [f"sip:*@127.0.0.1:{phone_port}"]},
    ) as gateway:
        yield Office(gateway, port, redis.url, request.param, phone_port)


def speech(text: str) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return downsample_whole(Synthesizer("en-us", 150).say(text))


class Talk:
    """A caller, and what is known of their call."""

    def __init__(
        self, office: Office, caller: RtpCaller, calls: CallsInRedis, call_id: str
    ) -> None:
        self.caller = caller
        self.call_id = call_id
        self._office = office
        self._calls = calls
        self._asked_ns: int | None = None

    def ask(self) -> None:
        """Have the caller say something else: from here on it is not always their turn to hear."""
        self._asked_ns = time.monotonic_ns()
        self.caller.speak(speech(ASKS))

    async def hears(self, hz: float) -> None:
        """Wait until the caller hears a tone."""

        def so() -> bool:
            latest = [each.samples for each in self.caller.heard[-25:]]
            return bool(latest) and hears(np.concatenate(latest), hz)

        await self.caller.until(so)

    async def agent_says(self, nth: int) -> str:
        return await self._calls.until_spoken(self.call_id, "agent", nth)

    async def told(self, kind: str) -> dict[str, str]:
        """Wait for an event in Redis."""
        return (await self._calls.until_told(self.call_id, kind))[-1]

    def longest_silence_ms(self) -> float:
        """From the first that the caller heard to the last, or to their next question."""
        end_ns = self._asked_ns or time.monotonic_ns()
        loud = [each.arrived_ns for each in self.caller.heard if each.loud]
        loud = [at_ns for at_ns in loud if at_ns < end_ns]
        return max((later - at_ns for at_ns, later in pairwise(loud)), default=0) / 1e6

    async def over(self) -> Record:
        """Wait for the call's end, of which nothing may be left; return its record."""
        await self._calls.until_ended(self.call_id)
        await self._office.gateway.until_active(0)
        print(f"longest silence {self.longest_silence_ms():.0f} ms")
        return await self._office.gateway.record_of(self.call_id)


@asynccontextmanager
async def complaining(office: Office, called: str) -> AsyncIterator[Talk]:
    """Place a call whose caller has a reason to be put through."""
    async with (
        CallsInRedis(office.redis_url) as calls,
        RtpCaller(office.gateway.sip_port) as caller,
    ):
        caller.on_refer = lambda refer: caller.respond(refer, "603 Decline")
        await calls.until_idle(office.gateway.node)  # the test before has not looked there
        assert await caller.call(called, more=f"X-Account: {ACCOUNT}\r\nx-other: no") == 200
        caller.speak(speech(WANTS))
        yield Talk(office, caller, calls, await calls.until_active(office.gateway.node))


async def joined(talk: Talk, person: Person) -> None:
    """Have both hum, and each hear the other."""
    person.hum(PERSON_HZ)
    talk.caller.speak(tone(CALLER_HZ, 8000, 8 * 60_000, amplitude=8000))
    await person.hears(CALLER_HZ)
    await talk.hears(PERSON_HZ)


async def test_carrier_moves_the_caller(office: Office) -> None:
    async with complaining(office, "blind") as talk:
        caller = talk.caller
        caller.on_refer = lambda refer: caller.respond(refer, "202 Accepted")
        await caller.until(lambda: bool(caller.refers))
        [refer] = caller.refers
        packets = len(caller.heard) + 125  # 2.5 s: until tones must be heard
        await caller.until(lambda: len(caller.heard) >= packets)
        caller.notify("200 OK", over=True)
        await caller.until(caller.ended.is_set)
        record = await talk.over()
    assert header(refer, "X-Bridge-Call-Id") == talk.call_id
    assert header(refer, "X-Bridge-Summary") == "Order 4711 - Gr%C3%B6%C3%9Fe tauschen, urgent."
    assert header(refer, "X-Account") == ACCOUNT
    assert "x-other" not in refer.lower()
    to = header(refer, "Refer-To")
    assert "X-Account=4711%3B%20M%C3%BCller%20%26%20Co%3Ftier%3Dgold&" in to
    assert to.startswith(f"<sip:ann@127.0.0.1:{office.person_port}?X-Account=")
    assert f"X-Bridge-Call-Id={talk.call_id}&X-Bridge-Summary=Order%204711%20-%20Gr%25C3%25B6" in to
    assert (record["outcome"], record["reason"]) == ("transferred", "transfer_to_human")
    [handoff] = record["handoffs"]
    assert (handoff["way"], handoff["result"]) == ("blind", "completed")


async def test_refused_refer_is_bridged_and_the_caller_hangs_up(office: Office) -> None:
    async with office.person() as person, complaining(office, "blind") as talk:
        invite = await person.called()
        await joined(talk, person)
        assert (await talk.told("handoff_started"))["text"] == SUMMARY
        await talk.told("handoff_completed")
        await talk.caller.hang_up()
        await asyncio.wait_for(person.call.ended.wait(), 60)
        record = await talk.over()
        metrics = await office.gateway.metrics()
    assert len(talk.caller.refers) == 1
    assert len(invite.encode()) < 1300  # or it would have to leave UDP
    assert invite.header("X-Account") == ACCOUNT
    assert person.call.goodbye is not None
    assert person.call.goodbye.header("X-Account") == ACCOUNT
    assert invite.header("X-Bridge-Call-Id") == talk.call_id
    assert invite.header("X-Bridge-Summary") == "Order 4711 - Gr%C3%B6%C3%9Fe tauschen, urgent."
    assert record["outcome"] == "transferred"
    [handoff] = record["handoffs"]
    assert (handoff["way"], handoff["result"]) == ("bridged", "completed")
    sound, _ = read_wav(Path(record["recording"]))
    assert level_at_db(sound[-4000:, 0], CALLER_HZ, 8000) > LOUD_DB
    assert level_at_db(sound[-4000:, 1], PERSON_HZ, 8000) > LOUD_DB
    assert metrics.value("bridge_transfers_total", kind="bridged", result="ok") == 1
    assert metrics.value("bridge_transfer_duration_seconds_count", kind="bridged") == 1


async def test_warm_call_is_taken_by_key_and_the_person_hangs_up(office: Office) -> None:
    async with office.person() as person, complaining(office, "warm") as talk:
        await person.called()
        await person.hears_speech()
        assert not hears(person.heard, CALLER_HZ)
        person.rtp.press("1")
        await joined(talk, person)
        await person.call.bye()
        person.call.ended.set()
        await talk.caller.until(talk.caller.ended.is_set)
        record = await talk.over()
    assert record["outcome"] == "transferred"
    assert [(each["way"], each["result"]) for each in record["handoffs"]] == [("warm", "completed")]


async def test_warm_call_is_taken_by_speaking(office: Office, timing: Timing) -> None:
    async with office.person() as person, complaining(office, "warm") as talk:
        await person.called()
        await person.hears_speech()
        await person.silence()
        person.rtp.say(speech("Yes, please."))
        await joined(talk, person)
        await talk.told("handoff_accepted")
        await talk.caller.hang_up()
        await talk.over()
    timing.check("silence", talk.longest_silence_ms(), most_ms=DEAD_AIR_MS)


async def test_person_refuses_and_the_agent_says_so(office: Office) -> None:
    async with office.person() as person, complaining(office, "warm") as talk:
        await person.called()
        await person.hears_speech()
        person.rtp.press("2")
        await asyncio.wait_for(person.call.ended.wait(), 60)
        assert (await talk.told("handoff_failed"))["reason"] == "declined"
        assert await talk.agent_says(2) == SORRY
        talk.ask()
        assert await talk.agent_says(3) == "It is on its way."
        await talk.caller.hang_up()
        record = await talk.over()
    assert record["outcome"] == "completed"


async def test_person_who_does_not_answer_is_let_go(office: Office) -> None:
    async with office.person(180) as person, complaining(office, "warm") as talk:
        await person.called()
        await asyncio.wait_for(person.call.ended.wait(), 60)  # CANCEL
        assert (await talk.told("handoff_failed"))["reason"] == "no_answer"
        assert await talk.agent_says(2) == SORRY
        await talk.caller.hang_up()
        await talk.over()


async def test_caller_who_hangs_up_while_it_rings_ends_it(office: Office) -> None:
    async with office.person(180) as person, complaining(office, "warm") as talk:
        await person.called()
        await talk.caller.hang_up()
        await asyncio.wait_for(person.call.ended.wait(), 60)
        record = await talk.over()
    assert record["handoffs"][0]["result"] == "caller_left"


async def test_caller_comes_back_to_the_agent(office: Office, timing: Timing) -> None:
    async with office.person() as person, complaining(office, "back") as talk:
        await person.called()
        await person.hears_speech()
        person.rtp.press("1")
        person.hum(PERSON_HZ, 1_500)
        await talk.hears(PERSON_HZ)
        if office.dialect == "ga":  # both ways are there; each takes its time
            person.rtp.press("*9")
            await asyncio.wait_for(person.call.ended.wait(), 60)
        else:
            await person.call.bye()
            person.call.ended.set()
        assert int((await talk.told("handed_back"))["talked_ms"]) >= 0
        assert await talk.agent_says(2)
        talk.ask()
        assert await talk.agent_says(3) == "It is on its way."
        await talk.caller.hang_up()
        record = await talk.over()
    timing.check("silence", talk.longest_silence_ms(), most_ms=DEAD_AIR_MS)
    assert record["outcome"] == "completed"
    said = [(each["speaker"], each["text"]) for each in record["turns"]]
    assert ("bridge", BACK) in said


async def test_keys_and_holds_pass_between_two_people(office: Office) -> None:
    async with (
        office.person() as person,
        SipPeer(office.gateway.sip_port) as sip,
        RtpPeer() as rtp,
    ):
        caller = Phone(rtp, sip.call("blind", audio_sdp(rtp.port)))
        assert caller.dialog is not None
        rtp.stream((await caller.dialog.final()).media_port)
        rtp.say(speech(WANTS))
        await person.called()
        person.dialog = person.call
        person.hum(PERSON_HZ, _JOINING_MS)
        caller.hum(CALLER_HZ, _JOINING_MS)
        await person.hears(CALLER_HZ)  # keys that are pressed before reach nobody
        await caller.hears(PERSON_HZ)
        person.rtp.press("5")
        rtp.press("7#")
        await wait_until(lambda: caller.digits == "5", "the person's key was not passed")
        await wait_until(lambda: person.digits == "7#", "the caller's keys were not passed")
        caller.hum(CALLER_HZ)
        person.hum(PERSON_HZ)
        await caller.hears(PERSON_HZ)
        await person.offer("inactive")
        await caller.hears(CALLER_HZ)  # the bridge's tone has the same pitch: they wait
        await person.offer("sendrecv")
        await caller.hears(PERSON_HZ)
        await caller.offer("inactive")
        await person.silence()
        await caller.offer("sendrecv")
        await person.hears(CALLER_HZ)
        await caller.dialog.bye()
        await asyncio.wait_for(person.call.ended.wait(), 60)
        await office.gateway.until_active(0)


async def test_caller_is_accepted_out_of_the_queue_and_comes_back(office: Office) -> None:
    """By phone: the commands go through Redis, as a console's do."""
    control = ControlSender(RedisSettings(), office.redis_url, clock=SystemClock())

    async def order(action: str, by: str = "eve", **params: object) -> Answer:
        number = f"{action}-{by}-{talk.call_id}"
        answer = await control.send(
            office.gateway.node, talk.call_id, action, params, by=by, command_id=number
        )
        assert answer is not None
        return answer

    async with (
        office.person(180) as person,
        a_person(office.gateway.sip_port, office.phone_port) as phone,
        complaining(office, "warm") as talk,
    ):
        await person.called()
        told = await order("accept", via=f"sip:eve@127.0.0.1:{office.phone_port}")
        assert told == Answer(True, None, {"target": "ann", "summary": SUMMARY})
        assert await order("accept", "bob") == Answer(False, "held_by", {"held_by": "eve"})
        await asyncio.wait_for(person.call.ended.wait(), 60)
        phone.hum(PERSON_HZ)
        await talk.hears(PERSON_HZ)
        talk.caller.speak(tone(CALLER_HZ, 8000, 8 * 2_000, amplitude=8000))
        await phone.hears(CALLER_HZ)
        await talk.caller.until(lambda: not talk.caller.speaking)
        assert (await talk.told("handoff_accepted"))["by"] == "eve"
        assert await order("hand_back", summary="It is changed.") == Answer(True)
        await asyncio.wait_for(phone.call.ended.wait(), 60)
        await talk.told("handed_back")
        assert await talk.agent_says(2)
        await talk.caller.hang_up()
        record = await talk.over()
    await control.aclose()
    [handoff] = record["handoffs"]
    assert (handoff["way"], handoff["result"]) == ("console", "completed")
    assert handoff["talked_ms"] > 0
    assert record["outcome"] == "completed"
    assert [each["action"] for each in record["supervised"]] == ["accept", "hand_back"]
