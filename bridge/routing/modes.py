"""Decides how a dialplan treats a new call (its mode), and returns the dialplan for that mode.

Decided once, at the INVITE: a line that closes lets its calls go on.
"""

import enum
from datetime import datetime

from bridge.routing.fallback import Fallback
from bridge.routing.hours import Closed
from bridge.routing.models import Dialplan
from bridge.routing.tools import ToolDeclaration


class Mode(enum.StrEnum):
    """The treatment of a call."""

    OPEN = "open"
    CLOSED = "closed"
    """The line is closed by its hours."""
    FULL = "full"
    """It has all the calls that it may have."""
    AI_OFF = "ai_off"
    """No arm may take it: a rollout's kill switch."""


CALLBACK_INSTRUCTIONS = """\
You answer the phone for a line that is closed now. Be brief: one or two short sentences at a time.
Say that nobody is there. Offer that somebody calls back, and answer nothing else. Ask for the
caller's name, the number to call, what it is about and when a call suits them. Read the number
back. Then call schedule_callback, confirm it, say goodbye and call end_call.
If it is an emergency, tell the caller to hang up and dial the local emergency number.
"""
"""The agent's instructions where a dialplan has no words of its own for it."""

CALLBACK_TOOLS = ("schedule_callback", "end_call")


def mode_of(dialplan: Dialplan, at: datetime, calls: int) -> Mode:
    """Return how a new call is treated.

    Args:
        dialplan: the one that takes it.
        at: an aware moment, now.
        calls: those that an agent of this dialplan has here already.
    """
    if dialplan.hours is not None and dialplan.hours.moment(at).state != "open":
        return Mode.CLOSED
    limit = dialplan.limits.max_calls
    return Mode.FULL if limit is not None and calls >= limit else Mode.OPEN


def has_agent(dialplan: Dialplan, mode: Mode) -> bool:
    """Return whether calls that are treated so get the AI; else the fallback is all they get."""
    if mode is Mode.CLOSED and dialplan.hours is not None:
        return dialplan.hours.closed.then in ("callback", "agent")
    return mode is Mode.OPEN


def during(dialplan: Dialplan, mode: Mode) -> Dialplan:
    """Return a dialplan as it is for calls that are treated so."""
    if mode is Mode.CLOSED and dialplan.hours is not None:
        return _closed(dialplan, dialplan.hours.closed)
    if mode is Mode.FULL:
        return dialplan.model_copy(update={"fallback": Fallback(say=dialplan.limits.busy)})
    return dialplan


def _closed(dialplan: Dialplan, closed: Closed) -> Dialplan:
    if closed.then in ("hang_up", "transfer"):
        fallback = Fallback.model_validate(
            {"say": closed.say, "then": closed.then, "to": closed.to}
            | {"say_if_failed": closed.say_if_failed}
        )
        return dialplan.model_copy(update={"fallback": fallback})
    changes: dict[str, object] = {
        "greeting": closed.greeting,
        "instructions": closed.instructions or CALLBACK_INSTRUCTIONS,
    }
    if closed.then == "callback":
        tools = tuple(ToolDeclaration(name=name) for name in CALLBACK_TOOLS)
        session = dialplan.agent.session
        changes |= {
            "tools": tools,
            "mcp_servers": (),
            "session": None if session is None else session.without_tools(),
        }
    agent = dialplan.agent.model_copy(update=changes)
    return dialplan.model_copy(update={"agent": agent})
