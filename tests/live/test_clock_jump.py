"""A wall clock that is set while a call goes on: the call's times still make sense."""

import pytest

from bridge.clock import NS_PER_S, SystemClock
from tests.live import conftest
from tests.live.conftest import StartGateway
from tests.live.talk import talking

pytestmark = [pytest.mark.sip, pytest.mark.redis]


class SetClock(SystemClock):
    """The machine's clock, whose wall time somebody sets."""

    def __init__(self) -> None:
        self.set_by_s = 0

    def wall_ns(self) -> int:
        return super().wall_ns() + self.set_by_s * NS_PER_S


@pytest.mark.parametrize("set_by_s", [-3600, 3600])
async def test_a_clock_that_is_set_leaves_the_calls_times_in_order(
    set_by_s: int, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SetClock()
    monkeypatch.setattr(conftest, "SystemClock", lambda: clock)
    async with talking(start_gateway, greeting_ms=8_000) as talk:
        clock.set_by_s = set_by_s
        await talk.caller.hang_up()
        summary = await talk.over()
    assert summary.answered_at_ms is not None
    assert summary.started_at_ms <= summary.answered_at_ms <= summary.ended_at_ms
    assert summary.ended_at_ms - summary.started_at_ms == summary.duration_ms
    assert 0 < summary.duration_ms < 120_000, "the hour that the clock was set by is in no length"
