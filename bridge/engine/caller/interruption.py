"""The interruption: one transaction from its cause to the truncated item.

    cause          -> silence the tx ring, cancel the active response, drop its later deltas
    PlayoutFlushed -> truncate each part with unheard audio to what PJSIP took of it

The cause is the service's SpeechStarted, or what :mod:`bridge.engine.caller.barge_in` heard here.
Sources: `ARCHITECTURE.md` section 7, `PROTOCOL.md` section 7. Milliseconds come from PJSIP's read
position (PlayedItem), never from bytes received: deltas run seconds ahead of what is heard.
"""

from bridge.engine.caller.presence import caller_understood
from bridge.engine.caller.state import Cut
from bridge.engine.effects import FlushPlayout
from bridge.engine.floor import may_cut
from bridge.engine.media import PlayoutFlushed
from bridge.engine.news import Interrupted, Speaker
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.turns import State, Trigger
from bridge.engine.voice.filler import drop_filler, stop_filler
from bridge.realtime.commands import TruncateItem
from bridge.realtime.ids import ItemId


def give_floor(call: CallState, now_ns: int) -> Effects:
    """Have the caller speak: nothing is awaited of the agent, and it is cut off."""
    if call.session.responses.retry is not None:  # the answer that failed is not wanted any more
        call.answers = call.answers.restored(now_ns)
    call.session.responses.give_up_awaited()
    call.wait.end()
    yield from call.stop_timer(Timer.RETRY)
    yield from stop_filler(call, cut_phrase=not call.playing)
    call.session.turn_clock = None
    if call.agent_has_floor:
        yield from cut(call, now_ns, spoken=True)
        return
    yield from call.stop_timer(Timer.RESPONSE)
    yield from call.move(Trigger.SPEECH_STARTED)


def hush(call: CallState, now_ns: int, *, by: Speaker = Speaker.CALLER) -> Effects:
    """Cut whatever is heard, for a key or because something else is to be heard at once.

    Args:
        call: the call.
        now_ns: monotonic.
        by: whose doing it is.
    """
    yield from stop_filler(call, cut_phrase=not call.playing)
    if may_cut(call):
        yield from cut(call, now_ns, by=by)


def cut(
    call: CallState, now_ns: int, *, by: Speaker = Speaker.CALLER, spoken: bool = False
) -> Effects:
    """Cut off an agent who is heard, about to be heard, or making an answer.

    Args:
        call: the call.
        now_ns: monotonic.
        by: whose doing it is: only the caller's is an interruption.
        spoken: the caller's speech is the cause.
    """
    active = call.session.responses.active
    drop_filler(call)
    call.speech.waiting.clear()
    call.speech.over()
    yield from _keep_caller(call)
    yield FlushPlayout()
    yield from call.cancel_response()
    yield from call.stop_timer(Timer.RESPONSE)
    yield from _keep_call(call, answer=active is None)
    call.playing = False
    call.session.cut = call.session.cut or Cut(
        now_ns, active.response_id if active is not None else None, by, spoken
    )
    if call.turns.state is not State.HANDOFF:  # out of the talk the agent has no turn to lose
        yield from call.move(Trigger.INTERRUPTED)


def _keep_caller(call: CallState) -> Effects:
    """Take the goodbye back: the caller spoke over it."""
    if call.leaving is not None:
        call.leaving = None
        yield from call.stop_timer(Timer.CLOSING)
        yield from caller_understood(call)


def _keep_call(call: CallState, *, answer: bool) -> Effects:
    """Take ``end_call`` back because the caller spoke over the goodbye.

    Args:
        call: the call.
        answer: the model gets an output, as its response was complete; a cancelled one gets none.
    """
    if call.ending is None:
        return
    call_id, call.ending = call.ending, None
    yield from call.stop_timer(Timer.CLOSING)
    if answer:
        yield from call.answer_tool(call_id, {"error": "not ended: the caller went on speaking"})


def on_playout_flushed(call: CallState, event: PlayoutFlushed, now_ns: int) -> Effects:
    """Bring the server's memory of its answer down to what was heard."""
    cut, call.session.cut = call.session.cut, None
    response_id = cut.response_id if cut is not None else None
    ends = {
        (part.item_id, part.content_index): min(part.played_ms, part.queued_ms)
        for part in event.parts
        if call.transcript.knows(part.item_id)
    }
    growing = call.transcript.growing_part(response_id) if response_id is not None else None
    if growing is not None:
        # Heard to its last byte so far, but the server has generated more than it had sent.
        item_id, content_index, given_ms = growing
        ends.setdefault((item_id, content_index), given_ms)
    for (item_id, content_index), heard_ms in ends.items():
        server_id = call.transcript.server_id(item_id)
        if server_id is not None:
            yield from call.send(TruncateItem(server_id, content_index, heard_ms))
    for item_id, heard_ms, given_ms in call.transcript.cuts(ends, response_id):
        call.log.cut(item_id, heard_ms, given_ms)
    by = cut.by if cut is not None else Speaker.CALLER
    yield from call.transcript.cut(ends, response_id, by)
    if cut is not None:
        yield from _report(call, ends, cut, now_ns)
    call.note_counters()
    if not (yield from call.move(Trigger.PLAYOUT_FLUSHED)):
        return
    if call.session.responses.active is not None:
        yield from call.move(Trigger.RESPONSE_CREATED)
    elif call.session.responses.expected:
        yield from call.move(Trigger.SPEECH_STOPPED)


def _report(call: CallState, ends: dict[tuple[ItemId, int], int], cut: Cut, now_ns: int) -> Effects:
    item_id: ItemId | None = None
    played_ms = 0
    if ends:
        (item_id, _), played_ms = next(iter(ends.items()))
        call.note(item_id=item_id, played_ms=played_ms)
    yield Interrupted(item_id, played_ms, now_ns - cut.since_ns, cut.by, cut.spoken)
