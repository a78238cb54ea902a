"""The ticker, on a loop whose time jumps from timer to timer, and once on the real one."""

import asyncio
import selectors
from collections.abc import Callable

import pytest
import uvloop

from bridge.clock import NS_PER_MS, NS_PER_S, ManualClock, SystemClock
from bridge.telephony.tick import Ticker

PERIOD_MS = 10


class _Jump(selectors.SelectSelector):
    """Moves the clock where others wait."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self._clock.advance_ms(timeout * 1000)
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: ManualClock) -> None:
        super().__init__(_Jump(clock))
        self._manual = clock

    def time(self) -> float:
        return self._manual.now_ns() / NS_PER_S


class Bench:
    """Runs a ticker for a number of ticks; ``stall_ms`` are ticks (from 1) that take long."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.at_ms: list[float] = []
        self.lags_ms: list[float] = []
        self.work_ms: list[float] = []
        self.ticker: Ticker

    def run(
        self,
        ticks: int,
        stall_ms: dict[int, float] | None = None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        stalls = stall_ms or {}

        def work() -> None:
            self.at_ms.append(self.clock.now_ns() / NS_PER_MS)
            self.clock.advance_ms(stalls.get(len(self.at_ms), 0))
            if len(self.at_ms) == ticks:
                self.ticker.stop()
                done.set()

        async def main() -> None:
            self.ticker.start()
            await done.wait()
            after()
            await asyncio.sleep(1)

        done = asyncio.Event()
        self.ticker = Ticker(
            work,
            period_ms=PERIOD_MS,
            clock=self.clock,
            on_lag=lambda lag_ns: self.lags_ms.append(lag_ns / NS_PER_MS),
            on_work=lambda took_ns: self.work_ms.append(took_ns / NS_PER_MS),
        )
        loop = _VirtualLoop(self.clock)
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()


def near(*values_ms: float) -> object:
    return pytest.approx(values_ms, abs=0.01)


def test_ticks_keep_an_absolute_schedule() -> None:
    bench = Bench()
    bench.run(5)
    assert bench.at_ms == near(10, 20, 30, 40, 50)
    assert bench.lags_ms == near(0, 0, 0, 0, 0)


def test_work_does_not_move_the_schedule() -> None:
    bench = Bench()
    bench.run(4, stall_ms={1: 3, 2: 6.5, 3: 9})
    assert bench.at_ms == near(10, 20, 30, 40)


def test_a_stall_costs_one_gap_and_never_a_burst() -> None:
    bench = Bench()
    bench.run(4, stall_ms={2: 37})
    assert bench.at_ms == near(10, 20, 60, 70)  # 57 is when it was over
    assert bench.work_ms == near(0, 37, 0, 0)
    assert bench.lags_ms == near(0, 0, 30, 0)  # 30 was the first that it made miss


def test_a_late_tick_is_measured_and_the_schedule_kept() -> None:
    bench = Bench()

    def hold_the_loop() -> None:
        bench.clock.advance_ms(14)

    def work() -> None:
        bench.at_ms.append(bench.clock.now_ns() / NS_PER_MS)
        if len(bench.at_ms) == 1:
            asyncio.get_running_loop().call_soon(hold_the_loop)
        if len(bench.at_ms) == 3:
            ticker.stop()
            done.set()

    async def main() -> None:
        ticker.start()
        await done.wait()

    done = asyncio.Event()
    ticker = Ticker(
        work,
        period_ms=PERIOD_MS,
        clock=bench.clock,
        on_lag=lambda lag_ns: bench.lags_ms.append(lag_ns / NS_PER_MS),
    )
    loop = _VirtualLoop(bench.clock)
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert bench.at_ms == near(10, 24, 30)
    assert bench.lags_ms == near(0, 4, 0)


def test_stop_within_a_tick_is_the_last_and_twice_is_no_error() -> None:
    bench = Bench()
    bench.run(3, after=lambda: bench.ticker.stop())
    assert len(bench.at_ms) == 3


def test_ticks_do_not_drift_on_a_real_loop() -> None:
    clock = SystemClock()
    started_ns: list[int] = []
    done_ns: list[int] = []

    def work() -> None:
        started_ns.append(clock.now_ns())
        if len(started_ns) == 40:
            ticker.stop()
            done.set()

    async def main() -> None:
        begun_ns = clock.now_ns()
        ticker.start()
        await asyncio.wait_for(done.wait(), 60)
        done_ns.append(clock.now_ns() - begun_ns)

    done = asyncio.Event()
    ticker = Ticker(work, period_ms=5, clock=clock, on_lag=lambda lag_ns: None)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    # Never early; late ticks of a busy machine are dropped, so only the lower bound is exact.
    assert done_ns[0] >= (40 * 5 - 1) * NS_PER_MS
