"""Finds by trial the words in which PJSIP's memory ports keep their positions.

Their structs are private to PJSIP: two frames go through a capture, three through a player, and the
one word of each that moved as a position must is the position.
"""

import ctypes
import re
from dataclasses import dataclass

import numpy as np

from bridge.audio.rings import FRAME_SAMPLES
from bridge.errors import TelephonyError
from bridge.telephony.library import load_symbols
from bridge.telephony.pjmedia import (
    Words,
    create_pool,
    create_port,
    declare,
    get_frame,
    left_out,
    put_frame,
    words_at,
)

_FRAME_BYTES = FRAME_SAMPLES * 2
_SCANNED_WORDS = 25
"""The smaller struct, a capture's, has 25 words (PJSIP 2.17); past it is others' memory."""

_OLDEST = (2, 17)
"""In 2.15.1, parting a port from one that is just being taken out undoes all of its links, those
that step the row included (`op_disconnect_ports`)."""


@dataclass(frozen=True, slots=True)
class PortLayout:
    """Where a memory port keeps its state, in 8-byte words from its address.

    Attributes:
        write_address: in a capture, the address that it writes next.
        read_samples: in a player, the samples that it gave since it was made.
    """

    write_address: int
    read_samples: int


class UnusableMemoryPorts(Exception):
    """Why this PJSIP's memory ports can't be used."""


def memory_ports_problem() -> str | None:
    """Try PJSIP's memory ports out; return why they can't be used, or None.

    PJSIP must have been created (`libCreate`) in this process.

    Raises:
        TelephonyError: PJSIP is down.
    """
    try:
        find_layout(load_symbols())
    except UnusableMemoryPorts as problem:
        return str(problem)
    return None


def find_layout(library: ctypes.CDLL) -> PortLayout:
    """Send frames through a capture and a player and see which words move, and how.

    Sets the argument types of what is called with memory ports, too.

    Raises:
        UnusableMemoryPorts: they aren't there, PJSIP is too old, or they don't move as they should.
        TelephonyError: PJSIP is down.
    """
    missing = left_out(library)
    if missing is not None:
        raise UnusableMemoryPorts(
            f"the loaded PJSIP leaves {missing} out, as the pip wheel does; the capacity build "
            "(deploy/pjsip/build) has it"
        )
    declare(library)
    _check_version(library)
    if library.pjsua_get_state() == 0:
        raise TelephonyError("PJSIP's memory ports can't be tried: PJSIP is down")
    pool = create_pool(library)
    try:
        return PortLayout(_find_write_address(library, pool), _find_read_samples(library, pool))
    finally:
        library.pj_pool_release(pool)


def _check_version(library: ctypes.CDLL) -> None:
    version: str = library.pj_get_version().decode()
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or tuple(map(int, numbers.groups())) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise UnusableMemoryPorts(
            f"memory ports need PJSIP {oldest} or later, and {version} is loaded"
        )


def _find_write_address(library: ctypes.CDLL, pool: int) -> int:
    ring, said = np.zeros(2 * FRAME_SAMPLES, np.int16), np.arange(1, FRAME_SAMPLES + 1, dtype="i2")
    port = create_port(library, "capture", pool, ring)
    state = words_at(port, _SCANNED_WORDS)
    seen = [state.copy()]
    for _ in range(2):
        put_frame(library, port, said)
        seen.append(state.copy())
    library.pjmedia_port_destroy(port)
    start = ring.ctypes.data
    expected = (start, start + _FRAME_BYTES, start)
    if not np.array_equal(ring, np.tile(said, 2)):
        raise UnusableMemoryPorts(
            "PJSIP's memory capture doesn't write what it is given round its ring"
        )
    return _the_word(seen, expected, "a memory capture's write position")


def _find_read_samples(library: ctypes.CDLL, pool: int) -> int:
    ring = np.arange(1, 2 * FRAME_SAMPLES + 1, dtype=np.int16)
    got = np.zeros((3, FRAME_SAMPLES), np.int16)
    port = create_port(library, "player", pool, ring)
    state = words_at(port, _SCANNED_WORDS)
    seen = [state.copy()]
    for into in got:
        get_frame(library, port, into)
        seen.append(state.copy())
    library.pjmedia_port_destroy(port)
    if not np.array_equal(got.ravel(), np.concatenate([ring, ring[:FRAME_SAMPLES]])):
        raise UnusableMemoryPorts("PJSIP's memory player doesn't give its ring round and round")
    expected = tuple(number * FRAME_SAMPLES for number in range(4))
    return _the_word(seen, expected, "a memory player's count of samples")


def _the_word(seen: list[Words], expected: tuple[int, ...], what: str) -> int:
    """Return the index of the one word that went through the expected values."""
    matches = np.all(np.stack(seen) == np.array(expected)[:, np.newaxis], axis=0)
    (found,) = np.nonzero(matches)
    if len(found) != 1:
        raise UnusableMemoryPorts(
            f"{what} is not found in this PJSIP's port ({len(found)} words match)"
        )
    return int(found[0])
