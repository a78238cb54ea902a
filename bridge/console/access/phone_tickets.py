"""Tickets for a supervisor's phone that calls in: for one user, one call, one use, 60 s.

A phone has no session and no headers that a person could set, so the ticket is part of the number
that it dials: ``sip:listen-{call id}-{ticket}@{node}``. Redis has its SHA-256 alone.
"""

import secrets
from dataclasses import dataclass

from bridge.clock import NS_PER_MS, Clock
from bridge.store.pending import PendingStore

LIFE_S = 60
"""To dial it by hand, or have a program do it."""

_TICKET_BYTES = 12
"""96 bits; each guess is an INVITE."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The rights that a ticket gives: for one user and one call.

    Attributes:
        user: who calls.
        may_take_over: whether they may do more than listen.
        private: no other supervisor is to see it.
    """

    user: str
    call_id: str
    may_take_over: bool
    private: bool = False


class PhoneTickets:
    """Makes and takes tickets. Every method raises RedisUnavailableError while Redis is away.

    Args:
        store: of what they are good for.
        clock: wall time.
    """

    def __init__(self, store: PendingStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def issue(self, ticket: Ticket) -> tuple[str, int]:
        """Return a new ticket's secret, and its end, ms since the Unix epoch."""
        secret = secrets.token_hex(_TICKET_BYTES)
        purpose = {
            "user": ticket.user,
            "call_id": ticket.call_id,
            "may_take_over": "1" if ticket.may_take_over else "",
            "private": "1" if ticket.private else "",
        }
        await self._store.put(secret, purpose, LIFE_S)
        return secret, self._clock.wall_ns() // NS_PER_MS + LIFE_S * 1000

    async def take(self, secret: str, call_id: str) -> Ticket | None:
        """Use a ticket up; None for one that is not good (any more), or for another call."""
        found = await self._store.take(secret)
        if found is None or found["call_id"] != call_id:
            return None
        may_take_over, private = bool(found["may_take_over"]), bool(found["private"])
        return Ticket(found["user"], call_id, may_take_over, private)
