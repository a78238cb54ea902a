"""The caller waits for the agent: an apology, a person offered, and the silence measured.

    waits ``apology_after_ms``  -> the apology      waits ``offer_after_ms`` -> a person is offered
    presses 0 after the offer   -> the call is handed over

The filler (:mod:`bridge.engine.filler`) comes before these. A wait is the agent's debt, whatever
the bridge says meanwhile, and an outage is a part of it; a silence is the part in which nothing is
heard at all, as PJSIP plays it. While the far end holds the call, and while a person has the caller,
the agent owes nothing: an answer that this puts off is not timed, and its silence begins after it.
"""

from bridge.clock import NS_PER_MS
from bridge.engine.inputs import Input, ProcessStopped, Timer
from bridge.engine.news import SilenceMeasured
from bridge.engine.speech import say
from bridge.engine.state import CallState, Effects, Ending, Stage
from bridge.errors import Fault, Outcome

BRIDGE = "bridge"
"""Cause of a silence in which the process stood still."""

OFFER_TAKEN = Ending(Outcome.TRANSFERRED, Fault.PROVIDER, "dead_air")
"""Of a caller who took the offer (:mod:`bridge.engine.asking`)."""


def watch_dead_air(call: CallState, event: Input, now_ns: int) -> Effects:
    """Begin or end a wait, and a silence; looked at after every input."""
    yield from _watch_wait(call, now_ns)
    yield from _watch_hush(call, now_ns)


def on_apology_due(call: CallState, now_ns: int) -> Effects:
    """Apologise; the caller has waited too long."""
    policy = call.policy.dead_air
    if policy is not None and policy.apology is not None:
        yield from say(call, policy.apology)


def on_offer_due(call: CallState, now_ns: int) -> Effects:
    """Offer a person."""
    policy = call.policy.dead_air
    if policy is not None and policy.offer is not None and call.policy.person is not None:
        call.dead_air.offered = True
        yield from say(call, policy.offer)


def on_process_stopped(call: CallState, event: ProcessStopped, now_ns: int) -> Effects:
    """Measure the silence of a process that stood still: whoever had the floor heard nothing.

    One that goes on with it is measured at its end, as a whole.
    """
    if call.stage is not Stage.TALKING or call.held:
        return
    if call.dead_air.hush_ns is None:
        yield SilenceMeasured(event.ms, BRIDGE)
    elif event.ms * NS_PER_MS * 2 > now_ns - call.dead_air.hush_ns:
        call.dead_air.cause = BRIDGE


def silence_at_close(call: CallState, now_ns: int) -> Effects:
    """Measure the silence in which a call ended."""
    yield from _end_hush(call, now_ns)


def _watch_wait(call: CallState, now_ns: int) -> Effects:
    policy, wait = call.policy.dead_air, call.dead_air
    waits = (
        call.stage is Stage.TALKING
        and (call.agent_busy or call.lost)
        and call.fallback is None
        and not call.playing
        and not call.caller_has_floor
        and not call.held
        and not call.elsewhere
    )
    if waits and wait.since_ns is None and policy is not None:
        wait.since_ns = now_ns
        yield from call.start_timer(Timer.APOLOGY, policy.apology_after_ms)
        yield from call.start_timer(Timer.OFFER, policy.offer_after_ms)
    elif not waits and wait.since_ns is not None:
        wait.since_ns = None
        yield from call.stop_timer(Timer.APOLOGY)
        yield from call.stop_timer(Timer.OFFER)


def _watch_hush(call: CallState, now_ns: int) -> Effects:
    wait, clock = call.dead_air, call.session.turn_clock
    away = call.held or call.with_person
    if away and clock is not None:
        clock.put_off()
    owed = (
        call.stage is Stage.TALKING
        and (call.agent_busy or call.playing or call.lost)
        and not call.caller_has_floor
        and not away
    )
    sounds, sounded = call.speech.sounding is not None, wait.sounded
    wait.sounded = sounds
    if sounds or sounded:
        wait.heard_ns = now_ns
    if not owed or sounds:
        yield from _end_hush(call, now_ns)
        return
    if wait.hush_ns is None:
        last_sound_ns = None if clock is None else clock.last_sound_ns
        since_ns = now_ns if last_sound_ns is None else last_sound_ns
        wait.hush_ns = min(max(since_ns, wait.heard_ns), now_ns)
        greets = call.policy.greet and not call.transcript.heard_any
        wait.cause = "greeting" if greets else "model"
    if call.lost:
        wait.cause = "upstream"
    elif call.waits_for_tool or any(run.began_ns is not None for run in call.mcp.runs.values()):
        wait.cause = "tool"


def _end_hush(call: CallState, now_ns: int) -> Effects:
    since_ns, call.dead_air.hush_ns = call.dead_air.hush_ns, None
    if since_ns is not None and now_ns > since_ns:
        yield SilenceMeasured((now_ns - since_ns) // NS_PER_MS, call.dead_air.cause)
