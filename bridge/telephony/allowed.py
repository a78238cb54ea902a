"""The Allow header of PJSIP's own messages, without methods that :mod:`request_door` refuses."""

import ctypes
from collections.abc import Collection

import structlog

from bridge.telephony.library import PjString

log = structlog.get_logger(__name__)

_ALLOW = 4
"""`PJSIP_H_ALLOW` (pjsip/sip_msg.h, `pjsip_hdr_e`)."""
_MOST_VALUES = 64


class _ArrayHeader(ctypes.Structure):
    """`pjsip_generic_array_hdr` (pjsip/sip_msg.h)."""

    _fields_ = (
        ("prev", ctypes.c_void_p),
        ("next", ctypes.c_void_p),
        ("type", ctypes.c_int),
        ("name", PjString),
        ("short_name", PjString),
        ("vptr", ctypes.c_void_p),
        ("count", ctypes.c_uint),
        ("values", PjString * _MOST_VALUES),
    )


def allow_only(lib: ctypes.CDLL, served: Collection[str]) -> None:
    """Take methods out of what PJSIP says that it allows; its modules are loaded by then.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        served: methods that stay.
    """
    pointer = ctypes.c_void_p
    find = ctypes.CFUNCTYPE(pointer, pointer, ctypes.c_int, pointer)(
        ("pjsip_endpt_get_capability", lib)
    )
    address = find(lib.pjsua_get_pjsip_endpt(), _ALLOW, None)
    if not address:
        return
    header = _ArrayHeader.from_address(address)
    if ctypes.string_at(header.name.ptr, header.name.slen) != b"Allow":
        log.warning("allow_not_changed")
        return
    listed = [(each.ptr, each.slen) for each in header.values[: header.count]]
    kept = [each for each in listed if ctypes.string_at(*each).decode() in served]
    for place, (text, length) in enumerate(kept):
        header.values[place].ptr, header.values[place].slen = text, length
    header.count = len(kept)
