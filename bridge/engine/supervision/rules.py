"""The form of a rule by which a supervisor's order is carried out, and the reasons to refuse it."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.engine.inputs import SupervisorActed
from bridge.engine.news import ActionAnswered
from bridge.engine.state import CallState, Effects
from bridge.routing.supervisor_verbs import Order


class Refusal(enum.StrEnum):
    """The reason for which an order is not carried out."""

    NOT_TALKING = "not_talking"
    """The call is not answered yet."""
    HELD = "held_by"
    """Another supervisor has taken it, or paused its agent."""
    ALREADY = "already"
    NOT_HELD = "not_held"
    """There is nothing to give back, or to resume."""
    AGENT_AWAY = "agent_away"
    """The agent is paused, or the supervisor has the caller."""
    HANDED_OVER = "handed_over"
    """The caller is with somebody else, or on the way there."""
    AGENT_ELSEWHERE = "agent_elsewhere"
    """The agent is at a SIP URI, out of reach of what needs a session of ours."""
    NO_AGENT = "no_agent"
    """The session is given up: the call goes the dialplan's fallback's way."""
    NO_PICTURES = "no_pictures"
    """The session's dialect has none."""
    NOT_WAITING = "not_waiting"
    """The caller waits for nobody."""
    REFER_SENT = "refer_sent"
    """The far end was asked to move the caller, which can't be taken back (RFC 3515)."""
    REFER_ACCEPTED = "refer_accepted"
    """It has agreed, and moves them now."""


def never(call: CallState, order: Order) -> Refusal | None:
    """Refuse nothing."""
    return None


def _nothing_more(call: CallState, answer: ActionAnswered) -> ActionAnswered:
    return answer


@dataclass(frozen=True, slots=True)
class OrderRule:
    """The treatment of one kind of order.

    Attributes:
        carry_out: what is done about it.
        refuses: why it is not, now.
        exclusive: not while another supervisor holds the call.
        completes: adds to the answer what is to be known first.
        needs_agent: not while the caller is with somebody else, or no session can be had.
        from_any_agent: with `needs_agent`: the agent may be that of an arm that is a SIP URI.
    """

    carry_out: Callable[[CallState, SupervisorActed, int], Effects]
    # The order is of the row's kind, which a mapping's type cannot say.
    refuses: Callable[[CallState, Any], Refusal | None] = never
    completes: Callable[[CallState, ActionAnswered], ActionAnswered] = _nothing_more
    exclusive: bool = True
    needs_agent: bool = True
    from_any_agent: bool = False
