"""The loaded PJSIP: its build, and its C functions that pjsua2 doesn't wrap.

The extension module exports PJSIP's own symbols; they are called with opaque pointers and integers
only, so no struct of PJSIP's is mirrored here but the documented `pjsip_module`. The same goes for
two methods of pjsua2's C++ classes that SWIG leaves out, by their names in the Itanium C++ ABI.
"""

import ctypes
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from bridge.errors import InfrastructureError, TelephonyError


@dataclass(frozen=True, slots=True)
class LibraryInfo:
    """What the loaded PJSIP can do.

    Attributes:
        call_limit: calls that one process holds; compiled in (`PJSUA_MAX_CALLS`), found out by
            asking for more and reading back what PJSIP made of it.
        media_ports: how the rings are filled, `memory` or `callback`.
        no_memory_ports: why its memory ports can't be used; empty where they can.
    """

    version: str
    call_limit: int
    media_ports: str = ""
    no_memory_ports: str = ""


def import_pjsua2() -> Any:
    """Import pjsua2, a SWIG module without types.

    Raises:
        InfrastructureError: it isn't installed, or its shared libraries don't load.
    """
    if importlib.util.find_spec("pjsua2") is None:
        raise InfrastructureError(
            "PJSIP's Python module `pjsua2` is not installed",
            remedy="pip install -c deploy/constraints.txt pjsua2-python (CPython 3.11 or 3.12, "
            "Linux x86-64 or macOS)",
        )
    try:
        import pjsua2
    except ImportError as error:
        raise InfrastructureError(
            f"pjsua2 is installed but does not load: {error}",
            remedy="reinstall pjsua2-python for this Python and this machine",
        ) from error
    return pjsua2


_SETTINGS_LEVEL = 3
"""PJSIP's log level of its own settings."""
_OnLine = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_LIMIT = re.compile(rb"PJSIP_MAX_PKT_LEN\s*:\s*(\d+)")

READ_RECEIVED = "_ZN2pj9SipRxData6fromPjER13pjsip_rx_data"
"""`pj::SipRxData::fromPj(pjsip_rx_data &)`: fills the object that is its first argument."""

READ_SENT = "_ZN2pj9SipTxData6fromPjER13pjsip_tx_data"
"""`pj::SipTxData::fromPj(pjsip_tx_data &)`: likewise."""


class PjString(ctypes.Structure):
    """`pj_str_t` (pjlib, pj/types.h): pointer and length, not terminated."""

    _fields_ = (("ptr", ctypes.c_void_p), ("slen", ctypes.c_ssize_t))

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Return a string that has its bytes for as long as it is kept itself."""
        buffer = ctypes.create_string_buffer(text)
        string = cls(ctypes.addressof(buffer), len(text))
        string.buffer = buffer
        return string


class PjHeader(ctypes.Structure):
    """The members that every SIP header begins with: `PJSIP_DECL_HDR_MEMBER` (pjsip/sip_msg.h)."""

    _fields_: ClassVar[Sequence[tuple[str, type]]] = (
        ("prev", ctypes.c_void_p),
        ("next", ctypes.c_void_p),
        ("type", ctypes.c_int),
        ("name", PjString),
        ("short_name", PjString),
        ("vptr", ctypes.c_void_p),
    )

    def is_named(self, name: bytes) -> bool:
        """Return whether its name is this one, as PJSIP itself writes it."""
        return ctypes.string_at(self.name.ptr, self.name.slen) == name


def load_symbols() -> ctypes.CDLL:
    """Open the pjsua2 extension as a C library, with the argument types of what we call."""
    extension = importlib.import_module("pjsua2._pjsua2")
    path = extension.__file__
    if path is None:
        raise InfrastructureError("the pjsua2 extension has no file to load symbols from")
    lib = ctypes.CDLL(path)
    lib.pj_log_set_level.argtypes = [ctypes.c_int]
    pointer, text = ctypes.c_void_p, ctypes.POINTER(PjString)
    lib.pjsua_get_pjsip_endpt.restype = pointer
    lib.pjsua_pool_create.restype = pointer
    lib.pjsua_pool_create.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t]
    lib.pjsip_rx_data_get_info.restype = ctypes.c_char_p
    lib.pjsip_rx_data_get_info.argtypes = [pointer]
    for method in (READ_RECEIVED, READ_SENT):
        getattr(lib, method).restype = None
        getattr(lib, method).argtypes = [pointer, pointer]
    lib.pjsip_generic_string_hdr_create.restype = pointer
    lib.pjsip_generic_string_hdr_create.argtypes = [pointer, text, text]
    lib.pj_list_insert_before.restype = None
    lib.pj_list_insert_before.argtypes = [pointer, pointer]
    lib.pjsip_endpt_create_pool.restype = pointer
    size = ctypes.c_size_t
    lib.pjsip_endpt_create_pool.argtypes = [pointer, ctypes.c_char_p, size, size]
    lib.pjsip_endpt_release_pool.restype = None
    lib.pjsip_endpt_release_pool.argtypes = [pointer, pointer]
    lib.pjsip_endpt_respond_stateless.argtypes = [
        *(pointer, pointer),
        ctypes.c_int,
        *(text, pointer, pointer),
    ]
    lib.pjsip_endpt_get_tpmgr.restype = pointer
    lib.pjsip_endpt_get_tpmgr.argtypes = [pointer]
    lib.pjsip_tpmgr_set_drop_data_cb.argtypes = [pointer, pointer]
    lib.pjsip_tpmgr_send_raw.argtypes = [
        *(pointer, ctypes.c_int, pointer, pointer, ctypes.c_char_p, size, pointer),
        *(ctypes.c_int, pointer, pointer),
    ]
    lib.pjsip_ua_find_dialog.restype = pointer
    lib.pjsip_ua_find_dialog.argtypes = [text, text, text, ctypes.c_int]
    lib.pjsip_endpt_register_module.argtypes = [pointer, pointer]
    lib.pjsip_endpt_respond.argtypes = [
        *(pointer, pointer, pointer),
        ctypes.c_int,
        text,
        *(pointer, pointer, pointer),
    ]
    return lib


def longest_packet_bytes(lib: ctypes.CDLL) -> int:
    """Return the longest SIP message that the loaded PJSIP can take in.

    The limit (`PJSIP_MAX_PKT_LEN`) is compiled in: 4,000 bytes in the pip wheel, 16,000 in the
    capacity build. PJSIP cuts longer datagrams off without a word, and gives up on longer messages
    of a stream. No function returns the limit, but PJSIP writes it in its log when it is asked for
    its settings.

    Args:
        lib: PJSIP's symbols; the endpoint must be created. Log and level are as before afterwards.

    Raises:
        TelephonyError: this PJSIP doesn't say.
    """
    lines: list[bytes] = []
    keep = _OnLine(lambda level, text, length: lines.append(ctypes.string_at(text, length)))
    lib.pj_log_get_log_func.restype = ctypes.c_void_p
    lib.pj_log_set_log_func.argtypes = [ctypes.c_void_p]
    level, writer = lib.pj_log_get_level(), lib.pj_log_get_log_func()
    lib.pj_log_set_log_func(ctypes.cast(keep, ctypes.c_void_p))
    lib.pj_log_set_level(_SETTINGS_LEVEL)
    try:
        lib.pjsip_dump_config()
    finally:
        lib.pj_log_set_level(level)
        lib.pj_log_set_log_func(writer)
    found = _LIMIT.search(b"\n".join(lines))
    if found is None:
        raise TelephonyError("the loaded PJSIP doesn't say how long a SIP message may be")
    return int(found[1])
