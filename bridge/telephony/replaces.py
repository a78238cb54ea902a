"""INVITE with Replaces (RFC 3891): its header, and the status that it is due. Pure.

The bridge matches and judges it itself; PJSUA never sees the header
(:mod:`bridge.telephony.replaces_door`).
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.sip.addresses import Address, AddressError
from bridge.telephony.headers import Headers, read_headers

_CALL_ID = r"[\w.!%*+`'~()<>:\\/\[\]?{}\"@-]+"
"""RFC 3261 section 25.1, `callid`, a little wider: it is only compared."""

_HEADER = re.compile(rf"(?P<call_id>{_CALL_ID})(?P<parameters>(?:\s*;[^;]*)+)")


@dataclass(frozen=True, slots=True)
class DialogId:
    """A dialog, as this side names it (RFC 3261 section 12)."""

    call_id: str
    local_tag: str
    remote_tag: str

    @classmethod
    def of_message(cls, message: str, *, as_caller: bool) -> "DialogId | None":
        """Read the dialog of a message; None where it has no tag of either side.

        Args:
            message: request or response, whole.
            as_caller: From names this side.
        """
        headers = read_headers(message)
        call_id, *_ = headers.get("call-id", ("",))
        from_tag, to_tag = (_tag(headers.get(name, ("",))[0]) for name in ("from", "to"))
        if not (call_id and from_tag and to_tag):
            return None
        return cls(call_id, *((from_tag, to_tag) if as_caller else (to_tag, from_tag)))


@dataclass(frozen=True, slots=True)
class InviteId:
    """What all copies of one caller's INVITE have in common (RFC 3261 section 8.2.2.2)."""

    call_id: str
    from_tag: str

    @classmethod
    def of_headers(cls, headers: Headers) -> "InviteId":
        """Read it from an INVITE without a To tag."""
        call_id, *_ = headers.get("call-id", ("",))
        return cls(call_id, _tag(headers.get("from", ("",))[0]))


def _tag(address: str) -> str:
    try:
        return dict(Address.parse(address).parameters).get("tag", "")
    except AddressError:
        return ""


@dataclass(frozen=True, slots=True)
class Replaces:
    """The header (RFC 3891 section 6.1).

    Attributes:
        dialog: the one to be replaced; its to-tag is the receiver's own.
        early_only: only while that one has not been answered.
    """

    dialog: DialogId
    early_only: bool = False

    @classmethod
    def parse(cls, values: Sequence[str]) -> "Replaces | None":
        """Read the header's values of one request; None where they are not exactly one, and good.

        Exactly one to-tag and one from-tag are due.
        """
        found = _HEADER.fullmatch(values[0].strip()) if len(values) == 1 else None
        if found is None:
            return None
        given: dict[str, list[str]] = {}
        for parameter in found["parameters"].split(";")[1:]:
            name, _, value = parameter.partition("=")
            given.setdefault(name.strip().lower(), []).append(value.strip())
        to_tags, from_tags = given.get("to-tag", []), given.get("from-tag", [])
        if len(to_tags) != 1 or len(from_tags) != 1 or not (to_tags[0] and from_tags[0]):
            return None
        return cls(DialogId(found["call_id"], to_tags[0], from_tags[0]), "early-only" in given)


class DialogStanding(enum.Enum):
    """How far the dialog is that is to be replaced."""

    UNKNOWN = enum.auto()
    OVER = enum.auto()
    OFFERED_TO_US = enum.auto()
    RINGING_THERE = enum.auto()
    CONFIRMED = enum.auto()
    BEING_REPLACED = enum.auto()


_REFUSED = {
    DialogStanding.UNKNOWN: 481,
    DialogStanding.OVER: 603,
    DialogStanding.OFFERED_TO_US: 481,
}
"""RFC 3891 section 3; an early dialog may be replaced only where this side has called."""


def refusal_of(
    replaces: Replaces | None, standing: DialogStanding, *, authorised: bool, replaceable: bool
) -> int | None:
    """Return the SIP status with which an INVITE with Replaces is refused; None where it is due.

    Args:
        replaces: its header; None where that is malformed, or there are several.
        authorised: its sender is whom the dialog is with (RFC 3891 section 3: only such may).
        replaceable: the dialog's call lets itself be taken over.
    """
    if replaces is None:
        return 400
    if standing in _REFUSED:
        return _REFUSED[standing]
    if not (authorised and replaceable):
        return 403
    if standing is DialogStanding.BEING_REPLACED:
        return 486
    return 486 if replaces.early_only and standing is DialogStanding.CONFIRMED else None
