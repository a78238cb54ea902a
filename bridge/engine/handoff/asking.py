"""Hands the caller to a person at key `0` or, where their words are transcribed, at a request.

Always and at once: nobody has to be persuaded. The agent is cut, and the handing over begins, to
the dialplan's first target or else to its fallback's (:mod:`bridge.engine.handoff.transfer`). Where
there is nobody, the caller hears so. A failure comes back to the agent.
"""

from dataclasses import replace

from bridge.engine.agent.requests import request_response
from bridge.engine.call.state import CallEnd
from bridge.engine.caller.interruption import hush
from bridge.engine.handoff.transfer import want_handoff
from bridge.engine.keypad.collecting import leave_keypad, say_of_keypad
from bridge.engine.news import HumanAsked
from bridge.engine.session.fallback import go_on_with_fallback
from bridge.engine.state import CallState, Effects, HandingOver
from bridge.engine.voice.dead_air import OFFER_TAKEN
from bridge.errors import Fault, Outcome
from bridge.realtime.commands import CreateItem
from bridge.realtime.ids import ToolCallId
from bridge.realtime.items import ContentPart, Message, PartKind, Role
from bridge.realtime.session_config import ResponseConfig

HUMAN_KEY = "0"

_MAX_WORDS_CHARS = 200
_NOBODY = (
    "The caller asked for a person, and no person can be reached on this line. Tell them so plainly"
    " in one sentence, then offer your own help."
)


def hear_human(call: CallState, text: str, now_ns: int) -> Effects | None:
    """Act on words that ask for a person; None where these don't."""
    words = call.policy.keypad.human_words
    if words is None or call.handing_over or not words.ask(text):
        return None
    return ask_for_human(call, now_ns, by="words", summary=f'"{text[:_MAX_WORDS_CHARS]}"')


def press_for_human(call: CallState, digit: str, now_ns: int) -> Effects | None:
    """Act on the key that asks for a person; None on others."""
    return ask_for_human(call, now_ns, by="key") if digit == HUMAN_KEY else None


def ask_for_human(call: CallState, now_ns: int, *, by: str, summary: str = "") -> Effects:
    """Hand the call to a person, because the caller wants it so.

    Args:
        call: one that talks, and is not being handed over.
        now_ns: monotonic.
        by: ``key``, ``words`` or ``menu``; how they asked.
        summary: for the person.
    """
    try:
        handoff = human_wanted(call, now_ns, reason=f"asked_by_{by}", summary=summary)
    except NoHumanError:
        yield HumanAsked(by, call.elsewhere)
        if not call.elsewhere:
            yield from _announce_nobody(call, now_ns)
        return
    yield HumanAsked(by, True)
    if call.dead_air.offered:
        handoff = replace(handoff, ending=OFFER_TAKEN)
    yield from leave_keypad(call)
    yield from hush(call, now_ns)
    yield from want_handoff(call, handoff)


def _announce_nobody(call: CallState, now_ns: int) -> Effects:
    policy = call.policy.keypad
    yield from hush(call, now_ns)
    if policy.nobody is not None:
        yield from say_of_keypad(call, policy.nobody)
    else:
        yield from request_response(call, ResponseConfig(instructions=_NOBODY))


class NoHumanError(Exception):
    """The call can't be handed to the person who was asked for; its text says why, to the model."""


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
    ending = CallEnd(Outcome.TRANSFERRED, Fault.NONE, reason)
    return HandingOver(now_ns, found, ending, _not_reached, summary, call_id)


def _not_reached(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    """Let the agent know and say so; without one, the fallback goes on."""
    announced = handoff.target.on_failure
    if handoff.call_id is None:
        text = f"The caller wanted a person, and nobody was reached ({handoff.failure})."
        if announced is not None:
            text += f' They were told: "{announced}"'
        yield from call.send(
            CreateItem(Message(Role.SYSTEM, (ContentPart(PartKind.INPUT_TEXT, text),)))
        )
    else:
        call.background.discard(handoff.call_id)
        output = {"transferred": False, "reason": handoff.failure}
        if announced is not None:
            output["told_the_caller"] = announced
        yield from call.answer_tool(handoff.call_id, output)
    if call.fallback is not None:
        yield from go_on_with_fallback(call, now_ns)
    else:
        yield from request_response(call)
