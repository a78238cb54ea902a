"""Plans the handing over to a person that the model or the caller asks for.

The model asks by its tool (:mod:`bridge.engine.tools.calls`), the caller by key or in words
(:mod:`bridge.engine.handoff.asking`).
"""

from bridge.engine.agent.requests import request_response
from bridge.engine.call.state import Ending
from bridge.engine.session.fallback import go_on_with_fallback
from bridge.engine.state import CallState, Effects, HandingOver
from bridge.errors import Fault, Outcome
from bridge.realtime.commands import CreateItem
from bridge.realtime.ids import ToolCallId
from bridge.realtime.items import Message, Part, PartKind, Role


class NoHumanError(Exception):
    """Why the call can't be handed to whom was asked for; its text is for the model."""


def human_wanted(
    call: CallState,
    now_ns: int,
    *,
    reason: str,
    target: str | None = None,
    summary: str = "",
    call_id: ToolCallId | None = None,
) -> HandingOver:
    """Return the handing over to one of the dialplan's people.

    Args:
        call: the call.
        now_ns: monotonic.
        reason: of the call's end if it succeeds; a metric label.
        target: by name; None for the first, or the fallback's.
        summary: for the person.
        call_id: the model's tool call, if it was one.

    Raises:
        NoHumanError: there is nobody of that name, or the call is being handed over already.
    """
    people = call.policy.handoff
    found = people.get(target) if target else call.policy.person
    if found is None:
        raise NoHumanError(f"no target {target}; there are: {', '.join(people) or 'none'}")
    if call.elsewhere:
        raise NoHumanError("under way already")
    ending = Ending(Outcome.TRANSFERRED, Fault.NONE, reason)
    return HandingOver(now_ns, found, ending, _not_reached, summary, call_id)


def _not_reached(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    """Let the agent know and say so; without one, the fallback goes on."""
    told = handoff.target.on_failure
    if handoff.call_id is None:
        text = f"The caller wanted a person, and nobody was reached ({handoff.failure})."
        if told is not None:
            text += f' They were told: "{told}"'
        yield from call.send(CreateItem(Message(Role.SYSTEM, (Part(PartKind.INPUT_TEXT, text),))))
    else:
        call.background.discard(handoff.call_id)
        output = {"transferred": False, "reason": handoff.failure}
        if told is not None:
            output["told_the_caller"] = told
        yield from call.answer_tool(handoff.call_id, output)
    if call.fallback is not None:
        yield from go_on_with_fallback(call, now_ns)
    else:
        yield from request_response(call)
