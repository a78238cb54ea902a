"""Finds the parts of a stored call that were kept long enough. Pure."""

import enum

from bridge.clock import NS_PER_MS, NS_PER_S
from bridge.recordings.files import StoredCall
from bridge.routing.numbers import normalise_called

_DAY_MS = 24 * 3600 * NS_PER_S // NS_PER_MS


class StoredPart(enum.StrEnum):
    """A part of a call that is kept for a time of its own."""

    AUDIO = "audio"
    TRANSCRIPT = "transcript"
    EVENTS = "events"


EVERYTHING = frozenset(StoredPart)


def overdue(call: StoredCall, now_ms: int) -> frozenset[StoredPart]:
    """Return the parts whose time is over; the events take everything with them.

    Args:
        call: a call; one that is held, or goes on, has none.
        now_ms: wall time, ms since the Unix epoch.
    """
    if call.held or call.going_on:
        return frozenset()
    days = {
        StoredPart.AUDIO: call.keep_days.audio,
        StoredPart.TRANSCRIPT: call.keep_days.transcript,
        StoredPart.EVENTS: call.keep_days.events,
    }
    age_ms = now_ms - call.started_at_ms
    over = frozenset(p for p, kept in days.items() if kept is not None and age_ms > kept * _DAY_MS)
    return EVERYTHING if StoredPart.EVENTS in over else over


def is_of(caller: str, number: str) -> bool:
    """Return whether a call's caller, as SIP named them, has this number.

    A leading ``+`` is no difference here: deleting the calls of a number must not miss those of a
    trunk that leaves it out.
    """
    wanted = normalise_called(number).removeprefix("+")
    return bool(wanted) and normalise_called(caller).removeprefix("+") == wanted
