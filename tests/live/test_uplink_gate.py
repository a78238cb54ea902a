"""The gate in the caller's way to the session."""

from bridge.clock import ManualClock
from bridge.engine.effects import PauseUplink, ResumeUplink, UplinkHold
from bridge.live.audio import UplinkGate

MS = 1_000_000


class Gate:
    """A gate for pieces of 40 ms."""

    def __init__(self) -> None:
        self.clock = ManualClock(now_ns=1_000 * MS)
        self._gate = UplinkGate(self.clock, 40)

    def hold(self, *reasons: UplinkHold) -> None:
        for reason in reasons:
            self._gate.effects[PauseUplink](PauseUplink(reason))

    def release(self, reason: UplinkHold) -> None:
        self._gate.effects[ResumeUplink](ResumeUplink(reason))

    def lets_through(self, captured_ms_ago: float = 0) -> bool:
        return self._gate.lets_through(self.clock.now_ns() - round(captured_ms_ago * MS))


def test_gate_that_nobody_holds_is_open() -> None:
    assert Gate().lets_through(captured_ms_ago=500)


def test_gate_is_closed_until_the_last_reason_is_given_up() -> None:
    gate = Gate()
    gate.hold(UplinkHold.CONSENT, UplinkHold.SENSITIVE, UplinkHold.CONSENT)
    gate.release(UplinkHold.CONSENT)
    assert not gate.lets_through()
    gate.release(UplinkHold.SENSITIVE)
    gate.clock.advance_ms(40)
    assert gate.lets_through()


def test_piece_that_began_before_the_gate_opened_does_not_leave() -> None:
    gate = Gate()
    gate.hold(UplinkHold.CONSENT)
    gate.clock.advance_ms(5_000)
    gate.release(UplinkHold.CONSENT)
    assert not gate.lets_through()
    gate.clock.advance_ms(39)
    assert not gate.lets_through()
    gate.clock.advance_ms(1)
    assert gate.lets_through()
    assert gate.lets_through(captured_ms_ago=10)  # jitter of the stamps afterwards is none


def test_reason_that_nobody_had_opens_nothing_anew() -> None:
    gate = Gate()
    gate.release(UplinkHold.HANDOFF)
    assert gate.lets_through(captured_ms_ago=500)
