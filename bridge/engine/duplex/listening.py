"""Finds the caller's turns by their sound and their words, with a service that reports none.

    words come while the caller sounds      -> their turn has begun
    they fall silent, and words have come   -> it is over, and an answer is awaited
    words come only then                    -> the same
    no words come                           -> it was no turn: a cough, a door

So it takes both an ear and the service's word. An answer that began in the meantime, and a word
that asks for none ("mm-hm"), are not waited for.
"""

from bridge.audio.sounds import SoundStopped
from bridge.engine.agent.answer import end_unheard
from bridge.engine.call.state import Stage
from bridge.engine.caller.barge_in import is_turn
from bridge.engine.caller.interruption import give_floor
from bridge.engine.caller.state import OverAgent
from bridge.engine.caller.turn_end import end_turn
from bridge.engine.inputs import Input
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.realtime.commands import CreateItem
from bridge.realtime.duplex_events import CallerTranscriptDelta
from bridge.realtime.items import ContentPart, Message, PartKind, Role

WORTH_A_NOTE_MS = 1_000
"""Of speech that was dropped: the model believes that the caller has heard it."""


def watch_listening(call: CallState, event: Input, now_ns: int) -> Effects:
    """Begin or end the caller's turn; looked at after every input."""
    if call.session.service.reports_turns or call.stage is not Stage.TALKING:
        return
    if isinstance(event, SoundStopped):
        yield from _note_missed(call)
        yield from end_unheard(call)
        if call.heard.text:
            yield from _end(call, now_ns)
    elif isinstance(event, CallerTranscriptDelta) and call.heard.text:
        if call.sound.heard:
            yield from _begin(call, now_ns)
        else:
            yield from _end(call, now_ns)


def _note_missed(call: CallState) -> Effects:
    """Let an agent that spoke on under a caller who had cut it know what was not heard of that."""
    running, missed_ms = call.session.responses.running, call.session.voice.dropped_ms
    if running is None or not running.cancelled or missed_ms < WORTH_A_NOTE_MS:
        return
    text = f"The caller spoke over you, and did not hear your last {missed_ms // 1000} s."
    part = ContentPart(PartKind.INPUT_TEXT, text)
    yield from call.send(CreateItem(Message(Role.SYSTEM, (part,))))


def _begin(call: CallState, now_ns: int) -> Effects:
    if call.session.turn.speaking:
        return
    call.session.turn.begin()
    call.session.turn_began_ns = call.sound.began_ns
    call.sound.begin_turn(now_ns, kept=False)
    if not call.agent_has_floor:
        yield from give_floor(call, now_ns)


def _end(call: CallState, now_ns: int) -> Effects:
    call.session.turn.clear()
    call.sound.reported_ns = now_ns
    if call.sound.unexplained:
        call.sound.explain()
        yield from call.stop_timer(Timer.FALSE_STOP)
        call.sound.await_words(call.heard.item_id, OverAgent.STOPPED)
    silent_ns = call.sound.silent_since_ns
    answered = silent_ns is not None and call.session.voice.began_ns > silent_ns
    if answered or call.agent_has_floor or call.handing_over or call.session.responses.awaited:
        return
    policy = call.policy.barge_in
    if policy is None or is_turn(call.heard.text, policy):
        yield from end_turn(call, silent_ns, now_ns)
