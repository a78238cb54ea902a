"""The handing over of a call to a person, and its way back.

Steps: :mod:`bridge.engine.handoff.steps`.

    want_handoff  -> WANTED; begins once the agent was heard to its end
    start_handoff -> HANDOFF; the agent hears nothing any more, the caller hears tones
    BRIDGED       -> the session is closed; caller and person talk through the bridge
    CLAIMED       -> whoever was called is let go; a supervisor is awaited in their place
    JOINED        -> the supervisor has the caller; the session stays
    FAILED        -> the call is ours again: whoever began it says how it goes on
    HANDED_BACK   -> RECOVERING; a new session gets the talk, and a note of what it has missed

Sources: REFER, RFC 3515 sections 2.4.4 to 2.4.7; who hangs up after it, RFC 5589 section 6.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bridge.clock import NS_PER_MS, NS_PER_S
from bridge.engine.agent.requests import request_response
from bridge.engine.call.closing import CALLER_HUNG_UP, close, watch_duration
from bridge.engine.call.state import CallEnd, Stage
from bridge.engine.effects import (
    AnnounceToPerson,
    BridgePerson,
    CloseSession,
    DialPerson,
    LetPersonGo,
    OpenSession,
    PauseUplink,
    ResumeUplink,
    TransferCall,
    UplinkHold,
)
from bridge.engine.floor import may_hand_over
from bridge.engine.handoff.steps import STEPS, HandoffSignal, HandoffStep
from bridge.engine.inputs import Input, TransferCompleted, TransferFailed, TransferProgressed
from bridge.engine.news import (
    AgentReached,
    HandedBack,
    HandoffAccepted,
    HandoffCompleted,
    HandoffFailed,
    HandoffStarted,
    TransitionRefused,
    Way,
)
from bridge.engine.state import CallState, Effects, HandingOver, SessionState
from bridge.engine.timers import Timer
from bridge.engine.turns import Trigger
from bridge.engine.voice.filler import stop_filler, want_filler
from bridge.engine.voice.speech import say
from bridge.realtime.commands import ClearInput, CreateItem
from bridge.realtime.items import ContentPart, Message, PartKind, Role

REFER_ANSWER_MS = 5_000
"""A trunk that takes REFERs answers within a second; one that doesn't may not answer at all."""

PHRASE_MS = 45_000
"""The longest that a phrase may take (400 characters), until the call goes on without its end."""

TIMEOUT = "timeout"
"""Why a handoff failed whose end was never reported; others are named by their SIP status."""

BUSY = frozenset({486, 600})
"""Of the target itself, once the far end has taken the REFER: to dial again would be no use."""

_SESSION_TIMERS = (
    *(Timer.FILLER, Timer.RESPONSE, Timer.RETRY, Timer.ROLLOVER, Timer.STALLED),
    *(Timer.CLOSING, Timer.MAX_DURATION, Timer.MAX_WARNING, Timer.FALSE_STOP),
)
"""Nothing of the agent's bounds a talk between two people."""

_BOUNDS = frozenset({Timer.MAX_DURATION, Timer.MAX_WARNING})
"""What bounds a talk with the agent of any arm."""


def want_handoff(call: CallState, handoff: HandingOver) -> Effects:
    """Hand the call over as soon as the agent was heard to its end."""
    call.handoff = handoff
    yield from call.start_timer(Timer.TRANSFER, PHRASE_MS)


def start_handoff(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    """Hand the call over now.

    Args:
        call: in a state that may be left for HANDOFF; nothing is being played.
        handoff: new; another one that goes on stays as it is.
        now_ns: monotonic.
    """
    other = call.handoff
    if (other is not None and other is not handoff) or not (
        yield from call.move(Trigger.HANDOFF_STARTED)
    ):
        call.handoff = None if other is handoff else other
        handoff.failure = "not_now"
        yield from handoff.on_failed(call, handoff, now_ns)
        return
    call.handoff = handoff
    yield from call.stop_timer(Timer.CLOSING)
    target = handoff.target
    handoff.way = Way.WARM if target.warm else Way.BLIND if target.refer else Way.BRIDGED
    if not target.is_agent:
        yield HandoffStarted(target.name, target.to, handoff.way, handoff.summary)
    yield PauseUplink(UplinkHold.HANDOFF)
    yield from call.send(ClearInput())
    call.session.turn.stop()
    call.wait.begin(now_ns)
    yield from call.cancel_response()
    yield from advance(call, _next(target.before is not None, handoff), now_ns)


def put_through(call: CallState, now_ns: int) -> Effects:
    """Put a caller through to an arm's agent, who has answered before the caller was."""
    yield from call.move(Trigger.HANDOFF_STARTED)
    yield PauseUplink(UplinkHold.HANDOFF)
    call.wait.begin(now_ns)
    yield from advance(call, HandoffSignal.ACCEPTED, now_ns)


def part_from_agent(call: CallState) -> Effects:
    """Let the agent of an arm go, with whom the caller talks; the caller may go to it again."""
    handoff, call.handoff = call.handoff, None
    if handoff is not None:
        call.way_out = handoff.target
        yield LetPersonGo()
        yield ResumeUplink(UplinkHold.HANDOFF)


def watch_handoff(call: CallState, event: Input, now_ns: int) -> Effects:
    """Begin a handoff that is wanted, when it can; keep the agent out of one that has begun.

    Looked at after every input.
    """
    handoff = call.handoff
    if handoff is None or call.closed:
        return
    if handoff.begun:
        # Turn detection had heard the end of a turn before the caller was muted.
        yield from call.cancel_response()
        return
    if may_hand_over(call):
        yield from start_handoff(call, handoff, now_ns)


# What happens


def on_transfer_progressed(call: CallState, event: TransferProgressed, now_ns: int) -> Effects:
    """Note that the far end has taken the REFER."""
    handoff = call.handoff
    if handoff is None or handoff.step is not HandoffStep.REFERRING or handoff.accepted:
        return
    handoff.accepted = True
    yield from call.start_timer(Timer.TRANSFER, call.policy.transfer_timeout_ms)


def on_transfer_completed(call: CallState, event: TransferCompleted, now_ns: int) -> Effects:
    """Leave the call: the far end has somebody else to talk to."""
    yield from advance(call, HandoffSignal.DONE, now_ns)


def on_transfer_failed(call: CallState, event: TransferFailed, now_ns: int) -> Effects:
    """Dial the target ourselves, unless it is known to be busy."""
    handoff = call.handoff
    if handoff is None or handoff.step is not HandoffStep.REFERRING:
        return
    handoff.failure = f"sip_{event.sip_code}"
    busy = handoff.accepted and event.sip_code in BUSY
    yield from advance(call, HandoffSignal.FAILED if busy else HandoffSignal.DIAL, now_ns)


def on_heard(call: CallState, now_ns: int) -> Effects:
    """Go on once the caller heard the phrase; anything else that was heard changes nothing."""
    if call.handoff is not None and call.handoff.step is HandoffStep.SAYING:
        yield from advance(call, _next(False, call.handoff), now_ns)


def on_transfer_overdue(call: CallState, now_ns: int) -> Effects:
    """Go on without what did not come in its time."""
    handoff = call.handoff
    if handoff is None:
        return
    match handoff.step:
        case HandoffStep.SAYING:
            yield from on_heard(call, now_ns)
        case HandoffStep.WANTED:
            yield from start_handoff(call, handoff, now_ns)
        case HandoffStep.REFERRING if not handoff.accepted:
            handoff.failure = TIMEOUT
            yield from advance(call, HandoffSignal.DIAL, now_ns)
        case HandoffStep.DIALLING:
            yield from fail(call, "no_answer", now_ns)
        case HandoffStep.ANNOUNCING | HandoffStep.ASKING:
            yield from fail(call, "not_accepted", now_ns)
        case _:
            yield from fail(call, TIMEOUT, now_ns)


def on_caller_left(call: CallState, lost: CallEnd | None, now_ns: int) -> Effects:
    """Close a call that was handed over and whose caller left; else, only note the failure.

    Args:
        lost: how the call ends if the caller has vanished in a talk with a person; None: they hung
            up. Far ends that have taken a REFER owe us no BYE.
    """
    handoff = call.handoff
    if handoff is None:
        return
    # Some far ends hang up once they have taken the REFER, before they report how it went.
    moved = handoff.step is HandoffStep.REFERRING and handoff.accepted
    if moved:
        yield _completed(handoff, now_ns)
        yield from close(call, handoff.ending, dialog_over=True)
    elif handoff.step is HandoffStep.BRIDGED:
        ending = CALLER_HUNG_UP if handoff.target.is_agent else handoff.ending
        yield from close(call, lost or ending, dialog_over=True)
    elif handoff.begun and not handoff.target.is_agent:
        yield HandoffFailed(handoff.way, "caller_left", _took_ms(handoff, now_ns))


# The steps


def advance(call: CallState, signal: HandoffSignal, now_ns: int) -> Effects:
    """Take a signal: the next step by the table, and what it brings."""
    handoff = call.handoff
    if handoff is None:
        return
    new = STEPS.get((handoff.step, signal))
    if new is None:
        yield TransitionRefused(f"handoff_{handoff.step}", signal)
        return
    had_person, handoff.step = handoff.has_person, new
    if had_person and not handoff.has_person:
        yield LetPersonGo()
    yield from _ENTER[new](call, handoff, now_ns)


def fail(call: CallState, reason: str, now_ns: int) -> Effects:
    """Take a failure; where it can't be one any more, it is counted and changes nothing."""
    if call.handoff is not None:
        call.handoff.failure = reason
    yield from advance(call, HandoffSignal.FAILED, now_ns)


def _next(say_first: bool, handoff: HandingOver) -> HandoffSignal:
    if say_first:
        return HandoffSignal.SAY
    return HandoffSignal.REFER if handoff.way is Way.BLIND else HandoffSignal.DIAL


def _say_first(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    yield from call.start_timer(Timer.TRANSFER, PHRASE_MS)
    yield from say(call, handoff.target.before or "")


def _refer(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    yield from call.start_timer(Timer.TRANSFER, REFER_ANSWER_MS)
    yield TransferCall(handoff.target.to, handoff.summary, handoff.target.refer_to_headers)
    yield from want_filler(call, call.policy.recovery.filler_after_ms, now_ns)


def _dial(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    if handoff.way is Way.BLIND:
        handoff.way = Way.BRIDGED
    yield from call.start_timer(Timer.TRANSFER, handoff.target.ring_ms)
    target = handoff.target
    yield DialPerson(target.to, handoff.summary, target.silent_ms, urgent=handoff.urgent)
    yield from want_filler(call, call.policy.recovery.filler_after_ms, now_ns)


def _announce(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    yield from call.start_timer(Timer.TRANSFER, PHRASE_MS + handoff.target.decide_ms)
    said = (handoff.target.announce, handoff.summary, handoff.target.ask)
    yield AnnounceToPerson(tuple(text for text in said if text))


def _ask(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    yield from call.start_timer(Timer.TRANSFER, handoff.target.decide_ms)


def _bridge(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    """Leave the talk to caller and person."""
    handoff.bridged_ns = now_ns
    yield from call.stop_timer(Timer.TRANSFER)
    yield from stop_filler(call, cut_phrase=True)
    is_agent = handoff.target.is_agent
    for timer in _SESSION_TIMERS:
        if not (is_agent and timer in _BOUNDS):
            yield from call.stop_timer(timer)
    yield BridgePerson(listen=is_agent)
    yield from _publish_accepted(call, handoff, now_ns)
    call.lost, call.fallback, call.rollover = True, None, None
    call.session = SessionState()
    call.wait.end()
    call.transcript.disown()
    call.note(response_id="")
    call.note_phase()
    yield CloseSession()


def _claim(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    """Leave the call to the supervisor who has accepted it, and is awaited as their hold says."""
    handoff.way = Way.CONSOLE
    yield from call.stop_timer(Timer.TRANSFER)


def _join(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    """Have a supervisor be the person; their own hold keeps the agent out."""
    call.handoff = None
    call.supervised.accepted = handoff.ending
    yield ResumeUplink(UplinkHold.HANDOFF)
    yield from _publish_accepted(call, handoff, now_ns)


def _publish_accepted(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    if not handoff.target.is_agent:
        yield HandoffAccepted(handoff.way, call.supervised.holder)
    yield _completed(handoff, now_ns)
    if handoff.call_id is not None:
        call.background.discard(handoff.call_id)
        yield from call.answer_tool(handoff.call_id, {"transferred": True})


def _take_back(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    call.handoff = None
    if not handoff.target.is_agent:
        yield HandoffFailed(handoff.way, handoff.failure, _took_ms(handoff, now_ns))
    yield from call.stop_timer(Timer.TRANSFER)
    yield from stop_filler(call)
    if call.stage is Stage.TALKING:  # before, nothing has left the talk
        yield ResumeUplink(UplinkHold.HANDOFF)
        yield from call.move(Trigger.HANDOFF_FAILED)
        if call.lost:
            yield from call.move(Trigger.SESSION_LOST)
    if handoff.target.on_failure is not None:
        yield from say(call, handoff.target.on_failure)
    yield from handoff.on_failed(call, handoff, now_ns)


def _leave(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    if not handoff.bridged_ns:
        yield _completed(handoff, now_ns)
    yield from close(call, handoff.ending)


def _completed(handoff: HandingOver, now_ns: int) -> HandoffCompleted | AgentReached:
    """Return the news that the caller has somebody else to talk to: a person, or an arm's agent."""
    news = AgentReached if handoff.target.is_agent else HandoffCompleted
    return news(handoff.way, _took_ms(handoff, now_ns))


def _go_on_with_agent(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    """Have a session again, and let it know what it has missed."""
    call.handoff = None
    talked_s = (now_ns - handoff.bridged_ns) // NS_PER_S
    yield HandedBack(talked_s * 1000)
    yield from stop_filler(call)
    yield ResumeUplink(UplinkHold.HANDOFF)
    yield from call.move(Trigger.HANDED_BACK)
    yield from call.send(CreateItem(_note(handoff, talked_s)))
    yield from request_response(call)
    call.budget = call.budget.restored(now_ns)
    call.wait.begin(now_ns)
    yield from watch_duration(call)
    if handoff.target.on_hand_back is not None:
        yield from say(call, handoff.target.on_hand_back)
    yield OpenSession(within_ms=call.policy.recovery.attempt_ms, talk=call.take_talk())
    yield from want_filler(call, call.policy.recovery.filler_after_ms, now_ns)


_ENTER: Mapping[HandoffStep, Callable[[CallState, HandingOver, int], Effects]] = MappingProxyType(
    {
        HandoffStep.SAYING: _say_first,
        HandoffStep.REFERRING: _refer,
        HandoffStep.DIALLING: _dial,
        HandoffStep.ANNOUNCING: _announce,
        HandoffStep.ASKING: _ask,
        HandoffStep.BRIDGED: _bridge,
        HandoffStep.CLAIMED: _claim,
        HandoffStep.JOINED: _join,
        HandoffStep.FAILED: _take_back,
        HandoffStep.DONE: _leave,
        HandoffStep.HANDED_BACK: _go_on_with_agent,
    }
)


def _note(handoff: HandingOver, talked_s: int) -> Message:
    """Return the note for the agent about the talk that it did not hear."""
    text = (
        f"The caller was put through to {handoff.target.name} and talked to them for {talked_s} "
        "seconds. You did not hear that talk. The caller is back with you now: ask what else they "
        "need, and don't repeat what was settled before."
    )
    if handoff.summary:
        text += f" You had told {handoff.target.name}: {handoff.summary}"
    return Message(Role.SYSTEM, (ContentPart(PartKind.INPUT_TEXT, text),))


def _took_ms(handoff: HandingOver, now_ns: int) -> int:
    return (now_ns - handoff.since_ns) // NS_PER_MS
