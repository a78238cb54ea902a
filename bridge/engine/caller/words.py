"""Acts on the caller's words before the model does: an emergency, consent, a wish for a person.

Subjects are asked in the order of their weight, and the first whose words they are takes them. An
emergency is answered with an instruction, and reported. The instruction cuts the agent, and nothing
cuts it. It never says that help comes: nobody here can send any. Then the agent goes on, knowing
what the caller heard, or a person takes the call.
"""

from collections.abc import Callable

from bridge.engine.agent.requests import order_sentence, request_response
from bridge.engine.call.state import CallEnd
from bridge.engine.caller.barge_in import judge_words
from bridge.engine.caller.interruption import cut
from bridge.engine.caller.presence import caller_understood
from bridge.engine.consent.disclosure import hear_answer
from bridge.engine.floor import agent_can_be_cut
from bridge.engine.handoff.asking import hear_human
from bridge.engine.handoff.transfer import want_handoff
from bridge.engine.inputs import Input
from bridge.engine.news import CallerTurnBegan, EmergencyHeard, Speaker, TurnSpoken
from bridge.engine.state import CallState, Effects, HandingOver
from bridge.engine.timers import Timer
from bridge.engine.voice.speech import say
from bridge.errors import Fault, Outcome
from bridge.realtime.duplex_events import CallerTranscriptDelta
from bridge.realtime.events import InputCommitted, InputTranscriptCompleted
from bridge.routing.emergency import EmergencyPolicy

EMERGENCY = CallEnd(Outcome.TRANSFERRED, Fault.NONE, "emergency")
"""Of a caller who is handed to a person for it."""

WORDS_PAUSE_MS = 1_000
"""The caller's words come in pieces of 200 ms of sound, as soon as they are known."""

_MAX_CHARS = 4_000

Subject = Callable[[CallState, str, int], Effects | None]
"""Given the call, a turn's words and the time; None where the words are none of its."""


def on_caller_transcript(call: CallState, event: CallerTranscriptDelta, now_ns: int) -> Effects:
    """Add to what the caller says; a pause in it ends a turn, since no event does."""
    if call.handing_over:
        return
    heard = call.heard
    if heard.text and event.start_ms - heard.end_ms >= WORDS_PAUSE_MS:
        yield from _take_turn(call, now_ns)
    if not heard.text and not event.delta.strip():
        return
    begins = not heard.text
    heard.add(event.delta, event.end_ms, _MAX_CHARS)
    if begins:
        call.log.feed(InputCommitted(heard.item_id))
        yield CallerTurnBegan(heard.item_id)
    call.log.feed(InputTranscriptCompleted(heard.item_id, 0, heard.text))
    yield from call.start_timer(Timer.WORDS, WORDS_PAUSE_MS)


def on_words_paused(call: CallState, now_ns: int) -> Effects:
    """Take the caller's words for a turn: no more have come for a while."""
    yield from _take_turn(call, now_ns)


def watch_words(call: CallState, event: Input, now_ns: int) -> Effects:
    """Take the caller's words for a turn as soon as it is answered; looked at after every input."""
    if call.heard.text and call.session.responses.active is not None and not call.sound.heard:
        yield from _take_turn(call, now_ns)


def _take_turn(call: CallState, now_ns: int) -> Effects:
    yield from call.stop_timer(Timer.WORDS)
    item_id, text = call.heard.item_id, call.heard.take()
    yield from on_input_transcript(call, InputTranscriptCompleted(item_id, 0, text), now_ns)


def on_input_transcript(call: CallState, event: InputTranscriptCompleted, now_ns: int) -> Effects:
    """Report what the caller said; it may come at any time after the commit."""
    text = event.transcript.strip()
    if text:
        yield TurnSpoken(Speaker.CALLER, event.item_id, text)
        yield from caller_understood(call)
    yield from judge_words(call, event, now_ns)
    yield from _act_on(call, text, now_ns)


def hear_emergency(call: CallState, text: str, now_ns: int) -> Effects | None:
    """Act on words of an emergency; None where these are none."""
    policy = call.policy.emergency
    phrase = None if policy is None else policy.words.find(text)
    if policy is None or phrase is None:
        return None
    return _instruct(call, policy, EmergencyHeard(phrase), now_ns)


def _instruct(
    call: CallState, policy: EmergencyPolicy, heard: EmergencyHeard, now_ns: int
) -> Effects:
    yield heard
    if call.handing_over or call.speech.says(policy.instruction):
        return  # a person is on their way; the caller hears it just now
    interrupts = agent_can_be_cut(call)
    if interrupts:
        yield from cut(call, now_ns, by=Speaker.BRIDGE)
    instruct = order_sentence if policy.by_model else say
    yield from instruct(call, policy.instruction, protected=True)
    person = call.policy.person
    if policy.transfers and person is not None and not call.elsewhere:
        yield from want_handoff(call, HandingOver(now_ns, person, EMERGENCY, _answer_on))
    elif interrupts and not policy.by_model:
        yield from request_response(call)  # the answer that was cut, in the light of it


def _answer_on(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    yield from request_response(call)


SUBJECTS: tuple[Subject, ...] = (
    hear_emergency,
    hear_answer,
    hear_human,
)


def _act_on(call: CallState, text: str, now_ns: int) -> Effects:
    """Act on the words of one turn of the caller's, by its final transcript."""
    for subject in SUBJECTS:
        taken = subject(call, text, now_ns)
        if taken is not None:
            yield from taken
            return
