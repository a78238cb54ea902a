"""Handles the service's error events; nearly all leave the session open (`PROTOCOL.md` section 7).

Most are only counted. One is a claim: a response is refused because one runs already. The default
conversation runs one response at a time, and the service's word on that is final (`PROTOCOL.md`
section 5, `conversation_already_has_active_response`). What was asked for is owed:

    one runs here, too                 -> asked for again when it is done
    one was cancelled here             -> when its end is told, or CANCELLED_ENDS_WITHIN_MS later
    turn detection is about to begin one -> that is the answer; missed after the same time
    none is known here                 -> it is cancelled unnamed, and what was owed is asked for
                                          when its end is told, the service says that there was
                                          nothing to cancel, or the same time has passed
    and the service refuses that again -> the session is left

So a claim that is false costs a round trip, or one second where the service is silent about it, and
never the ten seconds after which an answer counts as overdue.
"""

from bridge.engine.agent.requests import CANCELLED_ENDS_WITHIN_MS, pay_owed
from bridge.engine.agent.state import UNNAMED, Response
from bridge.engine.news import UpstreamErrorSeen
from bridge.engine.session.fallback import lose_session
from bridge.engine.session.recovery import leave_stalled, recover
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.realtime.commands import CancelResponse
from bridge.realtime.events import ErrorReported
from bridge.realtime.failures import Cure, classify_event

ALREADY_ACTIVE = "conversation_already_has_active_response"
CANCEL_NOT_ACTIVE = "response_cancel_not_active"
NOTHING_TO_COMMIT = "input_audio_buffer_commit_empty"


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
