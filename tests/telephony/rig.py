"""PJSIP in the test's process, ticked by its loop, with a listener that keeps what each call did.

There is one PJSIP in a process at a time: a test has one :class:`Rig`, mostly by :func:`running`.
"""

import gc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import numpy as np

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.clock import SystemClock
from bridge.config.sip import SipSettings
from bridge.realtime.ids import ItemId
from bridge.sip.sources import TurnedAway
from bridge.telephony.endpoint import MediaPortsKind, SipEndpoint
from bridge.telephony.keys import KeyPress
from bridge.telephony.leg import Leg, LegState, TransferProgress
from bridge.telephony.library import load_symbols
from bridge.telephony.lines import Line
from bridge.telephony.pump import Pump
from bridge.telephony.tick import Ticker
from tests.audio.signals import tone
from tests.support.waiting import wait_until
from tests.telephony.fake_ports import AGENT_HZ, Sound
from tests.telephony.trunk_far_end import SECRET

_TICK_MS = 10
AHEAD_MS = 200


def has_memory_ports() -> bool:
    """Tell whether the capacity build is loaded; the pip wheel leaves the memory ports out."""
    return hasattr(load_symbols(), "pjmedia_mem_player_create")


class Call:
    """One leg's listener. Takes up its audio when media flows, as the gateway does.

    Attributes:
        media: what ``on_media`` was told, in order.
        pieces: caller audio, 24 kHz.
    """

    def __init__(self, leg: Leg, pump: Pump) -> None:
        self.leg = leg
        self.states: list[LegState] = []
        self.media: list[bool] = []
        self.replaced = 0
        self.presses: list[KeyPress] = []
        self.transfers: list[TransferProgress] = []
        self.pieces: list[Sound] = []
        self.playout: list[PlayoutStarted | PlayoutDrained] = []
        self._pump = pump
        self._line: Line | None = None
        leg.listener = self
        leg.before_row_closes(self._let_line_go)

    @property
    def digits(self) -> str:
        """The keys that were pressed, each once."""
        return "".join(press.digit for press in self.presses if not press.repeated)

    @property
    def ended(self) -> bool:
        return LegState.DISCONNECTED in self.states

    @property
    def row(self) -> int:
        assert self.leg.row is not None, "the call has no media"
        return self.leg.row

    def heard_since(self, piece: int) -> Sound:
        """Return caller audio from a piece on, 24 kHz."""
        return np.concatenate([np.empty(0, np.int16), *self.pieces[piece:]])

    async def hear(self, ms: int) -> Sound:
        """Wait for so much more caller audio and return it, 24 kHz."""
        first, pieces = len(self.pieces), ms // 20
        await wait_until(lambda: len(self.pieces) >= first + pieces, "no caller audio")
        return self.heard_since(first)

    def play_tone(self, hz: float, ms: int, item: str = "item") -> None:
        sound = tone(hz, AGENT_HZ, AGENT_HZ * ms // 1000, amplitude=8000)
        self._pump.downlink.play(self.row, ItemId(item), 0, sound.astype("<i2").tobytes())

    async def until(self, condition: Callable[[], object], what: str) -> None:
        await wait_until(condition, f"{what} did not happen ({self.states}, {self.media})")

    def on_state(self, state: LegState) -> None:
        self.states.append(state)

    def on_media(self, flowing: bool) -> None:
        self.media.append(flowing)
        if self._line is None:
            self._line = self._pump.add(self.row, self)
        else:
            self._line.playout.paused = not flowing

    def on_digit(self, press: KeyPress) -> None:
        self.presses.append(press)

    def on_transfer(self, progress: TransferProgress) -> None:
        self.transfers.append(progress)

    def on_replaced(self) -> None:
        self.replaced += 1

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        self.pieces.append(np.frombuffer(audio, dtype="<i2").astype(np.int16))

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        self.playout.append(event)

    def _let_line_go(self, row: int) -> None:
        self._pump.remove(row)
        self._line = None


class Rig:
    """An endpoint, its pump and its tick.

    Attributes:
        calls: every call that came in, in order.
        take: what is done with a new call; answers it unless the test says otherwise.
        refusal: what the door says to a new INVITE.
        turned_away: host, method and reason of each request that was not served for its source.
        strays: far end's host and number of packets that strangers sent to its media.
    """

    def __init__(
        self,
        settings: SipSettings,
        media_ports: MediaPortsKind = "auto",
        trunk_secrets: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings
        self.calls: list[Call] = []
        self.take: Callable[[Call], None] = lambda call: call.leg.answer()
        self.refusal: Callable[[], str | None] = lambda: None
        self.turned_away: list[tuple[str, str, TurnedAway]] = []
        self.strays: list[tuple[str, int]] = []
        self.endpoint = SipEndpoint(
            settings,
            on_incoming=self._on_incoming,
            refusal=lambda method: self.refusal(),
            on_turned_away=lambda *one: self.turned_away.append(one),
            on_stray_packets=lambda *one: self.strays.append(one),
            media_ports=media_ports,
            trunk_secrets=trunk_secrets or {},
        )
        self.pump: Pump
        self._ticker: Ticker | None = None

    @property
    def free_rows(self) -> int:
        return self.endpoint.ports.arena.free_rows

    def start(self) -> None:
        self.endpoint.start()
        clock = SystemClock()
        self.pump = Pump(self.endpoint.ports, clock, append_ms=20, ahead_ms=AHEAD_MS)
        self._ticker = Ticker(
            self._tick, period_ms=_TICK_MS, clock=clock, on_lag=lambda lag_ns: None
        )
        self._ticker.start()

    def stop(self) -> None:
        if self._ticker is not None:
            self._ticker.stop()
        self.endpoint.stop()

    async def call_in(self, number: int = 0) -> Call:
        """Wait for a call to come in, counted from 0."""
        await wait_until(lambda: len(self.calls) > number, f"call {number} did not come")
        return self.calls[number]

    def dial(self, uri: str) -> Call:
        return Call(self.endpoint.dial(uri), self.pump)

    def _tick(self) -> None:
        self.endpoint.poll()
        self.pump.tick()

    def _on_incoming(self, leg: Leg) -> None:
        call = Call(leg, self.pump)
        self.calls.append(call)
        self.take(call)


@asynccontextmanager
async def running(
    media_ports: MediaPortsKind = "auto", /, **settings: object
) -> AsyncIterator[Rig]:
    """Run an endpoint at a free port of 127.0.0.1; every row and leg must be back at its end.

    Args:
        media_ports: how the rings are filled.
        settings: those of SIP that the test is about; each trunk's secret is `SECRET`.
    """
    assert not gc.isenabled(), "the test lacks the fixture garbage_in_this_thread"
    made = SipSettings.model_validate({"host": "127.0.0.1", "port": 0, **settings})
    rig = Rig(made, media_ports, dict.fromkeys(made.trunks, SECRET))
    rig.start()
    try:
        yield rig
    finally:
        rig.stop()
    assert rig.free_rows == rig.endpoint.ports.arena.rows
    assert not rig.endpoint.legs
