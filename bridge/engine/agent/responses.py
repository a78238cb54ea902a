"""A response from its creation to its end: only the active one is played, transcribed, answered.

The service's error events are handled here, too; nearly all leave the session open (`PROTOCOL.md`
section 7). One is a claim: a response is refused because one runs already. The default conversation
runs one response at a time, and the service's word on that is final (`PROTOCOL.md` section 5,
`conversation_already_has_active_response`). What was asked for is owed:

    one runs here, too                 -> asked for again when it is done
    one was cancelled here             -> when its end is sent, or CANCELLED_ENDS_WITHIN_MS later
    turn detection is about to begin one -> that is the answer; missed after the same time
    none is known here                 -> it is cancelled unnamed, and what was owed is asked for
                                          when its end is sent, the service says that there was
                                          nothing to cancel, or the same time has passed
    and the service refuses that again -> the session is left

So a claim that is false costs a round trip, or one second where the service is silent about it, and
never the ten seconds after which an answer counts as overdue.
"""

from bridge.engine.agent.answer import begin_answer, note_audio
from bridge.engine.agent.playout import settle
from bridge.engine.agent.requests import (
    CANCELLED_ENDS_WITHIN_MS,
    pay_owed,
    send_request,
)
from bridge.engine.agent.state import UNNAMED, Response
from bridge.engine.effects import PlayAudio
from bridge.engine.media import AudioLost
from bridge.engine.news import AnswerFailed, UpstreamErrorSeen
from bridge.engine.session.fallback import lose_session
from bridge.engine.session.recovery import answer_failed, leave_stalled, recover
from bridge.engine.session.rescue import may_rescue
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.tools.mcp import end_calls
from bridge.engine.tools.rounds import on_response_over
from bridge.engine.turns import Trigger
from bridge.realtime.commands import CancelResponse
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import (
    AudioDelta,
    AudioDone,
    ErrorReported,
    ResponseCreated,
    ResponseDone,
    TranscriptDelta,
    TranscriptDone,
)
from bridge.realtime.failures import Cure, classify_event, classify_response
from bridge.realtime.items import McpApprovalRequest, McpCall
from bridge.realtime.session_config import ResponseConfig

ALREADY_ACTIVE = "conversation_already_has_active_response"
CANCEL_NOT_ACTIVE = "response_cancel_not_active"
NOTHING_TO_COMMIT = "input_audio_buffer_commit_empty"
RESPONSE_TIMEOUT = "response_timeout"
"""Our own code among the upstream's, for an answer that never began."""
END_LOST = "response_end_lost"
"""Our own code, for an answer that came whole, but for its end."""

AUDIO_LOST = "audio_undecodable"
"""Our own code, for a piece of the agent's voice that could not be decoded."""
TURN_DETECTED = "turn_detected"
"""Reason of a cancelled response: the service's turn detection heard the caller."""

_WHOLE = (ResponseStatus.COMPLETED, ResponseStatus.INCOMPLETE, ResponseStatus.OTHER)


def on_response_created(call: CallState, event: ResponseCreated, now_ns: int) -> Effects:
    """Make a response the active one, unless the caller began to speak since we asked for it."""
    responses = call.session.responses
    running = responses.running
    if event.response_id in responses.finished or (
        running is not None and running.response_id == event.response_id
    ):
        return
    if running is not None:
        yield from on_response_over(call, running.response_id, answer=not running.cancelled)
        responses.finish()
    if event.conversation_id is not None:
        call.note(conversation_id=event.conversation_id)
    yield from begin_answer(call, event.response_id, now_ns)


def on_audio_delta(call: CallState, event: AudioDelta, now_ns: int) -> Effects:
    """Give audio of the active response to the playout; any other is late and dropped."""
    responses = call.session.responses
    if responses.running is None and responses.awaited:
        # What announced it was lost or comes late; a finished one does not come back by this.
        created = ResponseCreated(event.response_id)
        yield from on_response_created(call, created, now_ns)
    response = responses.active
    if response is None or response.response_id != event.response_id or not event.audio:
        return
    part = (event.item_id, event.content_index)
    item_id = yield from note_audio(call, response, part, event, now_ns)
    yield PlayAudio(item_id, event.content_index, event.audio, event.audio_format)


def on_audio_lost(call: CallState, event: AudioLost, now_ns: int) -> Effects:
    """Count a piece of the active response that nobody can hear; the first one is reported."""
    response = call.session.responses.active
    if response is None:
        return
    response.lost_deltas += 1
    if response.lost_deltas == 1:
        yield UpstreamErrorSeen(AUDIO_LOST)


def on_audio_done(call: CallState, event: AudioDone, now_ns: int) -> Effects:
    """Note that a part will not grow any more."""
    if call.session.responses.active_is(event.response_id):
        item = call.transcript.item(event.item_id, event.response_id)
        item.complete_parts.add(event.content_index)
    yield from ()


def on_transcript_delta(call: CallState, event: TranscriptDelta, now_ns: int) -> Effects:
    """Add to what the agent says; reported when done, or when cut."""
    if call.session.responses.active_is(event.response_id):
        texts = call.transcript.item(event.item_id, event.response_id).texts
        texts[event.content_index] = texts.get(event.content_index, "") + event.delta
    yield from ()


def on_transcript_done(call: CallState, event: TranscriptDone, now_ns: int) -> Effects:
    """Report what the agent says."""
    if call.session.responses.active_is(event.response_id):
        item = call.transcript.item(event.item_id, event.response_id)
        item.texts[event.content_index] = event.transcript
        yield item.turn()


def on_response_overdue(call: CallState, now_ns: int) -> Effects:
    """Ask once more for an answer that never began; a session that owes it twice is no good."""
    responses = call.session.responses
    if responses.blocked:
        yield UpstreamErrorSeen(END_LOST)
        responses.finish()
        yield from pay_owed(call)
        return
    yield UpstreamErrorSeen(RESPONSE_TIMEOUT)
    if responses.unwanted:
        responses.requested, responses.unwanted = None, False
        yield from pay_owed(call)
        return
    if responses.retried or may_rescue(call):
        yield from leave_stalled(call, now_ns)
        return
    config, responses.requested = responses.requested, None
    responses.expect_none()
    # A cancelled response whose end was never reported must not block the call.
    responses.finish()
    responses.retried = True
    yield from send_request(call, config or ResponseConfig())


def on_stalled(call: CallState, now_ns: int) -> Effects:
    """End a response that lacks nothing but its end; leave a session that broke off in one."""
    active = call.session.responses.active
    if active is None:
        return
    cut_off = call.transcript.growing_part(active.response_id) is not None
    if cut_off or not active.audible:
        yield from leave_stalled(call, now_ns)
        return
    yield UpstreamErrorSeen(END_LOST)
    done = ResponseDone(active.response_id, ResponseStatus.COMPLETED)
    call.log.feed(done)
    yield from on_response_done(call, done, now_ns)


def on_response_done(call: CallState, event: ResponseDone, now_ns: int) -> Effects:
    """End a response: answer its tools, ask for what is owed, settle whose turn it is."""
    responses = call.session.responses
    running = responses.running
    if running is None or running.response_id not in (event.response_id, UNNAMED):
        return
    responses.finish()
    call.note(response_id="")
    if not responses.awaited:
        yield from call.stop_timer(Timer.RESPONSE)
    call.note_counters()
    answer = event.status in _WHOLE and not running.cancelled
    failure = classify_response(
        event,
        heard=running.audible or not _owes_sound(call, running, event),
        garbled=running.lost_deltas > running.deltas,
    )
    yield from on_response_over(call, event.response_id, answer=answer)
    yield from end_calls(call, now_ns, event.response_id)
    if failure is None:
        if answer:
            call.answers = call.answers.restored(now_ns).proved()
            call.budget = call.budget.proved()
    elif running.cancelled:
        yield UpstreamErrorSeen(failure.code)
    else:
        yield AnswerFailed(failure)
        # What is owed anyway is asked for at once, and answers this one's question, too.
        superseded = answer and responses.owed and running.asked in (None, ResponseConfig())
        if not superseded:
            yield from answer_failed(call, failure, running.asked, now_ns)
        if call.lost or call.closed:
            return
    yield from pay_owed(call)
    yield from settle(call, Trigger.RESPONSE_DONE)


def on_error_reported(call: CallState, event: ErrorReported, now_ns: int) -> Effects:
    """Count an error; nearly all leave the session open (`PROTOCOL.md` section 7)."""
    responses = call.session.responses
    code = event.error.code or event.error.type
    failure = classify_event(event.error)
    if failure.cure in (Cure.RENEW, Cure.GIVE_UP):
        if call.answered:
            yield from recover(call, failure, now_ns)
        else:
            yield from lose_session(call, failure)
        return
    yield UpstreamErrorSeen(code)
    if code == NOTHING_TO_COMMIT:
        call.session.turn.close()
    if code == ALREADY_ACTIVE:
        yield from _on_claimed_active(call, now_ns)
    if code == CANCEL_NOT_ACTIVE and responses.running is not None and responses.running.cancelled:
        responses.finish()
        yield from pay_owed(call)


def _on_claimed_active(call: CallState, now_ns: int) -> Effects:
    """Take the service's word that a response runs already."""
    responses = call.session.responses
    asked, responses.requested = responses.requested, None
    unwanted, responses.unwanted = responses.unwanted, False
    if asked is not None and not unwanted:
        responses.owed, responses.owed_config = True, asked
    if responses.active is not None:
        responses.owed = True  # the one that runs does not know what it was to answer
        return
    if responses.running is None and responses.owed and not responses.expected:
        responses.claims += 1
        if responses.claims > 1:
            yield from leave_stalled(call, now_ns)
            return
        responses.running = Response(UNNAMED, cancelled=True)
        yield from call.send(CancelResponse())
    if responses.owed or responses.expected:
        yield from call.start_timer(Timer.RESPONSE, CANCELLED_ENDS_WITHIN_MS)


def _owes_sound(call: CallState, running: Response, event: ResponseDone) -> bool:
    """Return whether a caller waits to hear a response: not one that we cancelled or that was to be
    text, nor one that acted instead, nor one that made way for the caller's next turn.
    """
    if running.cancelled or (running.asked is not None and running.asked.output_audio is False):
        return False
    if event.response_id in call.tool_rounds:
        return False
    if any(isinstance(item, McpCall | McpApprovalRequest) for item in event.output):
        return False
    responses = call.session.responses
    takes_turn = call.session.turn.speaking or responses.awaited or responses.owed
    made_way = event.status is ResponseStatus.CANCELLED and event.reason == TURN_DETECTED
    return not (made_way and takes_turn)
