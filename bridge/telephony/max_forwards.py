"""Writes Max-Forwards into the INVITEs that the bridge places, which keeps loops finite.

A call that goes on from a caller's INVITE has one hop less than that (RFC 7332 section 4, RFC 3261
section 16.6), so a loop over other machines, which may take our own headers out, ends with a 483.

PJSIP gives every request a copy of the header in its list of default ones, and PJSUA has no setting
for a call's own: another in the message data would be a second one. So the default is another one
while an INVITE is made; its repetitions and the answer to a challenge are copies of it. In the
loop's thread.
"""

import contextlib
import ctypes
from collections.abc import Iterator

from bridge.errors import TelephonyError
from bridge.telephony.headers import Headers
from bridge.telephony.library import PjHeader

MOST_HOPS = 70
"""Of a call that begins here (RFC 3261 section 8.1.1.6), or whose caller names no number."""


def hops_onward(headers: Headers) -> int:
    """Return the Max-Forwards of a call that goes on from an INVITE; -1 where it may not go on.

    Args:
        headers: of the INVITE, which has no Max-Forwards but a number up to 255
            (:mod:`bridge.telephony.sip_request`).
    """
    given = headers.get("max-forwards", ("",))[0].strip()
    return int(given) - 1 if given else MOST_HOPS


class _IntegerHeader(PjHeader):
    """`pjsip_generic_int_hdr` (pjsip/sip_msg.h)."""

    _fields_ = (("value", ctypes.c_int32),)


@contextlib.contextmanager
def request_hops(lib: ctypes.CDLL, hops: int) -> Iterator[None]:
    """Have the requests that PJSIP makes meanwhile carry this Max-Forwards.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        hops: 0 to 255.

    Raises:
        TelephonyError: this PJSIP has no such default.
    """
    header = _default_header(lib)
    usual, header.value = header.value, hops
    try:
        yield
    finally:
        header.value = usual


def _default_header(lib: ctypes.CDLL) -> _IntegerHeader:
    list_of = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(
        ("pjsip_endpt_get_request_headers", lib)
    )
    head = list_of(lib.pjsua_get_pjsip_endpt())
    header = _IntegerHeader.from_address(head)
    while header.next != head:
        header = _IntegerHeader.from_address(header.next)
        if header.is_named(b"Max-Forwards"):
            return header
    raise TelephonyError("the loaded PJSIP gives requests no Max-Forwards by itself")
