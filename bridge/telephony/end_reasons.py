"""The reasons of BYE and CANCEL (RFC 3326): ours by a call's outcome, and the far end's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from bridge.errors import Outcome
from bridge.sip.text import cut
from bridge.telephony.headers import read_headers
from bridge.telephony.replaces import DialogId, InviteId

_ENDING = ("BYE ", "CANCEL ")
_MOST_CHARS = 200

HEADER = "Reason"


@dataclass(frozen=True, slots=True)
class EndReason:
    """A value of the header.

    Attributes:
        protocol: ``Q.850``, whose causes ITU-T Q.850 lists, or ``SIP``, with a status as its cause.
        text: without quotes.
    """

    protocol: str
    cause: int
    text: str

    def __str__(self) -> str:
        return f'{self.protocol};cause={self.cause};text="{self.text}"'


HANDED_BACK = EndReason("Q.850", 16, "No longer needed")
"""Of the call to a person or a supervisor's phone, which ends with what it was for."""

_REASONS: Mapping[Outcome, EndReason] = MappingProxyType(
    {
        # ITU-T Q.850 (05/2018) table 1 has the causes.
        Outcome.COMPLETED: EndReason("Q.850", 16, "Call completed"),
        Outcome.TRANSFERRED: EndReason("Q.850", 16, "Transferred"),
        Outcome.CANCELLED: EndReason("Q.850", 16, "Cancelled"),
        Outcome.REJECTED_BUSY: EndReason("Q.850", 17, "All lines busy"),
        Outcome.REJECTED_NO_ROUTE: EndReason("Q.850", 1, "No such number"),
        Outcome.SESSION_UNAVAILABLE: EndReason("Q.850", 41, "Agent not available"),
        Outcome.SESSION_LOST: EndReason("Q.850", 41, "Agent lost"),
        Outcome.MEDIA_FAILED: EndReason("Q.850", 47, "No audio"),
        Outcome.CALLER_LOST: EndReason("Q.850", 102, "No media from the far end"),
        Outcome.MAX_DURATION: EndReason("Q.850", 31, "Longest duration reached"),
        Outcome.SHUTDOWN: EndReason("Q.850", 41, "Shutting down"),
        Outcome.NODE_LOST: EndReason("Q.850", 41, "Gateway lost"),
        Outcome.INTERNAL_ERROR: EndReason("Q.850", 41, "Internal error"),
    }
)
"""Nothing of a call but its outcome: carriers need not know which service failed and how."""


def reason_for(outcome: Outcome) -> EndReason:
    """Return what the far end is given as the reason for our BYE."""
    return _REASONS[outcome]


class _Owner(Protocol):
    def on_pj_reason(self, reason: str) -> None:
        """Take why the far end ends the call."""


class Call(Protocol):
    """A PJSUA call."""

    dialog: DialogId | None
    invite: InviteId | None

    @property
    def owner(self) -> _Owner:
        """Its leg."""


def hear_reason(text: str, find: Callable[[str], Call | None]) -> None:
    """Have a call's leg learn of the Reason of a BYE or CANCEL that has come.

    PJSUA ends the call before it reports the request itself, which is too late for its record.

    Args:
        text: any message that has come.
        find: returns the call with a Call-ID.
    """
    if not text.startswith(_ENDING):
        return
    headers = read_headers(text)
    reason = cut(", ".join(headers.get("reason", ())), _MOST_CHARS)
    call = find(next(iter(headers.get("call-id", ())), ""))
    if call is None or not reason:
        return
    if text.startswith("BYE "):
        fits = DialogId.of_message(text, as_caller=False) == call.dialog
    else:
        fits = InviteId.of_headers(headers) == call.invite
    if fits:
        call.owner.on_pj_reason(reason)
