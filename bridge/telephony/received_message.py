"""Received messages: their texts as pjsua2 reads them, and their places in `pjsip_rx_data`.

The struct's size differs by build. Its part `msg_info` begins (pjsip/sip_transport.h) with four
words: the text's address, its length, the parsed message, and the line of log that
`pjsip_rx_data_get_info` returns. That last address is known, so it is searched for, once; the words
before it are checked against the text.
"""

import ctypes
import re
from typing import Any, Self

from bridge.errors import TelephonyError
from bridge.telephony.library import READ_RECEIVED, import_pjsua2

pj: Any = import_pjsua2()  # a SWIG module without types

_WORD = ctypes.sizeof(ctypes.c_void_p)
_SCANNED_BYTES = 128 * 1024
"""Holds a packet of up to 65,535 bytes (`PJSIP_MAX_PKT_LEN`), which comes before `msg_info`."""

_INVITE = b"Request msg INVITE/"
_INFO = re.compile(rb"Request msg ([^/]+)/|Response msg ")


class ReceivedText:
    """Reads one received message after the other.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
    """

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._read = getattr(lib, READ_RECEIVED)
        self._received = pj.SipRxData()  # filled anew with each message

    def of(self, rdata: int) -> Self:
        """Take the message that is at an address: what follows is about it."""
        self._read(int(self._received.this), rdata)
        return self

    @property
    def text(self) -> str:
        """All of it; bytes that are no UTF-8 are surrogates."""
        return str(self._received.wholeMsg)

    @property
    def data(self) -> bytes:
        """All of it, as it came."""
        return self.text.encode(errors="surrogateescape")

    @property
    def far_end(self) -> str:
        """Host and port that it came from."""
        return str(self._received.srcAddress)


class MessageFinder:
    """Finds the `pjsip_msg` of received messages.

    Args:
        lib: PJSIP's symbols; sets the argument types of what is called with a `pjsip_msg`.
    """

    def __init__(self, lib: ctypes.CDLL) -> None:
        pointer = ctypes.c_void_p
        # By address, not as text: it is compared with what stands in the struct.
        self._info_of = ctypes.CFUNCTYPE(pointer, pointer)(("pjsip_rx_data_get_info", lib))
        lib.pjsip_msg_find_hdr_by_name.restype = pointer
        lib.pjsip_msg_find_hdr_by_name.argtypes = [pointer, pointer, pointer]
        lib.pj_list_erase.restype = None
        lib.pj_list_erase.argtypes = [pointer]
        self._info_at: int | None = None

    def invite(self, rdata: int) -> int | None:
        """Return the address of a received INVITE's `pjsip_msg`; None for another message.

        Raises:
            TelephonyError: this build's `pjsip_rx_data` is not laid out as it should be.
        """
        info = self._info_of(rdata)
        if not info or not ctypes.string_at(info).startswith(_INVITE):
            return None
        return self._words(rdata, info, b"INVITE")[2]

    def message(self, rdata: int) -> int | None:
        """Return the address of a message's `pjsip_msg`; None where :meth:`text` has none.

        Raises:
            TelephonyError: as of :meth:`invite`.
        """
        words = self._found(rdata)
        return None if words is None else words[2]

    def text(self, rdata: int) -> tuple[int, int] | None:
        """Return where a message's text lies: its address and length in bytes.

        None for a message that PJSIP's line of log does not describe: the method is too long.

        Raises:
            TelephonyError: as of :meth:`invite`.
        """
        words = self._found(rdata)
        return None if words is None else words[:2]

    def _found(self, rdata: int) -> tuple[int, int, int] | None:
        info = self._info_of(rdata)
        kind = _INFO.match(ctypes.string_at(info)) if info else None
        return None if kind is None else self._words(rdata, info, kind[1] or b"SIP/")

    def _words(self, rdata: int, info: int, begins: bytes) -> tuple[int, int, int]:
        """Return the text's address, its length, and the `pjsip_msg`."""
        if self._info_at is None:
            self._info_at = _find(rdata, info)
        text, length, message, found = (
            _word(rdata + self._info_at + place * _WORD) for place in (-3, -2, -1, 0)
        )
        length &= 0xFFFFFFFF  # an int: the upper half of its word is padding
        if found != info or not ctypes.string_at(text, length).lstrip().startswith(begins):
            raise TelephonyError("the loaded PJSIP lays received messages out in an unknown way")
        return text, length, message


def _find(rdata: int, info: int) -> int:
    for offset in range(0, _SCANNED_BYTES, _WORD):
        if _word(rdata + offset) == info:
            return offset
    raise TelephonyError("the loaded PJSIP lays received messages out in an unknown way")


def _word(address: int) -> int:
    return ctypes.c_size_t.from_address(address).value
