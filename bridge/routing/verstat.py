"""Reads from an INVITE how far its carrier verified the caller's number (STIR/SHAKEN).

The carrier verifies the signature (RFC 8224) and hands the result over in a ``verstat`` parameter
of the asserted identity (3GPP TS 24.229 section 7.2A.20), some with the attestation's level at its
end (Telnyx, Twilio), or in a header of its own. Nothing is verified here: the result is worth what
the trunk is worth, so a trunk has to take such headers away from what its own callers send.
"""

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from bridge.routing.numbers import shown_number
from bridge.sip.addresses import Address, addresses_in
from bridge.sip.numbers import normalise_user


class Verstat(enum.StrEnum):
    """The trust in the caller's number, as the carrier verified it (ATIS-1000074 section 5.2.3)."""

    A = "A"
    """Verified: the carrier of origin knows the caller, and that the number is theirs."""
    B = "B"
    """Verified: it knows the caller, not the number."""
    C = "C"
    """Verified: it only knows where the call came in."""
    PASSED = "passed"
    """Verified; the attestation's level was not given."""
    FAILED = "failed"
    """There is a signature, and it is not good."""
    NONE = "none"
    """Nothing was verified, or nobody says so. Most honest calls outside of the USA are this."""


Headers = Mapping[str, Sequence[str]]
"""Lower-case name -> values, in the order of the message."""

_IDENTITIES = ("p-asserted-identity", "from")
"""Headers whose URI may carry the parameter, the carrier's own word first."""
_RESULTS = ("x-twilio-verstat",)
_LEVELS = ("attestation-info", "p-attestation-indicator")
"""3GPP TS 24.229 section 7.2.18, and its name before."""

_PARAMETER = "verstat"
"""Of the number, the URI, or the header: carriers differ."""
_RESULT = re.compile(r"tn-validation-(passed|failed)(?:-([abc]))?(?:-.*)?")

_PLIVO_HEADER = "x-plivo-stir-verification"
_PLIVO: Mapping[str, Verstat] = MappingProxyType({"verified": Verstat.PASSED})
"""Its "Not Verified" may mean a bad signature or none."""


def read_verstat(headers: Headers) -> Verstat:
    """Return what the headers of an INVITE say of the caller's number.

    The first header that says anything decides; a level that only another one gives is taken over
    where the verification passed. A result that stands at another number than the caller shows is
    not about the caller's.

    Args:
        headers: without those that their sender isn't trusted for.
    """
    found = next(_stated(headers), Verstat.NONE)
    if found is Verstat.PASSED:
        levels = (value.strip().upper() for name in _LEVELS for value in headers.get(name, ()))
        return next((Verstat(level) for level in levels if level in {"A", "B", "C"}), found)
    return found


def _stated(headers: Headers) -> Iterator[Verstat]:
    # Of another number than the caller shows it says nothing of the caller's.
    shown = shown_number(next(iter(headers.get("from", ())), ""))
    for name in _IDENTITIES:
        for address in addresses_in(headers.get(name, ())):
            if not shown or normalise_user(address.uri.user) == shown:
                yield from map(_level, _results_in(address))
    for name in _RESULTS:
        for value in headers.get(name, ()):
            yield _level(value)
    for value in headers.get(_PLIVO_HEADER, ()):
        yield _PLIVO.get(value.strip().lower(), Verstat.NONE)


def _results_in(address: Address) -> Iterator[str]:
    uri = address.uri
    for name, value in (*uri.user_parameters, *uri.parameters, *address.parameters):
        if name == _PARAMETER:
            yield value


def _level(result: str) -> Verstat:
    """Return the level of a ``verstat`` value; what is not known is no verification."""
    known = _RESULT.fullmatch(result.strip().lower())
    if known is None:
        return Verstat.NONE
    passed, level = known.group(1) == "passed", known.group(2)
    if not passed:
        return Verstat.FAILED
    return Verstat(level.upper()) if level else Verstat.PASSED
