"""A SIP phone in a process of its own; it stands where a caller stands.

It calls from one address and one port, and PJSIP is there while the phone is switched on.
"""

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from bridge.clock import Clock
from bridge.config.sip import SipSettings
from bridge.errors import TelephonyError
from bridge.softphone.background import Background, Echo, NoiseLoop
from bridge.softphone.call import PhoneCall
from bridge.softphone.ear import EAR_HZ, PIECE_MS
from bridge.softphone.events import SoftphoneListener
from bridge.softphone.settings import EchoPath, Media
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.pump import Pump
from bridge.telephony.tick import Ticker

_AHEAD_MS = 100
_BYE_TIMEOUT_S = 1.0
_ECHO_SLACK_MS = 60
"""Pieces come and go in 20 ms; a loop that is late by two of them loses none."""


class Softphone:
    """A SIP phone. Use as an async context manager; then :meth:`call`.

    Python's cycle collector rests while it is switched on: a collection in PJSIP's audio thread or
    in a worker would free pjsua2 objects there, which crashes PJSIP.

    Args:
        clock: stamps audio and measures how long the answer takes.
        on_event: hears what happens.
        recording: stereo WAV of the call, caller left, agent right; None records nothing.
        host: address to speak from; ``0.0.0.0`` lets the route to the far end decide.
        media: codec, packet time, and how keys go.
        noise: (n,) int16 at 24 kHz, under all that the phone sends, again and again; None for none.
        echo: lets the agent's voice back; None: nothing does.
    """

    def __init__(
        self,
        clock: Clock,
        on_event: SoftphoneListener,
        *,
        recording: Path | None = None,
        host: str = "127.0.0.1",
        media: Media | None = None,
        noise: npt.NDArray[np.int16] | None = None,
        echo: EchoPath | None = None,
    ) -> None:
        self._clock = clock
        self._on_event = on_event
        self._recording = recording
        self._media = media or Media()
        self._noise = noise
        self._echo = echo
        self._endpoint = SipEndpoint(
            SipSettings(host=host, port=0, codecs=(self._media.codec,)),
            ptime_ms=self._media.ptime_ms,
        )
        self._pump: Pump | None = None
        self._ticker = Ticker(self._tick, period_ms=10, clock=clock, on_lag=lambda ns: None)
        self._collecting = True

    async def __aenter__(self) -> Self:
        self._collecting = gc.isenabled()
        gc.disable()
        try:
            self._endpoint.start()
        except BaseException:
            self._let_collect()
            raise
        self._pump = Pump(self._endpoint.ports, self._clock, append_ms=PIECE_MS, ahead_ms=_AHEAD_MS)
        self._ticker.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for leg in list(self._endpoint.legs):
            leg.hangup()
        await self._endpoint.idle(timeout_s=_BYE_TIMEOUT_S)
        self._ticker.stop()
        self._endpoint.stop()
        self._let_collect()

    def call(
        self, uri: str, headers: Mapping[str, str] | None = None, *, caller: str | None = None
    ) -> PhoneCall:
        """Send an INVITE.

        Args:
            uri: whom to call.
            headers: of the INVITE, beside the usual ones.
            caller: number or name in its From header; None for the phone's own.

        Raises:
            TelephonyError: the URI can't be called.
        """
        if self._pump is None:
            raise TelephonyError("the phone is not switched on")
        leg = self._endpoint.dial(uri, headers, caller=caller)
        return PhoneCall(
            leg,
            self._pump,
            self._clock,
            self._on_event,
            self._recording,
            keys_by_info=self._media.dtmf == "info",
            background=self._background(),
        )

    def _background(self) -> Background | None:
        if self._noise is None and self._echo is None:
            return None
        noise = None if self._noise is None else NoiseLoop(self._noise)
        echo = None
        if self._echo is not None:
            slack = EAR_HZ * _ECHO_SLACK_MS // 1000
            echo = Echo(self._echo.delay_ms * EAR_HZ // 1000, self._echo.gain, slack)
        return Background(noise, echo)

    def _tick(self) -> None:
        self._endpoint.poll()
        if self._pump is not None:
            self._pump.tick()

    def _let_collect(self) -> None:
        if self._collecting:
            gc.collect()
            gc.enable()
