"""Gets a call's lost session back, and goes on with the conversation.

    SessionFailed -> RECOVERING, the steps of `plan()` as effects, anew for each attempt that fails
    SessionReady  -> the talk is given to the new session, LISTENING

What was queued of the agent goes on playing, and what the caller says is kept by the call's
`Upstream` (`bridge/live/kept_audio.py`). State of the old session goes with its `SessionState`
(:mod:`bridge.engine.state`).
"""

from typing import assert_never

from bridge.clock import NS_PER_MS
from bridge.engine.agent.latency import TurnClock
from bridge.engine.agent.requests import expect_response, request_response
from bridge.engine.call.closing import END_CALL, close
from bridge.engine.call.state import Stage
from bridge.engine.effects import KeepSpeech, KeepTurns, OpenSession, Send, SendKeptAudio, TakeSpare
from bridge.engine.floor import session_may_change
from bridge.engine.inputs import Input, SessionFailed, SessionReady, SpareReady
from bridge.engine.news import SessionLost, SessionRestored
from bridge.engine.session.fallback import (
    lose_session,
    refuse_or_answer,
    take_fallback,
    unavailable,
)
from bridge.engine.session.rescue import may_rescue, rescue
from bridge.engine.session.rollover import (
    LOOK_AGAIN_MS,
    is_due,
    keep_spare,
    open_spare,
    watch_life,
)
from bridge.engine.session.state import SpareSession
from bridge.engine.state import CallState, Effects, SessionState
from bridge.engine.timers import Timer
from bridge.engine.tools.mcp import end_calls
from bridge.engine.turns import State, Trigger
from bridge.engine.voice.filler import stop_filler, want_filler
from bridge.errors import ProtocolError, UpstreamError
from bridge.realtime import recovery
from bridge.realtime.commands import CreateItem, CreateResponse
from bridge.realtime.duplex_events import SessionClosed
from bridge.realtime.events import (
    InputCleared,
    InputCommitted,
    InputTranscriptCompleted,
    OutputItemDone,
    ResponseDone,
    SpeechStarted,
)
from bridge.realtime.failures import Cure, Failure, classify, code_of_end
from bridge.realtime.items import Item, Message
from bridge.realtime.session_config import ResponseConfig


def on_session_failed(call: CallState, event: SessionFailed, now_ns: int) -> Effects:
    """Get the session back; after a failure that is not the session's, end the call."""
    if call.fallback is not None:
        return
    failure = classify(event.error, key_is_fresh=event.key_is_fresh)
    if not isinstance(event.error, UpstreamError | ProtocolError):
        yield from lose_session(call, failure)
        return
    if call.answered:
        yield from recover(call, failure, now_ns, token_expires_ns=event.token_expires_ns)
    else:
        yield from _try_again(call, event, failure, now_ns)


def _try_again(call: CallState, event: SessionFailed, failure: Failure, now_ns: int) -> Effects:
    """Open a session anew while the caller hears ringing; Timer.SESSION_READY bounds it all."""
    call.budget = call.budget.failed(failure, now_ns)
    yield SessionLost(failure, call.budget.failures)
    steps = _plan(call, failure, event.token_expires_ns, now_ns)
    call.unready = unavailable(failure)
    if may_rescue(call):
        yield from rescue(call, failure.code)
        return
    match steps:
        case (recovery.FillSilence(), recovery.Reconnect() as attempt, *_):
            yield OpenSession(attempt.after_ms, attempt.new_token, attempt.within_ms)
        case (recovery.GiveUp(reason=reason),):
            yield from refuse_or_answer(call, call.unready, reason)
        case _:
            yield from lose_session(call, failure)


def recover(
    call: CallState, failure: Failure, now_ns: int, *, token_expires_ns: int | None = None
) -> Effects:
    """Do what the plan says about a session that is gone, or no good any more."""
    call.budget = call.budget.failed(failure, now_ns)
    yield SessionLost(failure, call.budget.failures)
    spare = call.rollover.ready if call.rollover is not None else None
    yield from _suspend(call, now_ns)
    if call.ending is not None:
        # The goodbye was said; the end of its audio, or Timer.CLOSING, ends the call.
        if not call.playing:
            yield from call.transcript.played()
            yield from close(call, END_CALL)
        return
    if may_rescue(call):
        yield from want_filler(call, call.policy.recovery.filler_after_ms, now_ns)
        yield from rescue(call, failure.code)
        return
    if spare is not None and failure.cure is not Cure.GIVE_UP:
        yield TakeSpare()
        yield from restore(call, _of_spare(call, spare), now_ns)
        return
    steps = _plan(call, failure, token_expires_ns, now_ns)
    yield from _carry_out(call, steps, failure, now_ns)
    if not steps:
        # Nothing can help, and there is no session: the call must not hang.
        yield from take_fallback(call, failure, recovery.GiveUpReason.REFUSED, now_ns)


_OF_TURNS: frozenset[type] = frozenset(
    {
        SpeechStarted,
        InputCommitted,
        InputCleared,
        InputTranscriptCompleted,
        OutputItemDone,
        ResponseDone,
    }
)
"""After which the caller's first unheard turn may be another."""


def watch_unheard(call: CallState, event: Input, now_ns: int) -> Effects:
    """Keep the caller's audio as long as another session would have to hear it; looked at after
    every input.
    """
    if type(event) not in _OF_TURNS or call.lost:
        return
    first = call.log.first_unheard
    if first is None and call.log.speech_resent:
        return  # all that the session was sent of before is kept, until it reports a turn of it
    if first != call.session.unheard:
        call.session.unheard = first
        yield KeepTurns(first)


def restore(call: CallState, ready: SessionReady, now_ns: int) -> Effects:
    """Give the talk to a new session and go on."""
    outage_ms = call.budget.outage_ms(now_ns)
    steps = _restoration(call)
    call.budget = call.budget.restored(now_ns)
    yield from move_on(call, ready, steps, now_ns)
    yield SessionRestored(outage_ms)


def move_on(
    call: CallState, ready: SessionReady, steps: tuple[recovery.Step, ...], now_ns: int
) -> Effects:
    """Go on with a new session: its state is its own, the talk is what ``steps`` give it."""
    call.session = SessionState(service=ready.service)
    call.transcript.disown()
    said = call.log.items()
    nothing_said = not said
    speech_sent = ready.kept_speech or call.log.speech_unheard
    call.log.begin_session(speech_resent=speech_sent)
    call.lost = False
    call.note(session_id=ready.session_id)
    if call.turns.state is State.RECOVERING:
        yield from call.move(Trigger.SESSION_RESTORED)
    if call.playing:
        yield from call.move(Trigger.PLAYOUT_STARTED)
    for step in steps:
        match step:
            case recovery.RestoreContext() | recovery.SummariseContext():
                for item in step.items if ready.service.takes_talk_later else _since(call, said):
                    yield Send(CreateItem(item))  # the talk has them already
            case recovery.ResendCaller():
                yield SendKeptAudio(step.max_ms)
                if speech_sent and not call.sound.heard:
                    # The server answers what it hears; if it hears nothing, the timer asks.
                    yield from expect_response(call)
            case recovery.RequestResponse() if speech_sent:
                pass
            case recovery.RequestResponse():
                yield from _ask(call, greeting=nothing_said)
            case recovery.FillSilence() | recovery.Reconnect() | recovery.GiveUp():
                pass
            case _:
                assert_never(step)
    if not call.session.responses.awaited and not call.handing_over:
        yield from stop_filler(call)
    yield from watch_life(call, ready.expires_in_ms, now_ns)


def _since(call: CallState, said: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return what was said since a session was opened with the talk up to then."""
    return tuple(item for item in said[call.talk_given :] if isinstance(item, Message))


def _of_spare(call: CallState, spare: SpareSession) -> SessionReady:
    return SessionReady(spare.session_id, spare.expires_in_ms, service=call.session.service)


def on_session_closed(call: CallState, event: SessionClosed, now_ns: int) -> Effects:
    """Get the session back that its service has ended; its connection goes with it."""
    error = UpstreamError("the service ended the session", code=code_of_end(event.reason))
    yield from on_session_failed(call, SessionFailed(error), now_ns)


def on_spare_ready(call: CallState, event: SpareReady, now_ns: int) -> Effects:
    """Keep the spare; take it at once if this is the moment."""
    if keep_spare(call, event):
        yield from on_life_timer(call, now_ns)


def on_life_timer(call: CallState, now_ns: int) -> Effects:
    """Open a spare when it is time, and take it at the right moment."""
    life = call.rollover
    if life is None:
        return
    if life.ready is None:
        yield from open_spare(call, life, now_ns)
        return
    if not is_due(call, life, now_ns):
        yield from call.start_timer(Timer.ROLLOVER, LOOK_AGAIN_MS)
        return
    if not session_may_change(call):
        yield from _suspend(call, now_ns)
    call.budget = call.budget.restored(now_ns)
    steps = _restoration(call)
    ready = _of_spare(call, life.ready)
    yield TakeSpare()
    call.note(conversation_id="")  # the next response names the new session's
    yield from move_on(call, ready, steps, now_ns)
    yield SessionRestored(0)


def answer_failed(
    call: CallState, failure: Failure, asked: ResponseConfig | None, now_ns: int
) -> Effects:
    """Ask again for a response that failed, within bounds; a session that is no good is renewed.

    Args:
        call: the call.
        failure: how it failed.
        asked: what the response was asked for with, a greeting's words among it.
        now_ns: monotonic.
    """
    given_up = failure.cure is Cure.GIVE_UP and may_rescue(call)
    if failure.cure in (Cure.RENEW, Cure.RECONNECT) or given_up:
        yield from recover(call, failure, now_ns)
        return
    call.answers = call.answers.failed(failure, now_ns)
    if call.ending is not None or call.session.turn.speaking:
        return
    steps = recovery.plan(failure, call.log, call.answers, now_ns, jitter=call.jitter())
    yield from _carry_out(call, steps, failure, now_ns, asked)


def leave_stalled(call: CallState, now_ns: int) -> Effects:
    """Leave a session whose response stands still, or never begins."""
    stalled = UpstreamError("a response stands still", code="stalled")
    yield from recover(call, classify(stalled), now_ns)


def on_retry_due(call: CallState, now_ns: int) -> Effects:
    """Ask again for the response that failed."""
    yield from request_response(call, call.session.responses.take_retry())


def _restoration(call: CallState) -> tuple[recovery.Step, ...]:
    takes_pictures = call.session.service.takes_pictures
    return recovery.restoration(call.log, call.budget, takes_pictures=takes_pictures)


def _plan(
    call: CallState, failure: Failure, token_expires_ns: int | None, now_ns: int
) -> tuple[recovery.Step, ...]:
    return recovery.plan(
        failure,
        call.log,
        call.budget,
        now_ns,
        jitter=call.jitter(),
        token_expires_ns=token_expires_ns,
    )


def _suspend(call: CallState, now_ns: int) -> Effects:
    """Leave the old session behind."""
    call.rollover = None
    for timer in (
        Timer.RESPONSE,
        Timer.RETRY,
        Timer.ROLLOVER,
        Timer.STALLED,
        Timer.FALSE_STOP,
        Timer.OPEN_TURN,
        Timer.UNHEARD,
    ):
        yield from call.stop_timer(timer)
    if call.lost:
        return
    call.lost = True
    yield from _keep_unreported(call, now_ns)
    if call.session.responses.owed or call.session.responses.retry is not None:
        call.log.sent(CreateResponse())
    yield from end_calls(call, now_ns)
    call.note(response_id="", conversation_id="")
    call.sound.explain()
    call.sound.turns.clear()
    if not call.agent_busy:
        call.wait.end()
    ended_ns = _open_turn_ended_ns(call, now_ns)
    clock = None
    if ended_ns is not None:
        call.wait.begin(ended_ns)
        clock = TurnClock(last_sound_ns=ended_ns)
    call.wait.go_on(now_ns)
    call.session = SessionState(turn_clock=clock, service=call.session.service)
    call.transcript.disown()
    for response_id, tools in list(call.tool_rounds.items()):
        tools.response_over = True
        if not tools.pending:
            del call.tool_rounds[response_id]
    if call.stage is Stage.TALKING:
        yield from call.move(Trigger.SESSION_LOST)


def _keep_unreported(call: CallState, now_ns: int) -> Effects:
    """Have a sound of the caller's go to the next session, of which this one reported nothing."""
    if call.session.turn.speaking or call.session.turn.uncommitted:
        return
    since_ns = call.sound.since_ns_unreported(now_ns)
    if since_ns is not None:
        yield KeepSpeech((now_ns - since_ns) // NS_PER_MS)


def _open_turn_ended_ns(call: CallState, now_ns: int) -> int | None:
    """Return the end of a turn that the caller has ended and the lost session has not.

    Nobody says any more that it is over, and the caller waits since their last sound. None where
    there is no such turn, or the agent is still heard.
    """
    turn, sound = call.session.turn, call.sound
    is_open = (turn.speaking or turn.uncommitted) and sound.turn_heard
    unreported = sound.since_ns_unreported(now_ns) is not None
    if not (is_open or unreported) or sound.heard or call.playing:
        return None
    return sound.silent_since_ns


def _carry_out(
    call: CallState,
    steps: tuple[recovery.Step, ...],
    failure: Failure,
    now_ns: int,
    asked: ResponseConfig | None = None,
) -> Effects:
    for step in steps:
        match step:
            case recovery.FillSilence(after_ms=after_ms):
                yield from want_filler(call, after_ms, now_ns)
            case recovery.Reconnect():
                talk = call.take_talk()
                yield OpenSession(step.after_ms, step.new_token, step.within_ms, talk)
                return  # the rest is asked for anew when the session stands
            case recovery.RequestResponse(after_ms=after_ms):
                call.session.responses.retry_with(asked or ResponseConfig())
                yield from call.start_timer(Timer.RETRY, after_ms)
            case recovery.GiveUp(reason=reason):
                yield from take_fallback(call, failure, reason, now_ns)
            case recovery.RestoreContext() | recovery.SummariseContext() | recovery.ResendCaller():
                pass
            case _:
                assert_never(step)


def _ask(call: CallState, *, greeting: bool) -> Effects:
    instructions = (
        call.policy.agent.greeting_instructions if greeting and call.policy.agent.greet else None
    )
    yield from request_response(call, ResponseConfig(instructions=instructions))
