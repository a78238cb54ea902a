"""Follows the agent's playout as PJSIP reports it, and settles from it whose turn it is."""

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.clock import NS_PER_MS
from bridge.engine.agent.transcript import AgentItem
from bridge.engine.call.closing import END_CALL, close
from bridge.engine.call.goodbye import leave
from bridge.engine.floor import agent_is_in_talk, caller_is_talked_over
from bridge.engine.handoff.transfer import on_heard
from bridge.engine.news import AgentInterrupted
from bridge.engine.session.fallback import go_on_with_fallback
from bridge.engine.state import CallState, Effects
from bridge.engine.turns import State, Trigger
from bridge.engine.voice.filler import drop_filler, on_filler_over, want_filler


def on_playout_started(call: CallState, event: PlayoutStarted, now_ns: int) -> Effects:
    """Enter SPEAKING, and measure the turn at its first audible sample."""
    if call.supervised.talking:
        return  # it is the supervisor who is heard
    call.speech.hears(event.item_id)
    if event.item_id in call.speech.pending:
        clock = call.session.turn_clock
        if call.speech.greets and clock is not None and clock.answered_ns is not None:
            call.session.turn_clock = None
            if measured := clock.measure(event, now_ns):
                yield measured
        call.speech.greets = False
        if agent_is_in_talk(call):
            yield from call.move(Trigger.PLAYOUT_STARTED)
        return
    item = call.transcript.open_item(event.item_id)
    if item is None:
        # A tick's report of an item that was cut in the same tick.
        return
    call.note(item_id=event.item_id)
    if not item.audible:
        yield from _measure(call, item, event, now_ns)
        if call.turns.state is not State.SPEAKING and caller_is_talked_over(call):
            yield AgentInterrupted()
    item.audible = True
    call.wait.end()
    if call.lost:
        return  # what was queued goes on playing; the state says that there is no session
    yield from call.move(Trigger.PLAYOUT_STARTED)


def _measure(call: CallState, item: AgentItem, event: PlayoutStarted, now_ns: int) -> Effects:
    clock, call.session.turn_clock = call.session.turn_clock, None
    measured = None if clock is None else clock.measure(event, now_ns)
    if measured is None:
        return
    yield measured
    if measured.total_ns is not None:
        item.latency_ms = round(measured.total_ns / NS_PER_MS)
        if item.spoken:
            yield item.turn()


def on_playout_drained(call: CallState, event: PlayoutDrained, now_ns: int) -> Effects:
    """Give the turn to the caller, unless the agent has more to come."""
    if call.supervised.talking:
        return
    call.speech.over()
    if call.leaving is not None and not call.speech.waiting:
        yield from leave(call)
        return
    if call.filling is not None and not call.playing:
        yield from on_filler_over(call, now_ns)
        if call.fallback is None or call.filler_wanted:
            return
    drop_filler(call)
    call.playing = False
    if call.handing_over:
        yield from on_heard(call, now_ns)
    if call.fallback is not None and not call.elsewhere:
        yield from go_on_with_fallback(call, now_ns)
        return
    call.wait.begin(now_ns)
    call.note_counters()
    if call.filler_wanted:
        yield from want_filler(call, call.policy.recovery.filler_after_ms, now_ns)
    yield from settle(call, Trigger.PLAYOUT_DRAINED)


def settle(call: CallState, trigger: Trigger) -> Effects:
    """Decide whose turn it is after a response or the playout ended.

    Args:
        call: the call.
        trigger: RESPONSE_DONE or PLAYOUT_DRAINED.
    """
    if call.audible:
        return
    if call.ending is not None and call.session.responses.running is None:
        yield from call.transcript.played()
        yield from close(call, END_CALL)
        return
    if not agent_is_in_talk(call):
        yield from call.transcript.played()
        return
    if call.agent_busy:
        if trigger is Trigger.PLAYOUT_DRAINED:
            yield from call.move(Trigger.PLAYOUT_PAUSED)
        return
    call.session.turn_clock = None
    for turn in call.transcript.played():
        call.note(played_ms=turn.heard_ms or 0)
        yield turn
    yield from call.move(trigger)
