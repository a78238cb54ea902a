"""Calls on an arm that is a SIP URI, over real SIP: the vendor is a phone of its own.

Who hears whom is told by tones (FFT). The gateway has a Realtime arm, too, for the rollout.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bridge.audio.wav import read_wav
from bridge.clock import SystemClock
from bridge.config.settings import RedisSettings
from bridge.softphone.sip_message import PhoneMessage, audio_sdp
from bridge.store.control import Answer, ControlSender
from bridge.store.local import LocalRedis
from tests.audio.signals import level_at_db, tone
from tests.support.gateways import ARM, CallsInRedis, Gateway, Record, serving, write_dialplan
from tests.support.person import LOUD_DB, Person, Phone, a_person, hears
from tests.support.ports import free_port
from tests.support.processes import SIMULATOR_KEY
from tests.support.rtp import RtpPeer
from tests.support.rtp_caller import RtpCaller, header
from tests.support.sip import Dialog, SipPeer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

CALLER_HZ, VENDOR_HZ = 440.0, 1000.0
FLAG = "out-flag"
BARE = {"instructions": "At the vendor's.", "language": "en"}
GREETS = {**BARE, "greeting": "Hello."}
SORRY = "We are sorry."
VENDOR_TRUNK = {
    "addresses": ["192.0.2.1"],
    "domains": ["localhost"],
    "limits": {"max_calls": 1},
}
FALLBACK = {"say": SORRY, "before_answer": "answer"}


@dataclass
class Office:
    """A gateway; the vendor's port, at which the test has somebody or nobody."""

    gateway: Gateway
    vendor_port: int
    redis_url: str

    @asynccontextmanager
    async def vendor(self, status: int = 200) -> AsyncIterator[Person]:
        async with a_person(self.gateway.sip_port, self.vendor_port, status) as vendor:
            yield vendor

    @asynccontextmanager
    async def vendor_that(self, status: int, sdp_port: int) -> AsyncIterator[SipPeer]:
        """A vendor without RTP, who answers so."""
        async with SipPeer(self.gateway.sip_port, self.vendor_port) as vendor:
            vendor.on_call = lambda invite: (status, audio_sdp(sdp_port))
            yield vendor


@pytest.fixture(scope="module")
def office(
    simulator: str, redis: LocalRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    directory, port = tmp_path_factory.mktemp("gateway"), free_port()
    plans = directory / "dialplans"
    write_dialplan(plans, BARE, name="out", called="out", arm="out", pass_headers=["X-Account"])
    write_dialplan(plans, BARE, name="sorry", called="sorry", arm="out", fallback=FALLBACK)
    write_dialplan(plans, BARE, name="capped", called="capped", arm="capped", fallback=FALLBACK)
    write_dialplan(plans, BARE, name="sent", called="sent", arm="sent", fallback=FALLBACK)
    write_dialplan(
        plans,
        BARE,
        name="told",
        called="told",
        arm="out",
        consent={"disclosure": "An A I listens.", "consent": "none"},
    )
    write_dialplan(plans, GREETS, name="both", called="both", arm=None, rollout=FLAG)
    uri = f"sip:agent@127.0.0.1:{port}"
    with serving(
        directory,
        simulator,
        plans,
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY, "ROLLOUT_KEY": "a secret for tests"},
        arms={
            "out": {"sip": uri, "ring_s": 4, "silent_s": 1.5},
            "sent": {"sip": uri, "by": "refer"},
            "capped": {"sip": f"sip:agent@localhost:{port}"},
        },
        sip={"trunks": {"vendor": VENDOR_TRUNK}},
        rollouts={
            FLAG: {
                "control": ARM,
                "treatment": "out",
                "overrides": [{"by": "route", "patterns": ["both"], "arm": "out"}],
            }
        },
    ) as gateway:
        yield Office(gateway, port, redis.url)


@asynccontextmanager
async def calling(
    office: Office, called: str, more: str = "", refer: str = "603 Decline", hops: int = 70
) -> AsyncIterator["Talk"]:
    """Place a call; ``refer`` is the answer to a REFER, ``hops`` the INVITE's Max-Forwards."""
    async with (
        CallsInRedis(office.redis_url) as calls,
        RtpCaller(office.gateway.sip_port) as caller,
    ):
        await calls.until_idle(office.gateway.node)  # the test before has not looked there
        caller.on_refer = lambda request: caller.respond(request, refer)
        caller.max_forwards = hops
        caller.invite(called, f"X-Account: 4711\r\n{more}Supported: 100rel")
        yield Talk(office, caller, calls)


class Talk:
    """A caller, and what is known of their call."""

    def __init__(self, office: Office, caller: RtpCaller, calls: CallsInRedis) -> None:
        self.caller = caller
        self._office = office
        self._calls = calls
        self.call_id = ""

    async def state(self) -> dict[str, str]:
        return await self._calls.reader.call(self.call_id) or {}

    async def begun(self) -> None:
        self.call_id = await self._calls.until_active(self._office.gateway.node)

    def hum(self) -> None:
        self.caller.speak(tone(CALLER_HZ, 8000, 8 * 60_000, amplitude=8000))

    async def hears(self, hz: float) -> None:
        def so() -> bool:
            latest = [each.samples for each in self.caller.heard[-25:]]
            return bool(latest) and hears(np.concatenate(latest), hz)

        await self.caller.until(so)

    async def says(self, speaker: str) -> str:
        return await self._calls.until_spoken(self.call_id, speaker, 1)

    async def told(self, kind: str) -> dict[str, str]:
        return (await self._calls.until_told(self.call_id, kind))[-1]

    async def over(self) -> Record:
        await self._calls.until_ended(self.call_id)
        await self._office.gateway.until_active(0)
        return await self._office.gateway.record_of(self.call_id)


async def joined(talk: Talk, vendor: Person) -> None:
    """Have both hum, and each hear the other."""
    vendor.hum(VENDOR_HZ)
    await talk.hears(VENDOR_HZ)
    talk.hum()
    await vendor.hears(CALLER_HZ)


async def test_the_caller_is_answered_when_the_agent_has_and_both_hear_each_other(
    office: Office,
) -> None:
    async with office.vendor(180) as vendor, calling(office, "out") as talk:
        invite = await vendor.called()
        await talk.caller.ringing()
        await talk.begun()
        assert talk.caller.status == 0
        vendor.sip.respond(invite, 200, audio_sdp(vendor.rtp.port))
        assert await talk.caller.answered() == 200
        await joined(talk, vendor)
        state = await talk.state()
        assert (state["state"], state["phase"], state["dialect"]) == ("bridged", "bridged", "sip")
        await talk.caller.hang_up()
        await asyncio.wait_for(vendor.call.ended.wait(), 60)
        record = await talk.over()
        metrics = await office.gateway.metrics()
    assert invite.header("X-Account") == "4711"
    assert invite.header("X-Bridge-Call-Id") == talk.call_id
    assert vendor.call.goodbye is not None
    assert vendor.call.goodbye.header("Reason").startswith("Q.850;cause=16")
    assert (record["arm"], record["dialect"], record["model"]) == ("out", "sip", "")
    assert (record["outcome"], record["reason"]) == ("completed", "caller_hung_up")
    assert record["handoffs"] == []
    assert record["greeting_ms"] > 0
    sound, _ = read_wav(Path(record["recording"]))
    assert level_at_db(sound[-4000:, 0], CALLER_HZ, 8000) > LOUD_DB
    assert level_at_db(sound[-4000:, 1], VENDOR_HZ, 8000) > LOUD_DB
    assert metrics.value("bridge_calls_answered_total", arm="out", route="out") == 1
    assert metrics.value("bridge_silent_calls_total", arm="out") == 0


async def test_the_agent_hangs_up(office: Office) -> None:
    async with office.vendor() as vendor, calling(office, "out") as talk:
        await talk.begun()
        assert await talk.caller.answered() == 200
        await joined(talk, vendor)
        await vendor.call.bye()
        vendor.call.ended.set()
        await talk.caller.until(talk.caller.ended.is_set)
        record = await talk.over()
    assert (record["outcome"], record["reason"]) == ("completed", "agent_hung_up")
    assert header(talk.caller.bye, "Reason").startswith("Q.850;cause=16")


async def test_both_hang_up_at_once(office: Office) -> None:
    async with office.vendor() as vendor, calling(office, "out") as talk:
        await talk.begun()
        assert await talk.caller.answered() == 200
        await joined(talk, vendor)
        talk.caller.send_bye()
        await vendor.call.bye()
        vendor.call.ended.set()
        record = await talk.over()
    assert record["outcome"] == "completed"


async def test_keys_and_holds_pass(office: Office) -> None:
    async with (
        office.vendor() as vendor,
        SipPeer(office.gateway.sip_port) as sip,
        RtpPeer() as rtp,
    ):
        caller = Phone(rtp, sip.call("out", audio_sdp(rtp.port)))
        assert caller.dialog is not None
        rtp.stream((await caller.dialog.final()).media_port)
        vendor.hum(VENDOR_HZ, 3_000)
        await caller.hears(VENDOR_HZ)
        vendor.dialog = vendor.call
        rtp.press("7#")
        vendor.rtp.press("5")
        await wait_until(lambda: vendor.digits == "7#", "the caller's keys were not passed")
        await wait_until(lambda: caller.digits == "5", "the agent's key was not passed")
        await vendor.offer("inactive")
        await caller.hears(CALLER_HZ)  # the bridge's tone: they wait
        vendor.rtp.silence()
        vendor.hum(VENDOR_HZ)
        await vendor.offer("sendrecv")
        await caller.hears(VENDOR_HZ)
        await caller.offer("inactive")
        await vendor.silence()
        await caller.offer("sendrecv")
        await caller.hears(VENDOR_HZ)
        refused = await vendor.dialog.refer("sip:premium@127.0.0.1")
        assert refused.status == 603
        await caller.hears(VENDOR_HZ)
        await caller.dialog.bye()
        await asyncio.wait_for(vendor.call.ended.wait(), 60)
        await office.gateway.until_active(0)


@pytest.mark.parametrize("status", [486, 503, 404])
async def test_an_agent_that_is_not_had_refuses_the_call(office: Office, status: int) -> None:
    async with office.vendor(status) as vendor, calling(office, "out") as talk:
        await vendor.called()
        assert await talk.caller.answered() == 503
        await office.gateway.until_active(0)
        [*_, record] = [each for each in await office.gateway.records(1) if each["route"] == "out"]
    assert record


async def test_an_agent_that_does_not_answer_is_let_go_and_a_late_answer_is_ended(
    office: Office,
) -> None:
    async with office.vendor(180) as vendor, calling(office, "sorry") as talk:
        invite = await vendor.called()
        await talk.begun()
        vendor.sip.takes_cancel = False
        assert await talk.caller.answered() == 200
        assert await talk.says("bridge") == SORRY
        vendor.sip.respond(invite, 200, audio_sdp(vendor.rtp.port))
        await wait_until(lambda: vendor.call.goodbye, "the late answer was kept")
        vendor.call.ended.set()
        record = await talk.over()
    assert record["outcome"] == "session_unavailable"
    assert {each["code"] for each in record["failures"]} == {"no_answer"}


async def test_an_agent_that_answers_and_sends_nothing_is_replaced_by_the_fallback(
    office: Office,
) -> None:
    async with office.vendor_that(200, free_port()) as vendor, calling(office, "sorry") as talk:
        await talk.begun()
        assert await talk.caller.answered() == 200
        assert await talk.says("bridge") == SORRY
        for dialog in vendor.calls_in:
            await asyncio.wait_for(dialog.ended.wait(), 60)
        record = await talk.over()
    assert record["outcome"] == "session_lost"
    assert {each["code"] for each in record["failures"]} == {"agent_left"}


async def test_an_agent_that_hangs_up_at_once_is_replaced_by_the_fallback(office: Office) -> None:
    async with office.vendor() as vendor, calling(office, "sorry") as talk:
        await talk.begun()
        seen: list[Dialog] = []

        async def hang_up() -> None:
            while True:
                await wait_until(lambda: len(vendor.sip.calls_in) > len(seen), "no other call")
                seen.append(vendor.sip.calls_in[-1])
                await asyncio.sleep(0.05)
                await seen[-1].bye()
                seen[-1].ended.set()

        hanging_up = asyncio.create_task(hang_up())
        assert await talk.caller.answered() == 200
        assert await talk.says("bridge") == SORRY
        record = await talk.over()
        hanging_up.cancel()
        await asyncio.gather(hanging_up, return_exceptions=True)
    assert record["outcome"] == "session_lost"
    assert {each["code"] for each in record["failures"]} == {"agent_left"}


@pytest.mark.parametrize("status", [486, 503])
async def test_the_other_arm_takes_a_call_whose_agent_is_not_had(
    office: Office, status: int
) -> None:
    async with office.vendor(status) as vendor, calling(office, "both") as talk:
        await vendor.called()
        await talk.begun()
        assert await talk.caller.answered() == 200
        assert await talk.says("agent")
        await talk.caller.hang_up()
        record = await talk.over()
    assert (record["arm"], record["rescued_by"], record["dialect"]) == ("out", ARM, "ga")
    assert [each["code"] for each in record["failures"]] == [f"sip_{status}"]


async def test_the_other_arm_greets_where_the_agent_sends_nothing(office: Office) -> None:
    async with office.vendor_that(200, free_port()) as vendor, calling(office, "both") as talk:
        await talk.begun()
        assert await talk.caller.answered() == 200
        assert await talk.says("agent")
        await asyncio.wait_for(vendor.calls_in[0].ended.wait(), 60)
        await talk.caller.hang_up()
        record = await talk.over()
    assert (record["arm"], record["rescued_by"]) == ("out", ARM)


async def test_a_caller_who_gives_up_takes_the_agents_call_back(office: Office) -> None:
    async with office.vendor(180) as vendor, calling(office, "out") as talk:
        await vendor.called()
        await talk.begun()
        talk.caller.cancel()
        assert await talk.caller.answered() == 487
        await asyncio.wait_for(vendor.call.ended.wait(), 60)
        record = await talk.over()
    assert record["outcome"] == "cancelled"
    assert record["failures"] == []


async def test_the_disclosure_is_heard_before_the_agent_is_called(office: Office) -> None:
    async with office.vendor() as vendor, calling(office, "told") as talk:
        await talk.begun()
        assert await talk.caller.answered() == 200
        assert not vendor.invites
        await talk.told("disclosure_spoken")
        await vendor.called()
        await joined(talk, vendor)
        await talk.caller.hang_up()
        await asyncio.wait_for(vendor.call.ended.wait(), 60)
        record = await talk.over()
    assert (record["outcome"], record["reason"]) == ("completed", "caller_hung_up")


async def test_the_trunk_takes_the_caller_to_the_agent(office: Office) -> None:
    async with calling(office, "sent", refer="202 Accepted") as talk:
        caller = talk.caller
        await talk.begun()
        assert await caller.answered() == 200
        await caller.until(lambda: bool(caller.refers))
        caller.notify("200 OK", over=True)
        await caller.until(caller.ended.is_set)
        record = await talk.over()
    assert header(caller.refers[0], "Refer-To") == f"<sip:agent@127.0.0.1:{office.vendor_port}>"
    assert (record["outcome"], record["reason"]) == ("transferred", "sent_to_arm")
    assert record["handoffs"] == []


async def test_an_agent_is_bridged_where_the_trunk_refuses_the_refer(office: Office) -> None:
    async with office.vendor() as vendor, calling(office, "sent") as talk:
        await talk.begun()
        assert await talk.caller.answered() == 200
        await joined(talk, vendor)
        await talk.caller.hang_up()
        await asyncio.wait_for(vendor.call.ended.wait(), 60)
        record = await talk.over()
    assert len(talk.caller.refers) == 1
    assert (record["outcome"], record["reason"]) == ("completed", "caller_hung_up")


async def test_a_supervisor_takes_the_caller_over_and_gives_them_back(office: Office) -> None:
    """Nobody's microphone comes, so the caller goes back to an agent, who is called anew."""
    control = ControlSender(RedisSettings(), office.redis_url, clock=SystemClock())

    async def order(action: str, **params: object) -> Answer | None:
        return await control.send(
            *(office.gateway.node, talk.call_id, action, params),
            by="eve",
            command_id=f"{action}-{talk.call_id}",
        )

    async with office.vendor() as vendor, calling(office, "out") as talk:
        await talk.begun()
        assert await talk.caller.answered() == 200
        await joined(talk, vendor)
        assert await order("whisper", text="Be nice.") == Answer(False, "handed_over")
        assert await order("say", text="Hello.") == Answer(False, "handed_over")
        assert await order("take_over") == Answer(True)
        await asyncio.wait_for(vendor.call.ended.wait(), 60)
        await wait_until(lambda: len(vendor.invites) == 2, "the agent was not called again")
        vendor.hum(VENDOR_HZ)
        await talk.hears(VENDOR_HZ)
        await vendor.hears(CALLER_HZ)
        await talk.caller.hang_up()
        await asyncio.wait_for(vendor.call.ended.wait(), 60)
        record = await talk.over()
    await control.aclose()
    assert (record["outcome"], record["reason"]) == ("completed", "caller_hung_up")
    assert [each["action"] for each in record["supervised"]] == ["take_over"]
    assert record["failures"] == []


async def test_ringing_with_audio_that_ends_in_a_refusal_is_a_refusal(office: Office) -> None:
    async with office.vendor(180) as vendor, calling(office, "both") as talk:
        invite = await vendor.called()
        await talk.begun()
        vendor.sip.respond(invite, 183, audio_sdp(vendor.rtp.port))
        vendor.hum(VENDOR_HZ)
        vendor.sip.respond(invite, 486)
        vendor.call.ended.set()
        assert await talk.caller.answered() == 200
        assert await talk.says("agent")
        await talk.caller.hang_up()
        record = await talk.over()
    assert record["rescued_by"] == ARM
    assert [each["code"] for each in record["failures"]] == ["sip_486"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"], ids=["own host", "another host"])
async def test_audio_counts_from_the_agents_host_alone(office: Office, host: str) -> None:
    """From another port than its SDP says it is the agent's; from another host it is nobody's."""

    def on_call(invite: PhoneMessage) -> tuple[int, str]:
        stray.stream(invite.media_port, "127.0.0.1")
        return 200, audio_sdp(free_port())

    async with office.vendor_that(200, free_port()) as vendor, RtpPeer(host=host) as stray:
        vendor.on_call = on_call
        stray.say(tone(VENDOR_HZ, 8000, 8 * 60_000, amplitude=8000))
        async with calling(office, "sorry") as talk:
            await talk.begun()
            assert await talk.caller.answered() == 200
            if host == "127.0.0.1":
                await talk.hears(VENDOR_HZ)
                await talk.caller.hang_up()
            else:
                assert await talk.says("bridge") == SORRY
            record = await talk.over()
        for dialog in vendor.calls_in:
            await asyncio.wait_for(dialog.ended.wait(), 60)
    assert record["outcome"] == ("completed" if host == "127.0.0.1" else "session_lost")


async def test_a_call_that_left_a_bridge_does_not_leave_it_again(office: Office) -> None:
    more = "X-Bridge-Call-Id: c_0123456789abcdef\r\n"
    async with office.vendor() as vendor, calling(office, "out", more) as talk:
        assert await talk.caller.answered() == 482
        assert not vendor.invites


@pytest.mark.parametrize("hops", [1, 12])
async def test_the_agents_call_has_one_hop_less_than_the_callers(office: Office, hops: int) -> None:
    async with office.vendor(486) as vendor, calling(office, "out", hops=hops) as talk:
        invite = await vendor.called()
        assert await talk.caller.answered() == 503
        await office.gateway.until_active(0)
    assert invite.header("Max-Forwards") == str(hops - 1)


async def test_a_call_without_a_hop_left_is_refused_where_it_would_go_on(office: Office) -> None:
    async with office.vendor() as vendor, calling(office, "out", hops=0) as talk:
        assert await talk.caller.answered() == 483
        assert talk.caller.final.startswith("SIP/2.0 483 Too Many Hops")
        assert not vendor.invites


async def test_a_call_over_the_trunks_limit_stays_and_says_why(office: Office) -> None:
    async with office.vendor() as vendor, calling(office, "capped") as first:
        await first.begun()
        assert await first.caller.answered() == 200
        await joined(first, vendor)
        async with RtpCaller(office.gateway.sip_port) as second:
            second.invite("capped")
            assert await second.answered() == 200
            await second.until(lambda: any(each.loud for each in second.heard))
            await second.hang_up()
        await first.hears(VENDOR_HZ)
        await first.caller.hang_up()
        await asyncio.wait_for(vendor.call.ended.wait(), 60)
        kept = await first.over()
        records = await office.gateway.records(2)
        metrics = await office.gateway.metrics()
    [refused] = [each for each in records if each["route"] == "capped" and each != kept]
    assert {each["code"] for each in refused["failures"]} == {"trunk_full"}
    assert len(vendor.invites) == 1
    assert (kept["outcome"], kept["failures"]) == ("completed", [])
    assert metrics.value("bridge_calls_not_placed_total", reason="trunk_full", trunk="vendor") >= 1
