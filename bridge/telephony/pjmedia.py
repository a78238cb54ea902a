"""PJMEDIA's memory ports, called by ctypes with opaque pointers and integers.

A *capture* writes the frames that it is given round a ring; a *player* gives those of its ring,
round and round. The pip wheel leaves both out.
"""

import ctypes

import numpy as np
import numpy.typing as npt

from bridge.audio.resample import PHONE_HZ
from bridge.audio.rings import FRAME_MS
from bridge.errors import TelephonyError
from bridge.telephony.ports import Samples

WORD_BYTES = 8

Words = npt.NDArray[np.int64]

_CREATORS = ("pjmedia_mem_capture_create", "pjmedia_mem_player_create")

_POOL_BYTES = 4096

_AUDIO = 1
"""`PJMEDIA_FRAME_TYPE_AUDIO`."""


class _Frame(ctypes.Structure):
    """`pjmedia_frame` (pjmedia/frame.h), a public struct."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buf", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("timestamp", ctypes.c_uint64),
        ("bit_info", ctypes.c_uint32),
    )


def left_out(library: ctypes.CDLL) -> str | None:
    """Return the name of a function that makes memory ports and isn't there; None: all are."""
    return next((name for name in _CREATORS if not hasattr(library, name)), None)


def declare(library: ctypes.CDLL) -> None:
    """Set the argument types of what is called with these ports; none may be left out."""
    pointer, number = ctypes.c_void_p, ctypes.c_int
    for name in _CREATORS:
        getattr(library, name).argtypes = [
            *(pointer, pointer, ctypes.c_size_t),
            *[ctypes.c_uint] * 5,
            pointer,
        ]
    for name in ("pjmedia_port_get_frame", "pjmedia_port_put_frame"):
        getattr(library, name).argtypes = [pointer, pointer]
    library.pj_get_version.restype = ctypes.c_char_p
    library.pjmedia_port_destroy.argtypes = [pointer]
    library.pj_pool_release.argtypes = [pointer]
    library.pj_pool_release.restype = None
    library.pjsua_conf_add_port.argtypes = [pointer, pointer, pointer]
    for name in ("pjsua_conf_connect", "pjsua_conf_disconnect"):
        getattr(library, name).argtypes = [number, number]
    library.pjsua_conf_connect2.argtypes = [number, number, pointer]
    library.pjsua_conf_remove_port.argtypes = [number]


def create_pool(library: ctypes.CDLL) -> int:
    """Return the address of a new memory pool of PJSIP's, for ports."""
    pool: int = library.pjsua_pool_create(b"memory-ports", _POOL_BYTES, _POOL_BYTES)
    return pool


def create_port(
    library: ctypes.CDLL, kind: str, pool: int, ring: Samples, rate_hz: int = PHONE_HZ
) -> int:
    """Make a memory port over a ring and return its address.

    Args:
        kind: ``capture`` or ``player``.
        pool: address of the pool that the port is made in.
        ring: (n,) int16 at ``rate_hz``; must be kept as long as the port steps.

    Raises:
        TelephonyError: PJSIP refused it.
    """
    port = ctypes.c_void_p()
    create = getattr(library, f"pjmedia_mem_{kind}_create")
    status = create(
        *(pool, ring.ctypes.data, ring.nbytes),
        *(rate_hz, 1, rate_hz * FRAME_MS // 1000, 16, 0, ctypes.byref(port)),
    )
    check(status, f"a memory {kind}")
    return port.value or 0


def put_frame(library: ctypes.CDLL, capture: int, samples: Samples) -> None:
    """Have a capture write samples, shape (n,), from where it is.

    Raises:
        TelephonyError: PJSIP refused them.
    """
    frame = _Frame(_AUDIO, samples.ctypes.data, samples.nbytes)
    check(library.pjmedia_port_put_frame(capture, ctypes.byref(frame)), "a frame")


def get_frame(library: ctypes.CDLL, player: int, into: Samples) -> None:
    """Have a player give as many samples as there is room for, shape (n,).

    Raises:
        TelephonyError: PJSIP refused it.
    """
    frame = _Frame(_AUDIO, into.ctypes.data, into.nbytes)
    check(library.pjmedia_port_get_frame(player, ctypes.byref(frame)), "a frame")


def words_at(address: int, count: int) -> Words:
    """View memory as (count,) int64, without a copy."""
    return np.ctypeslib.as_array((ctypes.c_int64 * count).from_address(address))


def check(status: int, what: str) -> None:
    """Raise if a function of PJSIP's failed.

    Raises:
        TelephonyError: it did.
    """
    if status != 0:
        raise TelephonyError(f"PJSIP refused {what} (status {status})")
