"""Reads the origin of a call from its INVITE: asserted identity, history, tokens. Pure.

Values are bounded here, once, for whoever keeps or passes them on. They are what the far end
writes; the headers given are those that its trunk is believed (:mod:`bridge.config.sip`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator

from bridge.config.parts import HeaderName
from bridge.sip.addresses import addresses_in
from bridge.sip.privacy import hides_caller, hides_history, privacy_of, shown
from bridge.sip.text import cut

MAX_VALUE_CHARS = 512
MAX_KEPT_HEADERS = 16
MAX_ADDRESSES = 10
MAX_PASSED_OCTETS = 200
"""Of all headers that go on, in UTF-8: an INVITE with SDP and a summary of ours takes 1,100, and
one of more than 1,300 has to leave UDP (RFC 3261 section 18.1.1)."""

Headers = Mapping[str, tuple[str, ...]]

_NOT_KEPT = {
    "a credential": frozenset({"authorization", "proxy-authorization", "x-bridge-ticket"}),
    "kept by itself, as far as the caller wants it": frozenset(
        {"from", "p-asserted-identity", "privacy", "diversion", "history-info", "user-to-user"}
    ),
    "an identity that nobody vouches for": frozenset(
        {"p-preferred-identity", "remote-party-id", "contact"}
    ),
}


def _may_be_kept(name: str) -> str:
    for what, names in _NOT_KEPT.items():
        if name.lower() in names:
            raise ValueError(f"should not have '{name}': it is {what}")
    return name


_PASSED = frozenset({"user-to-user", "subject", "priority", "organization", "accept-language"})
"""Beside extensions (X-). What else SIP gives a meaning is ours to write, and none of another's."""

_OURS = "x-bridge-"


def _may_be_passed(name: str) -> str:
    lower = name.lower()
    if lower in _PASSED or (lower.startswith("x-") and not lower.startswith(_OURS)):
        return name
    others = ", ".join(each.title() for each in sorted(_PASSED))
    raise ValueError(f"may have headers of X- (but X-Bridge-), {others}; not '{name}'")


PassedHeader = Annotated[HeaderName, AfterValidator(_may_be_passed)]
"""Name of a header that goes on from the caller's INVITE to what the bridge sends."""

KeptHeader = Annotated[HeaderName, AfterValidator(_may_be_kept)]
"""Name of a header that a dialplan may want kept."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A call's origin by its INVITE; "" for parts that are missing, or not to be shown.

    Attributes:
        asserted: who calls, as the network knows them (P-Asserted-Identity, RFC 3325): the first
            address; "" where the caller asked for privacy.
        privacy: what the caller asked for (RFC 3323), as in ``id;user``.
        diversion: who sent the call on, last one first (Diversion, RFC 5806), without those who
            don't want to be shown.
        history_info: where the call has been (History-Info, RFC 7044), likewise.
        user_to_user: what the caller's application gave along (User-to-User, RFC 7433).
        headers: those that the dialplan names, as it spells them.
        passed: those that go on to whom the call is handed, likewise; whole ones, in its order, as
            far as they fit into :data:`MAX_PASSED_OCTETS`.
    """

    asserted: str = ""
    privacy: str = ""
    diversion: str = ""
    history_info: str = ""
    user_to_user: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    passed: Mapping[str, str] = field(default_factory=dict)

    def texts(self) -> dict[str, str]:
        """Return all that is known but the dialplan's headers, by field."""
        named = {
            "asserted": self.asserted,
            "privacy": self.privacy,
            "diversion": self.diversion,
            "history_info": self.history_info,
            "user_to_user": self.user_to_user,
        }
        return {name: value for name, value in named.items() if value}


NO_ORIGIN = Origin()


def read_origin(headers: Headers, keep: Sequence[str] = (), pass_on: Sequence[str] = ()) -> Origin:
    """Read what an INVITE says of its call.

    Args:
        headers: by lower-case name, without those that aren't believed.
        keep: names of the headers that the dialplan wants.
        pass_on: names of those that go on.
    """
    asserted = addresses_in(headers.get("p-asserted-identity", ()))
    return Origin(
        asserted="" if hides_caller(headers) or not asserted else _bounded([str(asserted[0])]),
        privacy=_bounded([";".join(sorted(privacy_of(headers)))]),
        diversion=_addresses(headers, "diversion"),
        history_info="" if hides_history(headers) else _addresses(headers, "history-info"),
        user_to_user=_bounded(headers.get("user-to-user", ())),
        headers=MappingProxyType(_named(headers, keep)),
        passed=MappingProxyType(_fitting(_named(headers, pass_on))),
    )


def _named(headers: Headers, names: Sequence[str]) -> dict[str, str]:
    """Return the headers of some names that are there, bounded."""
    found = ((name, headers.get(name.lower(), ())) for name in names[:MAX_KEPT_HEADERS])
    return {name: value for name, values in found if (value := _bounded(values))}


def _fitting(headers: Mapping[str, str]) -> dict[str, str]:
    left, fitting = MAX_PASSED_OCTETS, {}
    for name, value in headers.items():
        octets = len(f"{name}: {value}\r\n".encode())
        if octets <= left:
            fitting[name] = value
            left -= octets
    return fitting


def _addresses(headers: Headers, name: str) -> str:
    found = shown(addresses_in(headers.get(name, ())))
    return _bounded([str(each) for each in islice(found, MAX_ADDRESSES)])


def _bounded(values: Sequence[str]) -> str:
    return cut(", ".join(each for each in values if each), MAX_VALUE_CHARS)
