"""Calls begin no faster than PJSIP's table of sockets can bear."""

import pytest

from bridge.clock import ManualClock
from bridge.telephony.leg import LegState
from bridge.telephony.library import load_symbols
from bridge.telephony.pacing import SocketPacing, has_few_places
from tests.support.raw_phone import RawPhone
from tests.telephony.rig import Rig


def test_so_many_in_a_second_and_no_more() -> None:
    clock = ManualClock()
    pacing = SocketPacing(lambda: 0, clock, limited=True)
    assert [pacing.admits() for _ in range(30)] == [True] * 28 + [False] * 2
    clock.advance_ms(1_001)
    assert pacing.admits()


def test_calls_that_go_on_have_their_places() -> None:
    pacing = SocketPacing(lambda: 27, ManualClock(), limited=True)
    assert pacing.admits()
    assert not pacing.admits()


def test_a_large_table_bears_all() -> None:
    pacing = SocketPacing(lambda: 1000, ManualClock(), limited=False)
    assert all(pacing.admits() for _ in range(1000))


@pytest.mark.sip
async def test_a_burst_of_invites_leaves_the_process(rig: Rig) -> None:
    """It is refused before a table of 64 sockets is full."""
    async with RawPhone(rig.endpoint.port) as phone:
        rig.take = lambda call: call.leg.reject(480, "Not Now")
        calls = [phone.invite() for _ in range(60)]
        got = {await call.final() for call in calls}
        assert got <= {480, 486, 503}
        if has_few_places(load_symbols()):
            assert 503 in got
        assert all(call.leg.state is LegState.DISCONNECTED for call in rig.calls)
