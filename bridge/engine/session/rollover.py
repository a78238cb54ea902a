"""The planned change of sessions before the present one's longest life is over, unheard.

A spare is opened beside the present session and taken at a quiet moment; near the end, at any
moment. A spare that can't be had costs nothing: the present session stands, another is tried later.
"""

from bridge.clock import NS_PER_MS
from bridge.engine.effects import OpenSpare
from bridge.engine.floor import session_may_change
from bridge.engine.inputs import SpareFailed, SpareReady
from bridge.engine.session.state import Rollover, Spare, SpareSession
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.realtime.recovery import last_moment_ms, rollover_due

LOOK_AGAIN_MS = 250
_TRY_AGAIN_MS = 5_000
_EARLY_MS = 300_000
_EARLY_PART = 5
"""A rollover is looked for in the last five minutes, or the last fifth of a short life."""


def watch_life(call: CallState, expires_in_ms: int | None, now_ns: int) -> Effects:
    """Begin to watch a new session's life."""
    call.rollover = None
    yield from call.stop_timer(Timer.ROLLOVER)
    if expires_in_ms is None or expires_in_ms <= 0:
        return
    call.rollover = Rollover(now_ns, expires_in_ms)
    early_ms = min(_EARLY_MS, expires_in_ms // _EARLY_PART)
    yield from call.start_timer(Timer.ROLLOVER, expires_in_ms - early_ms)


def is_due(call: CallState, life: Rollover, now_ns: int) -> bool:
    """Return whether the session should be changed at this moment."""
    age_ms = (now_ns - life.since_ns) // NS_PER_MS
    return rollover_due(age_ms, life.limit_ms, quiet=session_may_change(call))


def open_spare(call: CallState, life: Rollover, now_ns: int) -> Effects:
    """Open the spare if it is time, else look again soon."""
    attempt_ms = call.policy.recovery.attempt_ms
    left_ms = life.limit_ms - (now_ns - life.since_ns) // NS_PER_MS
    # The spare has to stand by the last moment, which may not be quiet.
    soon = left_ms <= last_moment_ms(life.limit_ms) + attempt_ms
    if life.spare is not Spare.NONE or not (soon or is_due(call, life, now_ns)):
        yield from call.start_timer(Timer.ROLLOVER, LOOK_AGAIN_MS)
        return
    life.spare = Spare.OPENING
    yield OpenSpare(attempt_ms, call.take_talk())


def keep_spare(call: CallState, event: SpareReady) -> bool:
    """Remember a spare; return whether it was asked for."""
    life = call.rollover
    if life is None or life.spare is not Spare.OPENING:
        return False
    life.ready = SpareSession(event.session_id, event.expires_in_ms)
    life.spare = Spare.READY
    return True


def on_spare_failed(call: CallState, event: SpareFailed, now_ns: int) -> Effects:
    """Try again a little later."""
    life = call.rollover
    if life is not None and life.spare is not Spare.NONE:
        life.spare, life.ready = Spare.NONE, None
        yield from call.start_timer(Timer.ROLLOVER, min(_TRY_AGAIN_MS, life.limit_ms // 20))
