"""A phone on a trunk with or without G.722: its SIP and RTP by hand, its call in the endpoint.

The trunk at 127.0.0.1 has G.722 and PCMU, the one at 127.0.0.2 what there is without a word of it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from tests.audio.signals import tone
from tests.support.raw_sip import RawSip, RawTalk, Reply, sdp
from tests.support.rtp import TELEPHONE_EVENT, RtpPeer
from tests.support.waiting import wait_until
from tests.telephony.fake_ports import AGENT_HZ, Sound
from tests.telephony.rig import Call, Rig

WIDE, NARROW = "127.0.0.1", "127.0.0.2"
WIDE_TRUNKS = {"wide": {"addresses": WIDE, "codecs": ["G722", "PCMU"]}, "narrow": NARROW}
WIDE_HZ, NARROW_HZ = 16_000, 8_000
HIGH_HZ, LOW_HZ = 5_000.0, 1_000.0
"""A tone that G.711 can't carry, and one that both can."""
WINDOW = 20
"""Packets that are listened to: 400 ms."""
_KEYS = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
_G722 = "a=rtpmap:9 G722/8000\r\n"


def audio(port: int, *payload_types: int, more: str = _G722) -> str:
    """Return the section of an SDP: what it offers, and more lines of it."""
    listed = " ".join(map(str, payload_types))
    return f"m=audio {port} RTP/AVP {listed} 101\r\n{more}{_KEYS}"


def taken(answer: Reply) -> list[str]:
    """Return the payload types of an answer's audio, keys left out."""
    return [each for each in answer.media[0].split()[3:] if int(each) < 96]


def stands_out(sound: Sound, hz: float, rate_hz: int) -> bool:
    """Return whether a tone is far above all that is not near it."""
    if not sound.size:
        return False
    levels = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    at_hz = np.fft.rfftfreq(sound.size, 1 / rate_hz)
    near = np.abs(at_hz - hz) < 40
    return bool(levels[near].max() > 10 * levels[~near & (at_hz > 60)].max())


@dataclass
class WidePhone:
    """A phone's audio in a call that goes on."""

    rtp: RtpPeer
    call: Call

    def hum(self, hz: float) -> None:
        """Say a tone, for longer than a test takes."""
        rate_hz = self.rtp.rate_hz
        self.rtp.say(tone(hz, rate_hz, 20 * rate_hz, amplitude=8_000))

    async def is_heard(self, hz: float) -> None:
        """Hum, and wait until the tone is what the service would get."""
        self.hum(hz)
        await wait_until(lambda: self.comes_up(hz), f"{hz} Hz did not come up")
        self.rtp.silence()

    def comes_up(self, hz: float) -> bool:
        """Return whether the service would get a tone just now."""
        latest = self.call.heard_since(max(len(self.call.pieces) - WINDOW, 0))
        return stands_out(latest, hz, AGENT_HZ)

    async def hears_agent(self, hz: float) -> None:
        """Have the agent hum, and wait until its tone is what the phone hears."""
        self.call.play_tone(hz, 2_000, f"item-{hz}-{len(self.rtp.packets)}")
        await self.hears(hz)

    async def hears(self, hz: float) -> None:
        """Wait until the phone hears a tone."""
        await wait_until(
            lambda: stands_out(self.heard(len(self.rtp.packets) - WINDOW), hz, self.rtp.rate_hz),
            f"{hz} Hz did not come down",
        )

    def heard(self, since: int) -> Sound:
        """Return what it heard from a packet on, in its codec."""
        return self.rtp.heard(self.rtp.payload_type, max(since, 0))

    async def hears_more(self) -> Sound:
        """Wait for a window's packets, and return what they hold."""
        since = len(self.rtp.packets)
        await wait_until(lambda: len(self.rtp.packets) > since + WINDOW, "nothing is sent")
        return self.heard(since)

    def ended_events(self) -> list[int]:
        """Return how long each key of ours was, by its own clock (RFC 4733 section 2.3)."""
        events = [each for each in self.rtp.packets if each.payload_type == TELEPHONE_EVENT]
        ended = {each.timestamp: each.payload for each in events if each.payload[1] & 0x80}
        return [int.from_bytes(payload[2:4], "big") for payload in ended.values()]


@dataclass
class WideCaller(WidePhone):
    """A phone that has called.

    Attributes:
        sdp: the answer's.
    """

    talk: RawTalk
    sdp: str

    async def offers(self, *payload_types: int) -> None:
        """Have the call move to what a new offer of the phone's has."""
        changes = len(self.call.media)
        answer = await self.talk.call(sdp(audio(self.rtp.port, *payload_types)))
        await wait_until(lambda: len(self.call.media) > changes, "no new media")
        self.rtp.payload_type = int(taken(answer)[0])
        self.rtp.silence()
        self.rtp.packets.clear()


@asynccontextmanager
async def calling(
    rig: Rig,
    host: str,
    *payload_types: int,
    more: str = _G722,
    ptime_ms: int = 20,
    clock_hz: int = 8_000,
) -> AsyncIterator[WideCaller]:
    """Place a call by an offer, talk in what was agreed on, and hang up behind the block.

    Args:
        more: lines of the offer.
        ptime_ms, clock_hz: as of :class:`RtpPeer`.
    """
    async with RawSip(rig.endpoint.port, host) as sip, RtpPeer() as rtp:
        rtp.ptime_ms, rtp.clock_hz = ptime_ms, clock_hz
        talk, number = sip.talk(), len(rig.calls)
        answer = await talk.call(sdp(audio(rtp.port, *payload_types, more=more)))
        rtp.payload_type = int(taken(answer)[0])
        rtp.stream(int(answer.media[0].split()[1]))
        call = await rig.call_in(number)
        await call.until(lambda: call.media, "media")
        yield WideCaller(rtp, call, talk, answer.body.decode())
        assert (await talk.ask("BYE")).code == 200
