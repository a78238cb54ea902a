"""The person to whom a call is handed: a phone that answers, hears, speaks and presses keys."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from bridge.softphone.sip_message import Direction, PhoneMessage, audio_sdp
from tests.audio.signals import level_at_db, loudest_other_db, tone
from tests.support.rtp import TELEPHONE_EVENT, RtpPeer
from tests.support.sip import Dialog, SipPeer
from tests.support.waiting import wait_until

LOUD_DB = 60.0
"""A tone of amplitude 8000 is 78 dB; what is not there is below 20 dB after G.711."""

_WINDOW = 25


@dataclass
class Phone:
    """One side of a call, by its RTP.

    Attributes:
        offers: of ours so far, the first included.
    """

    rtp: RtpPeer
    dialog: Dialog | None = None
    offers: int = 1

    def hum(self, hz: float, ms: int = 60_000) -> None:
        """Say a tone."""
        rate_hz = self.rtp.rate_hz
        self.rtp.say(tone(hz, rate_hz, rate_hz * ms // 1000, amplitude=8000))

    async def hears(self, hz: float) -> None:
        """Wait until a tone is heard, by FFT over the latest half second."""
        await wait_until(lambda: hears(self.heard, hz, self.rtp.rate_hz), f"{hz} Hz was not heard")

    async def hears_speech(self) -> None:
        """Wait until something is heard."""
        await wait_until(
            lambda: len(self.heard) and np.abs(self.heard).max() > 1000,
            "nothing was heard",
        )

    async def silence(self) -> None:
        """Wait for half a second in which nothing is heard."""
        count = len(self.rtp.packets) + _WINDOW
        await wait_until(
            lambda: len(self.rtp.packets) >= count and np.abs(self.heard).max() < 500,
            "silence did not come",
        )

    @property
    def heard(self) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        """The latest half second, (n,) int16 at its codec's rate; less at the beginning."""
        latest = self.rtp.packets[-4 * _WINDOW :]
        since = len(self.rtp.packets) - len(latest)
        sound = self.rtp.heard(self.rtp.payload_type, since)
        return sound[-_window_samples(self.rtp.rate_hz) :]

    @property
    def digits(self) -> str:
        """The keys that came as telephone-events."""
        events = [p for p in self.rtp.packets if p.payload_type == TELEPHONE_EVENT]
        begun = {packet.timestamp: packet.payload[0] for packet in events}
        return "".join("0123456789*#ABCD"[number] for number in begun.values())

    async def offer(self, direction: Direction) -> None:
        """Make a new offer: hold, or its end."""
        assert self.dialog is not None
        self.offers += 1
        sdp = audio_sdp(self.rtp.port, direction=direction, version=self.offers)
        answer = await self.dialog.reinvite(sdp)
        assert answer.status == 200
        self.rtp.stream(answer.media_port)


@dataclass
class Person(Phone):
    """Who is called.

    Attributes:
        sip: their signalling.
        status: how they answer: 200, 180 to let it ring, or a refusal.
        invites: that came.
    """

    sip: SipPeer = field(kw_only=True)
    status: int = 200
    invites: list[PhoneMessage] = field(default_factory=list)

    @property
    def call(self) -> Dialog:
        """The latest call, once it is answered or rings."""
        return self.sip.calls_in[-1]

    async def called(self) -> PhoneMessage:
        """Wait for a call; return its INVITE."""
        await wait_until(lambda: self.invites, "nobody called the person")
        return self.invites[-1]


def hears(
    sound: np.ndarray[tuple[int], np.dtype[np.int16]], hz: float, rate_hz: int = 8_000
) -> bool:
    """Tell whether half a second of sound is a tone."""
    return len(sound) >= _window_samples(rate_hz) and is_tone(sound, hz, rate_hz)


def is_tone(sound: np.ndarray[tuple[int], np.dtype[np.int16]], hz: float, rate_hz: int) -> bool:
    """Tell whether sound is a tone: speech holds every pitch, but others, too."""
    level_db = level_at_db(sound, hz, rate_hz)
    return level_db > LOUD_DB and loudest_other_db(sound, hz, rate_hz) < level_db - 20


def _window_samples(rate_hz: int) -> int:
    return _WINDOW * rate_hz // 50


@asynccontextmanager
async def a_person(
    server_port: int,
    port: int,
    status: int = 200,
    *,
    host: str = "127.0.0.1",
    codecs: tuple[int, ...] = (0, 8),
) -> AsyncIterator[Person]:
    """Have a person at ``port`` while the block runs.

    Args:
        host: where they are called, another address of loopback for another trunk.
        codecs: payload types of their answer; they speak the first.
    """
    async with SipPeer(server_port, port, host) as sip, RtpPeer(codecs[0]) as rtp:
        person = Person(rtp, sip=sip, status=status)

        def on_call(invite: PhoneMessage) -> tuple[int, str]:
            person.invites.append(invite)
            rtp.stream(invite.media_port)
            offered = re.search(r"a=rtpmap:(\d+) telephone-event", invite.body)
            assert offered is not None, "no keys were offered"
            rtp.event_type = int(offered.group(1))
            return person.status, audio_sdp(rtp.port, codecs)

        sip.on_call = on_call
        yield person
        # Whoever called has let go of everything, or this says so.
        for dialog in sip.calls_in:
            await wait_until(dialog.ended.is_set, "a call to the person was left")
