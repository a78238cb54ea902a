"""Calls of G.711 and of G.722 through one gateway: who hears whom, and what is recorded of it.

Callers, persons and phones are on a trunk with G.722 (127.0.0.2) or on one without (127.0.0.1), and
hum as high as their codec carries: nothing on the way may be narrower, and what the next
codec can't carry must not fold into what it can.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bridge.app.gateway import Gateway
from bridge.audio.wav import read_wav
from bridge.live.call import CallRunner
from bridge.live.records.summary import CallSummary
from bridge.softphone.sip_message import PhoneMessage, audio_sdp, parameter
from bridge.store.control import Answer
from bridge.telephony.taps import AGENT, CALLER
from tests.live.conftest import StartGateway
from tests.live.peer import RATE_HZ as SERVICE_HZ
from tests.live.peer import TonePeer
from tests.live.service import Service, tone_service
from tests.support.person import Phone, a_person, hears, is_tone
from tests.support.ports import free_port
from tests.support.rtp import RtpPeer
from tests.support.sip import Dialog, Headers, SipPeer
from tests.support.supervisor import VOICE_HZ, Supervisor

pytestmark = [pytest.mark.sip, pytest.mark.redis]

NODE_HZ = 16_000
LONG_MS, SHORT_MS = 60_000, 3_000


@dataclass(frozen=True, slots=True)
class End:
    """One kind of far end.

    Attributes:
        high_hz: a tone as high as its codec carries.
        other_hz: such a one for the other side of a talk.
    """

    name: str
    host: str
    codec: int
    high_hz: float
    other_hz: float

    def __str__(self) -> str:
        return self.name


WIDE = End("G722", "127.0.0.2", 9, 5_000.0, 4_600.0)
NARROW = End("PCMU", "127.0.0.1", 0, 3_300.0, 2_900.0)
NARROW_ON_WIDE = replace(NARROW, host=WIDE.host)
SIP = {
    "trunks": {"narrow": NARROW.host, "wide": {"addresses": WIDE.host, "codecs": ["G722", "PCMU"]}},
    "supervisor_phones": ["sip:eve@*"],
}
"""5,000 Hz would fold to 3,000 at 8 kHz, and 4,600 to 3,400."""


@dataclass
class Call:
    """A call whose agent hums as high as the caller's codec carries, and has been heard."""

    caller: Phone
    dialog: Dialog
    answer: PhoneMessage
    runner: CallRunner
    session: TonePeer

    async def agent_hears(self, hz: float) -> None:
        """Have the caller hum, and wait until the tone is what the service gets."""
        self.caller.hum(hz)
        await self.session.until(
            lambda: hears(np.concatenate(self.session.latest)[-SERVICE_HZ // 2 :], hz, SERVICE_HZ)
        )
        self.caller.rtp.silence()


@dataclass
class Site:
    """A gateway with both trunks, its service and its SIP port."""

    gateway: Gateway
    service: Service
    port: int

    @asynccontextmanager
    async def phone(self, end: End, more: Headers = ()) -> AsyncIterator[tuple[Phone, Dialog]]:
        """Have a phone call; it hangs up behind the block, unless its call is over then."""
        async with SipPeer(self.port, host=end.host) as sip, RtpPeer(end.codec) as rtp:
            dialog = sip.call("support", audio_sdp(rtp.port, (end.codec,)), more)
            answer = await dialog.final()
            assert (answer.status, answer.codec) == (200, end.codec)
            rtp.stream(answer.media_port)
            yield Phone(rtp, dialog), dialog
            if not dialog.ended.is_set():
                assert (await dialog.bye()).status == 200

    @asynccontextmanager
    async def call(self, end: End) -> AsyncIterator[Call]:
        """Have a caller call, and hear the agent."""
        self.service.tone_hz = end.high_hz
        known, number = set(self.gateway.calls), len(self.service.sessions) + 1
        async with self.phone(end) as (caller, dialog):
            session = await self.service.session(number)
            (runner,) = set(self.gateway.calls) - known
            await caller.hears(end.high_hz)
            assert dialog.answer is not None
            yield Call(caller, dialog, dialog.answer, runner, session)

    async def over(self) -> None:
        """Wait for the end of all calls."""
        await asyncio.gather(*self.gateway.calls.values())


@asynccontextmanager
async def a_site(
    start_gateway: StartGateway,
    *,
    greeting_ms: int = LONG_MS,
    dialplan: Mapping[str, object] | None = None,
) -> AsyncIterator[Site]:
    async with tone_service() as (service, url):
        service.tone_ms = greeting_ms
        gateway, port = await start_gateway(url, dialplan=dialplan, sip=SIP)
        yield Site(gateway, service, port)


async def reaches(speaker: Phone, hz: float, hearer: Phone) -> None:
    """Have one hum; the other hears it, or nothing where their codec can't carry it."""
    if hz < hearer.rtp.rate_hz / 2:
        speaker.hum(hz)
        await hearer.hears(hz)
    else:
        speaker.hum(NARROW.high_hz)
        await hearer.hears(NARROW.high_hz)
        speaker.rtp.silence()
        speaker.hum(hz)
        await hearer.silence()
    speaker.rtp.silence()


def recorded(directory: Path, summary: CallSummary) -> npt.NDArray[np.int16]:
    """Return a recording, which has the rate of the node and the length of the call."""
    sides, rate_hz = read_wav(directory / f"{summary.call_id}.wav")
    assert rate_hz == NODE_HZ
    assert len(sides) / NODE_HZ == pytest.approx(summary.duration_ms / 1000, abs=0.5)
    return sides


def holds(side: npt.NDArray[np.int16], hz: float) -> bool:
    """Return whether some 300 ms of a recording's side are a tone."""
    size = NODE_HZ * 3 // 10
    starts = range(0, len(side) - size + 1, NODE_HZ // 20)
    return any(is_tone(side[start : start + size], hz, NODE_HZ) for start in starts)


@pytest.mark.parametrize(
    ("caller_end", "person_end"), [(WIDE, NARROW), (NARROW, WIDE), (WIDE, WIDE)], ids=str
)
async def test_caller_is_handed_to_a_person_and_comes_back(
    start_gateway: StartGateway, tmp_path: Path, caller_end: End, person_end: End
) -> None:
    port = free_port()
    ann = {"to": f"sip:ann@{person_end.host}:{port}", "refer": False}
    plan = {"handoff": {"targets": {"ann": {**ann, "when_person_leaves": "hand_back"}}}}
    async with (
        a_site(start_gateway, greeting_ms=SHORT_MS, dialplan=plan) as site,
        a_person(site.port, port, host=person_end.host, codecs=(person_end.codec,)) as person,
    ):
        async with site.call(caller_end) as call:
            await call.agent_hears(caller_end.high_hz)
            order = Supervisor(call.runner).orders("transfer", target="ann")
            assert order == Answer(True)
            await person.called()
            await reaches(call.caller, caller_end.high_hz, person)
            await reaches(person, person_end.other_hz, call.caller)
            await person.call.bye()
            person.call.ended.set()
            await call.caller.hears(caller_end.high_hz)  # the agent again
            call.session = site.service.sessions[-1]
            await call.agent_hears(caller_end.other_hz)
        await site.over()
    summary = call.runner.record.summary
    assert summary.codec == caller_end.name
    assert [(each.target, each.result) for each in summary.handoffs] == [("ann", "completed")]
    sides = recorded(tmp_path, summary)
    assert holds(sides[:, CALLER], caller_end.high_hz)
    assert holds(sides[:, CALLER], caller_end.other_hz)
    assert holds(sides[:, AGENT], caller_end.high_hz)
    assert holds(sides[:, AGENT], person_end.other_hz)


@pytest.mark.parametrize(
    ("caller_end", "phone_end"), [(WIDE, NARROW), (NARROW, WIDE), (WIDE, WIDE)], ids=str
)
async def test_a_supervisors_phone_hears_the_call_and_is_heard_in_it(
    start_gateway: StartGateway, tmp_path: Path, caller_end: End, phone_end: End
) -> None:
    port = free_port()
    async with (
        a_site(start_gateway) as site,
        a_person(site.port, port, host=phone_end.host, codecs=(phone_end.codec,)) as phone,
    ):
        async with site.call(caller_end) as call:
            via = f"sip:eve@{phone_end.host}:{port}"
            eve = Supervisor(call.runner)
            assert eve.orders("listen", via=via, may_take_over=True) == Answer(True)
            await phone.called()
            if caller_end.high_hz < phone.rtp.rate_hz / 2:
                await phone.hears(caller_end.high_hz)  # the agent
            phone.rtp.press("*3")
            await call.session.until_sent("response.cancel")
            await phone.silence()
            await reaches(phone, phone_end.other_hz, call.caller)
            await reaches(call.caller, caller_end.high_hz, phone)
        await asyncio.wait_for(phone.call.ended.wait(), 60)
        await site.over()
    sides = recorded(tmp_path, call.runner.record.summary)
    assert holds(sides[:, CALLER], caller_end.high_hz)
    assert holds(sides[:, AGENT], phone_end.other_hz)


async def test_both_kinds_of_call_at_once_with_supervisors_at_microphones(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    async with a_site(start_gateway) as site:
        async with site.call(WIDE) as wide, site.call(NARROW) as narrow:
            for call, end in ((wide, WIDE), (narrow, NARROW)):
                await call.caller.hears(end.high_hz)
                eve = Supervisor(call.runner)
                frames = await eve.hears(50)
                assert {each.stereo.shape for each in frames} == {(NODE_HZ // 50, 2)}
                heard = np.concatenate([each.stereo[:, AGENT] for each in frames])
                assert holds(heard, end.high_hz)
                await call.agent_hears(end.other_hz)
                async with eve.at_the_microphone():
                    assert eve.orders("take_over") == Answer(True)
                    await call.caller.hears(VOICE_HZ)
        await site.over()
    for call, end in ((wide, WIDE), (narrow, NARROW)):
        summary = call.runner.record.summary
        assert summary.codec == end.name
        sides = recorded(tmp_path, summary)
        assert holds(sides[:, CALLER], end.other_hz)
        assert holds(sides[:, AGENT], end.high_hz)
        assert holds(sides[:, AGENT], VOICE_HZ)


@pytest.mark.parametrize(
    ("first", "second"), [(WIDE, NARROW_ON_WIDE), (NARROW_ON_WIDE, WIDE)], ids=str
)
async def test_a_far_end_of_the_other_kind_takes_the_callers_place(
    start_gateway: StartGateway, tmp_path: Path, first: End, second: End
) -> None:
    """An attended transfer (RFC 3891) within a trunk: the agent goes on."""
    async with a_site(start_gateway, greeting_ms=SHORT_MS) as site:
        async with site.call(first) as call:
            own, far = (parameter(call.answer.header(name), "tag") for name in ("From", "To"))
            replaces = f"{call.dialog.call_id};to-tag={far};from-tag={own}"
            async with site.phone(second, (("Replaces", replaces),)) as (other, _):
                await asyncio.wait_for(call.dialog.ended.wait(), 60)
                call.caller = other
                await call.agent_hears(second.high_hz)
        await site.over()
    assert holds(recorded(tmp_path, call.runner.record.summary)[:, CALLER], second.high_hz)
