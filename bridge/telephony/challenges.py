"""Leaves the strongest challenge of each realm in a 401 or 407, before PJSIP answers it.

PJSIP takes a second challenge of a realm, with a nonce of its own, for a renewed one, and answers
that: MD5 in the place of SHA-256 (RFC 8760 section 2.4). In the loop's thread, inside the poll.
"""

import ctypes
from collections.abc import Iterator

import structlog

from bridge.sip.digest import DigestChallenge, strongest
from bridge.telephony.guarding import guarded
from bridge.telephony.headers import read_headers
from bridge.telephony.library import PjString
from bridge.telephony.received_message import MessageFinder, ReceivedText
from bridge.telephony.sip_module import PASS, SipModule, Symbols

log = structlog.get_logger(__name__)

_BELOW_TRANSACTIONS = 14
_CODES = ("SIP/2.0 401 ", "SIP/2.0 407 ")
_NAMES = (b"WWW-Authenticate", b"Proxy-Authenticate")
_NEXT = ctypes.sizeof(ctypes.c_void_p)
"""Of `pjsip_hdr`, a `pj_list`: `prev`, then `next`."""


class ChallengeFilter:
    """Takes the weaker challenges out of responses.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
    """

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._lib: Symbols = lib
        self._finder = MessageFinder(lib)
        self._received = ReceivedText(lib)
        self._module = SipModule(
            lib, b"mod-challenges", _BELOW_TRANSACTIONS, {"on_rx_response": self._on_response}
        )

    def _on_response(self, rdata: int) -> int:
        with guarded(log, "challenges_not_read"):
            text = self._received.of(rdata).text
            if text.startswith(_CODES):
                self._filter(rdata, text)
        return PASS

    def _filter(self, rdata: int, text: str) -> None:
        message = self._finder.message(rdata)
        headers = read_headers(text)
        for name in _NAMES:
            values = headers.get(name.decode().lower(), ())
            found = list(self._headers(message, name)) if message is not None else []
            if len(values) != len(found):  # several on one line: PJSIP's to read
                continue
            read = [DigestChallenge.parse(value) for value in values]
            for address, challenge in zip(found, read, strict=True):
                given = (each for each in read if each is not None)
                if challenge is not None and challenge != strongest(given, challenge.realm):
                    self._lib.pj_list_erase(address)

    def _headers(self, message: int, name: bytes) -> Iterator[int]:
        text = PjString.of(name)
        start: int | None = None
        while header := self._lib.pjsip_msg_find_hdr_by_name(message, ctypes.byref(text), start):
            yield header
            start = ctypes.c_size_t.from_address(header + _NEXT).value
