"""The caller's wait for the agent: a filler, an apology, the offer of a person, and its measure.

    hears nothing for a while   -> the filler       waits ``apology_after_ms`` -> the apology
    waits ``offer_after_ms``    -> a person is offered, and 0 hands the call over
    a response brings nothing   -> its session is left

The filler (:mod:`bridge.engine.voice.filler`) comes first; an outage asks for its first one itself
(:mod:`bridge.engine.session.recovery`), and after words of the bridge's own the tone comes back
here. A service that stalls keeps its socket open, so nobody else notices. A wait is the agent's
debt, whatever the bridge says meanwhile, and an outage is a part of it. It counts from the caller's
last sound, so a session that hears that sound again, as kept audio, goes on with the wait. A
silence is the part in which nothing is heard at all, as PJSIP plays it. While the far end holds the
call, and while a person has the caller, the agent owes nothing: both count anew from the end of
that.
"""

from bridge.audio.sounds import SoundStopped
from bridge.clock import NS_PER_MS
from bridge.engine.agent.state import Response
from bridge.engine.call.state import CallEnd, Stage
from bridge.engine.floor import (
    agent_is_waited_for,
    agent_owes_sound,
    caller_is_heard,
    waits_are_filled,
)
from bridge.engine.inputs import Input
from bridge.engine.media import ProcessStopped
from bridge.engine.news import SilenceMeasured
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.voice.filler import stop_filler, want_filler
from bridge.engine.voice.speech import say
from bridge.errors import Fault, Outcome
from bridge.realtime.events import McpCallChanged

BRIDGE = "bridge"
"""Cause of a silence in which the process stood still."""

OFFER_TAKEN = CallEnd(Outcome.TRANSFERRED, Fault.PROVIDER, "dead_air")
"""Of a caller who took the offer (:mod:`bridge.engine.handoff.asking`)."""

MCP_CALL_MS = 60_000
"""The patience with a tool that the server runs: more than a web service or a search needs."""


def watch_waiting(call: CallState, event: Input, now_ns: int) -> Effects:
    """Begin or end the filler, and the watch over a response that stalls; after every input."""
    if not waits_are_filled(call):
        return
    if call.lost:
        yield from _watch_outage(call, now_ns)
        return
    yield from _watch_silence(call, now_ns)
    yield from _watch_stall(call, event)


def watch_dead_air(call: CallState, event: Input, now_ns: int) -> Effects:
    """Begin or end a wait, and a silence; looked at after every input."""
    clock = call.session.turn_clock
    if clock is not None and (call.held or call.with_person):
        clock.put_off()
    yield from _watch_wait(call, now_ns)
    yield from _watch_hush(call, event, now_ns)


def on_apology_due(call: CallState, now_ns: int) -> Effects:
    """Apologise; the caller has waited too long."""
    policy = call.policy.dead_air
    call.dead_air.spoken_ns[Timer.APOLOGY] = now_ns
    if policy is not None and policy.apology is not None:
        yield from say(call, policy.apology)


def on_offer_due(call: CallState, now_ns: int) -> Effects:
    """Offer a person."""
    policy = call.policy.dead_air
    call.dead_air.spoken_ns[Timer.OFFER] = now_ns
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


def _watch_outage(call: CallState, now_ns: int) -> Effects:
    if not (call.audible or call.filler_wanted):
        yield from want_filler(call, call.policy.recovery.filler_after_ms, now_ns)


def _watch_silence(call: CallState, now_ns: int) -> Effects:
    if call.audible:
        return
    if call.session.turn.speaking or not call.agent_busy:
        if call.filler_wanted:
            yield from stop_filler(call)
    elif call.policy.filler_after_ms is not None and not call.filler_wanted:
        yield from want_filler(call, call.policy.filler_after_ms, now_ns)


def _watch_stall(call: CallState, event: Input) -> Effects:
    """Watch a response of which nothing is left to hear and nothing more comes."""
    limit_ms, active = call.policy.stalled_after_ms, call.session.responses.active
    if active is None or call.playing or limit_ms is None:
        yield from call.stop_timer(Timer.STALLED)
    elif Timer.STALLED not in call.timers or _brings_on(active, event):
        mcp_ms = MCP_CALL_MS if active.mcp_calls else 0
        yield from call.start_timer(Timer.STALLED, max(limit_ms, mcp_ms))


def _brings_on(active: Response, event: Input) -> bool:
    """Return whether an event is of the response; those of MCP calls name none."""
    response_id = getattr(event, "response_id", None)
    return response_id == active.response_id or isinstance(event, McpCallChanged)


def _watch_wait(call: CallState, now_ns: int) -> Effects:
    policy, dead_air = call.policy.dead_air, call.dead_air
    waits = agent_is_waited_for(call)
    if waits and dead_air.since_ns is None and policy is not None:
        dead_air.since_ns = min(_turn_ended_ns(call, now_ns), now_ns)
        waited_ms = (now_ns - dead_air.since_ns) // NS_PER_MS
        for timer, due_ms in (
            (Timer.APOLOGY, policy.apology_after_ms),
            (Timer.OFFER, policy.offer_after_ms),
        ):
            if dead_air.spoken_ns.get(timer, -1) < dead_air.since_ns:
                yield from call.start_timer(timer, max(due_ms - waited_ms, 0))
    elif not waits and dead_air.since_ns is not None:
        dead_air.since_ns = None
        yield from call.stop_timer(Timer.APOLOGY)
        yield from call.stop_timer(Timer.OFFER)


def _watch_hush(call: CallState, event: Input, now_ns: int) -> Effects:
    dead_air = call.dead_air
    sounds, sounded = call.speech.sounding is not None, dead_air.sounded
    dead_air.sounded = sounds
    if sounds or sounded:
        dead_air.heard_ns = now_ns
    if sounds or not agent_owes_sound(call):
        yield from _end_hush(call, _ended_ns(call, now_ns))
        return
    if dead_air.hush_ns is None:
        dead_air.hush_ns = min(max(_began_ns(call, event, now_ns), dead_air.heard_ns), now_ns)
        greets = call.policy.agent.greet and not call.transcript.heard_any
        dead_air.cause = "greeting" if greets else "model"
    if call.lost:
        dead_air.cause = "upstream"
    elif call.waits_for_tool or any(run.began_ns is not None for run in call.mcp.runs.values()):
        dead_air.cause = "tool"


def _began_ns(call: CallState, event: Input, now_ns: int) -> int:
    """Return when the caller's last sound ended, where the silence follows on it."""
    return event.at_ns if isinstance(event, SoundStopped) else _turn_ended_ns(call, now_ns)


def _turn_ended_ns(call: CallState, now_ns: int) -> int:
    """Return when the caller ended the turn that is to be answered; now, if there is none."""
    clock = call.session.turn_clock
    return now_ns if clock is None or clock.last_sound_ns is None else clock.last_sound_ns


def _ended_ns(call: CallState, now_ns: int) -> int:
    """Return when a silence ended: with the caller's sound, which is known a while later."""
    hush_ns, sound = call.dead_air.hush_ns, call.sound
    breaks = hush_ns is not None and hush_ns < sound.began_ns <= now_ns
    return sound.began_ns if breaks and sound.heard and caller_is_heard(call) else now_ns


def _end_hush(call: CallState, now_ns: int) -> Effects:
    since_ns, call.dead_air.hush_ns = call.dead_air.hush_ns, None
    if since_ns is not None and now_ns > since_ns:
        yield SilenceMeasured((now_ns - since_ns) // NS_PER_MS, call.dead_air.cause)
