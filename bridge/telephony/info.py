"""SIP INFO within a call: keys in its body, and our answer.

Bodies as Asterisk, FreeSWITCH and Cisco send and read them, without a standard (RFC 6086 section
4.2.2 calls that legacy usage): ``application/dtmf-relay`` has a line ``Signal=5``, ``application/
dtmf`` the key alone. Some write events 10 to 15 of RFC 4733 as numbers.
"""

import ctypes
import functools
import re
from dataclasses import dataclass

from bridge.telephony.headers import read_body, read_headers
from bridge.telephony.keys import KEYS
from bridge.telephony.library import load_symbols

_RELAY, _PLAIN = "application/dtmf-relay", "application/dtmf"
_ANSWERED_BY_PJSUA = frozenset(
    {_RELAY, "application/media_control+xml", "application/trickle-ice-sdpfrag"}
)
_SIGNAL = re.compile(r"^\s*signal\s*=\s*(\S+)\s*$", re.IGNORECASE | re.MULTILINE)
_NUMBERED = {str(10 + place): key for place, key in enumerate("*#ABCD")}


@dataclass(frozen=True, slots=True)
class Info:
    """An INFO request.

    Attributes:
        digit: the key that it carries; None where it carries none.
        answer: status that is due from us; None where PJSUA gives one (`pjsua_call.c`).
    """

    digit: str | None
    answer: int | None

    @classmethod
    def parse(cls, message: str) -> "Info":
        """Read a request, whole as it came."""
        kinds = read_headers(message).get("content-type", ("",))
        kind, body = kinds[0].partition(";")[0].strip().lower(), read_body(message)
        if kind == _RELAY:
            found = _SIGNAL.search(body)
            return cls(None if found is None else _key(found[1]), None)
        if kind == _PLAIN:
            digit = _key(body.strip())
            return cls(digit, 400 if digit is None else 200)
        if kind in _ANSWERED_BY_PJSUA:
            return cls(None, None)
        # Without a body it asks if the call is still there; PJSIP itself would say 500.
        return cls(None, 415 if body.strip() else 200)


def _key(signal: str) -> str | None:
    key = _NUMBERED.get(signal, signal.upper())
    return key if key in KEYS else None


def respond(transaction: int, request: int, code: int) -> None:
    """Answer a request within its transaction, in PJSUA's callback about it.

    Args:
        transaction, request: addresses of the `pjsip_transaction` and the `pjsip_rx_data`.
        code: the final status.
    """
    lib, response = _library(), ctypes.c_void_p()
    endpoint = lib.pjsua_get_pjsip_endpt()
    made = lib.pjsip_endpt_create_response(endpoint, request, code, None, ctypes.byref(response))
    if made == 0:
        lib.pjsip_tsx_send_msg(transaction, response)


@functools.cache
def _library() -> ctypes.CDLL:
    lib, pointer = load_symbols(), ctypes.c_void_p
    lib.pjsip_endpt_create_response.argtypes = [
        *(pointer, pointer),
        ctypes.c_int,
        *(pointer, pointer),
    ]
    lib.pjsip_tsx_send_msg.argtypes = [pointer, pointer]
    return lib
