"""The tool calls of one response, answered together once the last of them is done."""

from bridge.engine.agent.requests import request_response
from bridge.engine.state import CallState, Effects
from bridge.realtime.ids import ResponseId


def on_response_over(call: CallState, response_id: ResponseId, *, answer: bool) -> Effects:
    """Note that a response will call no more tools.

    Args:
        call: the call.
        response_id: the response.
        answer: False where it was cancelled or failed: its calls stay unanswered.
    """
    tools = call.tool_rounds.get(response_id)
    if tools is None:
        return
    if not answer:
        yield from call.drop_tools(response_id)
        return
    tools.response_over = True
    yield from answer_together(call, response_id)


def answer_together(call: CallState, response_id: ResponseId) -> Effects:
    """Ask the model to go on, if no call of the response is pending and none will come."""
    tools = call.tool_rounds[response_id]
    if tools.response_over and not tools.pending:
        del call.tool_rounds[response_id]
        asked_here = tools.seen - call.background - call.session.delegated.calls
        if asked_here:  # the service's backend goes on by itself, and the voice with it
            yield from request_response(call)
