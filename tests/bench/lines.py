"""Calls without SIP: real runners, pump and sessions on ports that the tick itself steps."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar
from unittest import mock

import numpy as np

from bridge.app.dialplans.arms import make_arms, make_route, today_of
from bridge.app.loop import collect_garbage_in_loop
from bridge.audio.rings import FRAME_SAMPLES, RingArena, gather
from bridge.clock import NS_PER_MS, SystemClock
from bridge.config.models import load_models
from bridge.config.settings import Settings
from bridge.live import call
from bridge.live.call import CallRunner
from bridge.live.phrases import Phrases
from bridge.live.records.keeper import RecordKeeper
from bridge.live.services import Services
from bridge.live.upstream.listener import SessionListener
from bridge.routing.models import Dialplan
from bridge.session.access_reader import read_access
from bridge.store.calls import CallStore
from bridge.telemetry.metrics import Metrics
from bridge.telephony.end_reasons import EndReason
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.leg import Leg, LegState
from bridge.telephony.ports import ConferencePort, Positions, Samples
from bridge.telephony.pump import Pump
from bridge.telephony.tick import Ticker
from bridge.tools.webhook import WebhookClient
from tests.audio.signals import noise

FRAME_NS = 20 * NS_PER_MS
PLAN = {
    "schema": "dialplan/v1",
    "name": "bench",
    "match": [{"called": "*"}],
    "arm": "peer",
    "agent": {"instructions": "Be a bench."},
}


class ClockedPorts:
    """Ports whose audio clock is the wall clock, stepped for all rows at once.

    Attributes:
        stepping_ns: CPU spent here, which is no part of the bridge.
    """

    def __init__(self, rows: int) -> None:
        self.arena = RingArena(rows)
        self.rx_positions: Positions = np.zeros(rows, dtype=np.int64)
        self.tx_positions: Positions = np.zeros(rows, dtype=np.int64)
        self.stamps_ns: Positions = np.zeros(rows, dtype=np.int64)
        self.stepping_ns = 0
        self._said = noise(self.arena.length_samples, seed=1, peak=6000)
        self._heard_ring = np.zeros_like(self.arena.tx)
        self._at = 0
        self._due_ns = time.monotonic_ns() + FRAME_NS

    def refresh(self) -> None: ...

    def step_due(self) -> None:
        """Make the steps whose time has come."""
        begun_ns = time.thread_time_ns()
        now_ns = time.monotonic_ns()
        while self._due_ns <= now_ns:
            index = self._at % self.arena.length_samples
            place = slice(index, index + FRAME_SAMPLES)
            self._heard_ring[:, place] = self.arena.tx[:, place]
            self.arena.tx[:, place] = 0
            self.arena.rx[:, place] = self._said[place]
            self._at += FRAME_SAMPLES
            self.rx_positions[:] = self._at
            self.tx_positions[:] = self._at
            self.stamps_ns[:] = self._due_ns
            self._due_ns += FRAME_NS
        self.stepping_ns += time.thread_time_ns() - begun_ns

    def open_row(self) -> int:
        return self.arena.acquire()

    def connect(self, row: int, audio: ConferencePort) -> None: ...

    def disconnect(self, row: int) -> None: ...

    def close_row(self, row: int) -> None:
        self.arena.release(row)

    def heard(self, rows: Positions, starts: Positions, count: int) -> Samples:
        return gather(self._heard_ring, rows, starts, count)

    def said_by_guests(self, rows: Positions, starts: Positions, count: int) -> Samples | None:
        return None


class LineLeg(Leg):
    """A leg whose far end always agrees."""

    def __init__(self, ports: ClockedPorts) -> None:
        super().__init__(ports, called="100", from_uri="sip:a@b", to_uri="sip:c@d")
        self.answered = asyncio.Event()

    def ring(self) -> None: ...

    def answer(self) -> None:
        self.state = LegState.CONFIRMED
        self.row = self._ports.open_row()
        self.listener.on_state(self.state)
        self.listener.on_media(True)
        self.answered.set()

    def hangup(self, reason: EndReason | None = None) -> None:
        self.state = LegState.DISCONNECTED
        if self.row is not None:
            self._closing_row(self.row)
            self._ports.close_row(self.row)
            self.row = None
        self.listener.on_state(self.state)


class MeasuredListener(SessionListener):
    """A listener that keeps what the bridge added to the delay of caller audio."""

    uplink_ns: ClassVar[list[int]] = []

    def on_uplink(self, added_ns: int) -> None:
        self.uplink_ns.append(added_ns)
        super().on_uplink(added_ns)


class Lines:
    """Many calls at once.

    Args:
        url: of the Realtime service.
        recordings_dir: where recordings go.
    """

    def __init__(
        self, url: str, calls: int, recordings_dir: Path, *, append_ms: int, recording: bool = True
    ) -> None:
        clock = SystemClock()
        settings = Settings.model_validate({"arms": {"peer": {"url": url}}})
        table = load_models()
        arms = make_arms(
            settings.arms, read_access(settings.realtime_arms, {}), table, clock, lambda *_: None
        )
        plan = Dialplan.model_validate(PLAN | {"recording": {"enabled": recording}})
        self._route = make_route(plan, arms["peer"], settings.arms["peer"], table, today_of(clock))
        self.ports = ClockedPorts(calls)
        self.pump = Pump(self.ports, clock, append_ms=append_ms, ahead_ms=settings.media.ahead_ms)
        self.lags_ns: list[int] = []
        store = CallStore(settings.redis, "redis://127.0.0.1:1", "bench", clock=clock)
        metrics = Metrics("bench")
        self._services = Services(
            clock=clock,
            endpoint=SipEndpoint(settings.sip),
            pump=self.pump,
            store=store,
            records=RecordKeeper(recordings_dir, store.records, metrics.store),
            metrics=metrics,
            models=table,
            phrases=Phrases(),
            webhooks=WebhookClient(clock, {}),
            session=settings.session,
            append_ms=append_ms,
            recordings_dir=recordings_dir,
            now_wall_ms=lambda: clock.wall_ns() // NS_PER_MS,
        )
        self._ticker = Ticker(
            self.tick, period_ms=settings.media.tick_ms, clock=clock, on_lag=self.lags_ns.append
        )
        self._legs: list[LineLeg] = []
        self._runners: list[asyncio.Task[object]] = []
        self._garbage: asyncio.Task[None] | None = None
        self._calls = calls

    def tick(self) -> None:
        """Do what the gateway's tick does."""
        self.ports.step_due()
        self.pump.tick()

    async def start(self) -> None:
        """Bring every call to its conversation, a few at a time."""
        self._garbage = asyncio.create_task(collect_garbage_in_loop())
        self._ticker.start()
        for _ in range(self._calls):
            leg = LineLeg(self.ports)
            with mock.patch.object(call, "SessionListener", MeasuredListener):
                runner = CallRunner(leg, self._route, self._services)
            self._legs.append(leg)
            self._runners.append(asyncio.create_task(runner.run()))
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            await asyncio.gather(*(leg.answered.wait() for leg in self._legs))

    async def stop(self) -> None:
        """End every call."""
        for leg in self._legs:
            leg.hangup()
        await asyncio.wait(self._runners, timeout=20)
        self._ticker.stop()
        if self._garbage is not None:
            self._garbage.cancel()
            with suppress(asyncio.CancelledError):
                await self._garbage
