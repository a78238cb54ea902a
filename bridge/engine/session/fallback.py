"""Ends a call whose session could not be had (again), by the dialplan's fallback.

    EXPLAIN -> [TRANSFER -> APOLOGISE] -> our BYE

Each step follows when the one before was heard to its end, failed, or took too long; a transfer
that succeeds ends the call. A phrase that is not at hand is a tone. Before our answer the call is
refused with 503, unless the dialplan has it answered for the fallback.
"""

from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType

from bridge.engine.call.closing import AI_OFF, LINE_CLOSED, LINE_FULL, close
from bridge.engine.call.state import CallEnd, Stage
from bridge.engine.effects import AnswerCall, CloseSession
from bridge.engine.handoff.transfer import start_handoff
from bridge.engine.news import GaveUp
from bridge.engine.policy import NoAgent
from bridge.engine.session.state import FallbackState, FallbackStep
from bridge.engine.state import CallState, Effects, HandingOver, SessionState
from bridge.engine.timers import Timer
from bridge.engine.turns import State, Trigger
from bridge.engine.voice.filler import play_tone
from bridge.engine.voice.speech import say
from bridge.errors import Outcome
from bridge.realtime.failures import Failure
from bridge.realtime.recovery import GiveUpReason
from bridge.routing.fallback import FallbackPolicy

AGENT_GRACE_MS = 15_000
"""How long what was queued of the agent may be heard before the fallback begins."""

PHRASE_GRACE_MS = 45_000
"""How long a phrase may take; the longest, 400 characters, lasts 31 s at 13 characters a second."""

_WITHOUT_AGENT = {NoAgent.CLOSED: LINE_CLOSED, NoAgent.FULL: LINE_FULL, NoAgent.AI_OFF: AI_OFF}
"""How a call ends that never had a session."""

_SESSION_TIMERS = (Timer.FILLER, Timer.RESPONSE, Timer.RETRY, Timer.ROLLOVER, Timer.STALLED)


def leave_agent(call: CallState, ending: CallEnd, instead: FallbackPolicy, now_ns: int) -> Effects:
    """Go on without an agent, for good, though there may be a session.

    Args:
        call: one that talks, and is not being handed over.
        ending: how it ends where nobody takes it.
        instead: what becomes of the caller.
        now_ns: monotonic.
    """
    _begin(call, ending, instead)
    yield CloseSession()
    call.session = SessionState()
    call.wait.begin(now_ns)
    call.transcript.disown()
    yield from _go_on_without_session(call, now_ns)


def take_fallback(call: CallState, failure: Failure, reason: GiveUpReason, now_ns: int) -> Effects:
    """Take the fallback of a call that we have answered."""
    yield GaveUp(reason, call.policy.recovery.fallback)
    ending = CallEnd(Outcome.SESSION_LOST, failure.fault, failure.code)
    _begin(call, ending, call.policy.fallback)
    yield CloseSession()
    if call.stage is not Stage.TALKING:
        if not call.policy.fallback.heard:
            yield from close(call, ending)  # nobody hears us yet
        return
    yield from _go_on_without_session(call, now_ns)


def _go_on_without_session(call: CallState, now_ns: int) -> Effects:
    if call.handing_over:
        return  # whatever comes of that comes first
    if call.turns.state is not State.RECOVERING:
        yield from call.move(Trigger.SESSION_LOST)
    call.filler_wanted = False
    for timer in _SESSION_TIMERS:
        yield from call.stop_timer(timer)
    yield from call.start_timer(Timer.CLOSING, AGENT_GRACE_MS)
    if not call.audible and not call.filling and not call.elsewhere:
        yield from go_on_with_fallback(call, now_ns)


def lose_session(call: CallState, failure: Failure) -> Effects:
    """Go on where the first session could not be had; end the call where we ourselves failed."""
    if call.stage is Stage.RINGING:
        yield from refuse_or_answer(call, unavailable(failure), GiveUpReason.REFUSED)
        return
    if call.stage is Stage.TALKING:
        yield from call.move(Trigger.SESSION_LOST)
    yield from close(call, CallEnd(Outcome.SESSION_LOST, failure.fault, failure.code))


def unavailable(failure: Failure) -> CallEnd:
    """Return the end of a call whose first session could not be had."""
    return CallEnd(Outcome.SESSION_UNAVAILABLE, failure.fault, failure.code)


def refuse_or_answer(call: CallState, ending: CallEnd, reason: GiveUpReason) -> Effects:
    """Refuse the INVITE, so that the carrier may try another route, or answer for the fallback."""
    fallback = call.policy.fallback
    if not (fallback.answers and fallback.heard):
        yield from close(call, ending)
        return
    yield GaveUp(reason, call.policy.recovery.fallback)
    _begin(call, ending, fallback)
    yield CloseSession()
    yield from call.stop_timer(Timer.SESSION_READY)
    call.stage = Stage.ANSWERING
    yield AnswerCall()


def answer_without_agent(call: CallState, why: NoAgent) -> Effects:
    """Answer a call that gets the fallback and no agent.

    Where the AI is off it is refused if it would hear nothing. It is answered else, whatever the
    fallback says of that: the carrier would try the next node, whose AI is off, too.
    """
    ending, fallback = _WITHOUT_AGENT[why], call.policy.fallback
    if why is NoAgent.AI_OFF and not fallback.heard:
        yield from close(call, ending)
        return
    _begin(call, ending, fallback)
    call.stage = Stage.ANSWERING
    yield AnswerCall()


def go_on_with_fallback(call: CallState, now_ns: int) -> Effects:
    """Take the next step of the fallback, or end the call after the last one."""
    fallback = call.fallback
    if fallback is None:
        return
    call.speech.waiting.clear()  # no response will end, and let it be said
    if not fallback.steps:
        yield from close(call, fallback.ending)
        return
    yield from call.start_timer(Timer.CLOSING, PHRASE_GRACE_MS)
    yield from _CARRY_OUT[fallback.steps.popleft()](call, fallback, now_ns)


def _begin(call: CallState, ending: CallEnd, policy: FallbackPolicy) -> None:
    call.lost = True
    call.fallback = FallbackState(policy, ending, _steps(policy))


def _steps(policy: FallbackPolicy) -> deque[FallbackStep]:
    if policy.transfer_to is None:
        return deque([FallbackStep.EXPLAIN])
    return deque([FallbackStep.EXPLAIN, FallbackStep.TRANSFER, FallbackStep.APOLOGISE])


def _explain(call: CallState, fallback: FallbackState, now_ns: int) -> Effects:
    yield from _say(call, fallback.policy.say)


def _apologise(call: CallState, fallback: FallbackState, now_ns: int) -> Effects:
    yield from _say(call, fallback.policy.say_if_failed)


def _transfer(call: CallState, fallback: FallbackState, now_ns: int) -> Effects:
    to = fallback.policy.transfer_to
    if to is None:
        return
    yield from call.stop_timer(Timer.CLOSING)
    ending = CallEnd(Outcome.TRANSFERRED, fallback.ending.fault, fallback.ending.reason)
    yield from start_handoff(call, HandingOver(now_ns, to, ending, _not_transferred), now_ns)


def _not_transferred(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    yield from go_on_with_fallback(call, now_ns)


def _say(call: CallState, phrase: str | None) -> Effects:
    if phrase is not None:
        yield from say(call, phrase)
        return
    yield from play_tone(call, pause=False)


_CARRY_OUT: Mapping[FallbackStep, Callable[[CallState, FallbackState, int], Effects]] = (
    MappingProxyType(
        {
            FallbackStep.EXPLAIN: _explain,
            FallbackStep.TRANSFER: _transfer,
            FallbackStep.APOLOGISE: _apologise,
        }
    )
)
