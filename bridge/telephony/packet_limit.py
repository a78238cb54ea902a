"""Reads from the loaded PJSIP the longest SIP message that it takes in.

The limit (`PJSIP_MAX_PKT_LEN`) is compiled in: 4,000 bytes in the pip wheel, 16,000 in the capacity
build. PJSIP cuts longer datagrams off without a word, and gives up on longer messages of a stream.
No function returns the limit, but PJSIP writes it in its log when it is asked for its settings.
"""

import ctypes
import re

from bridge.errors import TelephonyError

_SETTINGS_LEVEL = 3
"""PJSIP's log level of its own settings."""
_OnLine = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_LIMIT = re.compile(rb"PJSIP_MAX_PKT_LEN\s*:\s*(\d+)")


def longest_packet_bytes(lib: ctypes.CDLL) -> int:
    """Return the longest SIP message that the loaded PJSIP can take in.

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
