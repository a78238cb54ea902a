"""Requests responses from the model, one at a time, and takes requests back.

Invariant: the default conversation runs one response at a time (`PROTOCOL.md` section 5), so a
request waits, as ``owed``, while one runs or is due, and while the caller speaks. Where the bridge
decides who has the floor (:mod:`bridge.engine.caller.barge_in`), every response is asked for here.
"""

from bridge.engine.floor import answer_is_unwanted, caller_may_be_answered
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.turns import Trigger
from bridge.realtime.commands import CreateResponse
from bridge.realtime.session_config import ResponseConfig

CANCELLED_ENDS_WITHIN_MS = 1_000
"""A response that was cancelled is over within a round trip, where its end isn't lost."""


def request_response(call: CallState, config: ResponseConfig | None = None) -> Effects:
    """Ask for a response now, or remember that one is owed.

    Args:
        call: the call.
        config: overrides for this response; a request that has to wait loses them.
    """
    responses = call.session.responses
    if answer_is_unwanted(call):
        return
    if config is None and call.backend_goes_on:
        return  # what that finds is spoken without being asked for
    if call.lost and not call.awaits_consent:
        call.log.sent(CreateResponse())  # owed by the next session
        return
    if not caller_may_be_answered(call):
        responses.owed = True
        return
    if responses.running is not None or responses.awaited:
        responses.owed = True
        if responses.blocked:
            yield from call.start_timer(Timer.RESPONSE, CANCELLED_ENDS_WITHIN_MS)
        return
    responses.retried = False
    yield from send_request(call, config or ResponseConfig())


def order_sentence(call: CallState, text: str, *, protected: bool = False) -> Effects:
    """Have the agent say a sentence for which the bridge has no voice; it may word it its own way.

    Args:
        call: one that has a session.
        text: the sentence.
        protected: the caller's speech does not cut it.
    """
    call.speech.protects_next = protected
    yield from request_response(call, ResponseConfig(instructions=f'Say exactly: "{text}"'))


def pay_owed(call: CallState) -> Effects:
    """Ask for the owed response, if there is one and nothing stands against it."""
    if call.session.responses.owed:
        yield from request_response(call, call.session.responses.owed_config)


def expect_response(call: CallState) -> Effects:
    """Wait for the response that turn detection makes by itself; it sees all items sent so far."""
    call.session.responses.expect()
    yield from call.start_timer(Timer.RESPONSE, call.policy.limits.response_timeout_ms)


def drop_request(call: CallState) -> Effects:
    """Want the response no more that was asked for: it is cancelled now, or once it exists."""
    responses = call.session.responses
    responses.owed, responses.owed_config = False, None
    responses.unwanted = responses.requested is not None
    call.speech.protects_next = False
    yield from call.cancel_response()


def send_request(call: CallState, config: ResponseConfig) -> Effects:
    """Ask for a response, whatever stands against it."""
    call.session.responses.owed, call.session.responses.owed_config = False, None
    call.session.responses.requested = config
    yield from call.send(CreateResponse(config))
    yield from call.start_timer(Timer.RESPONSE, call.policy.limits.response_timeout_ms)
    yield from call.move(Trigger.RESPONSE_REQUESTED)
