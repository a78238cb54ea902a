"""Follows the work that a full-duplex voice gives away: to the service's backend, or to us.

The backend's responses are responses of the Responses API: they have items, and their tool calls
are run here like any other (:mod:`bridge.engine.tools.calls`). A response ends with its calls open;
each output goes back by itself, and one word has the backend go on once every call of the session
has one: the service refuses a part of them. What it finds, the voice speaks of unasked. A
delegation that never ends holds nothing up: the voice talks on meanwhile.
"""

from bridge.engine.agent.requests import expect_response
from bridge.engine.inputs import Input
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.tools.rounds import on_response_over
from bridge.engine.turns import Trigger
from bridge.realtime.commands import ContinueDelegated, DeclineDelegated
from bridge.realtime.duplex_events import DelegatedCreated, DelegatedDone, WorkDelegated
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import ResponseDone

_OURS = "client"


def on_work_delegated(call: CallState, event: WorkDelegated, now_ns: int) -> Effects:
    """Decline work that is given to us: the voice waits for a word on it, and we do none."""
    if event.target == _OURS:
        yield from call.send(DeclineDelegated(event.delegation_id))


def on_delegated_created(call: CallState, event: DelegatedCreated, now_ns: int) -> Effects:
    """Remember which response goes on for a delegation: its items do not name it."""
    call.session.delegated.running[event.delegation_id] = event.response_id
    if call.session.responses.awaited:  # it is worked on
        yield from call.start_timer(Timer.RESPONSE, call.policy.limits.response_timeout_ms)


def on_delegated_done(call: CallState, event: DelegatedDone, now_ns: int) -> Effects:
    """End a response of the backend's; one that failed takes no outputs any more."""
    delegated = call.session.delegated
    response_id = delegated.running.pop(event.delegation_id, event.response_id)
    failed = event.status is ResponseStatus.FAILED
    if failed:
        tools = call.tool_rounds.get(response_id)
        delegated.calls -= set() if tools is None else tools.seen
        call.log.feed(ResponseDone(response_id, ResponseStatus.CANCELLED))
    yield from on_response_over(call, response_id, answer=not failed)


def watch_delegated(call: CallState, event: Input, now_ns: int) -> Effects:
    """Have the backend go on once it has what it asked for; looked at after every input."""
    delegated = call.session.delegated
    if delegated.calls and not delegated.running and call.backend_goes_on:
        delegated.calls.clear()
        yield from call.send(ContinueDelegated())
        if call.session.responses.active is None and call.ending is None:
            yield from call.move(Trigger.RESPONSE_REQUESTED)
            yield from expect_response(call)
