"""Media ports by PJSIP's own memory ports: no Python on the audio clock (capacity build).

A row has three ports in the conference, joined so that one link, made in one operation, steps them
all from the same conference tick on:

    player, reads the row of ``tx`` ──> the call, and at level 0 ──> capture and eraser
    the call ──> capture, writes the row of ``rx``
    eraser, writes the player's audio at level 0, which is silence, into ``tx`` behind the player

- Capture and player never wait for a call: on hold the capture writes silence.
- The eraser follows ``HISTORY_SAMPLES`` behind the player. So what was played can be read for that
  long (:meth:`MemoryPorts.heard`), and is silent before the player comes round again: however long
  the loop stands still, old audio is never played twice, and a block that was laid too late isn't
  played a ring later. Up to ``length - HISTORY_SAMPLES`` may be laid ahead of the player.
- The player counts the samples it took in a 64-bit word that never wraps, so no stall is too long
  to be measured. The capture has a write pointer only; it is at most the tick in progress behind
  the player, which unwraps it.

Conference operations are carried out at its next tick, in their order, a hundred at most. A row's
ports are made once and step until PJSIP goes down: nothing is freed under the clock, and a row that
is opened again needs no operation. Everything is called by ctypes with opaque pointers and
integers; :func:`memory_ports_problem` finds out by trying where the two words are.
"""

import ctypes
import re
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bridge.audio.rings import FRAME_SAMPLES, RingArena, gather
from bridge.clock import NS_PER_S
from bridge.errors import TelephonyError
from bridge.telephony.joined import JoinedRows
from bridge.telephony.library import load_symbols
from bridge.telephony.ports import RATE_HZ, CallAudio, Positions, Samples

HISTORY_SAMPLES = 6400
"""0.8 s of what was played can still be read; 1.2 s of a ring of 2 s may be laid ahead."""

_FRAME_BYTES = FRAME_SAMPLES * 2
_WORD_BYTES = 8
_SCANNED_WORDS = 40
"""A memory port's struct has some 30 words (PJSIP 2.15 to 2.17)."""

_POOL_BYTES = 4096
_MUTED = 0.0
_TICK_WINDOW_NS = NS_PER_S

_Words = npt.NDArray[np.int64]


class _Frame(ctypes.Structure):
    """`pjmedia_frame` (pjmedia/frame.h), a public struct."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buf", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("timestamp", ctypes.c_uint64),
        ("bit_info", ctypes.c_uint32),
    )


_AUDIO = 1
"""`PJMEDIA_FRAME_TYPE_AUDIO`."""

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


class _Unusable(Exception):
    """Why this PJSIP's memory ports can't be used."""


def memory_ports_problem() -> str | None:
    """Try PJSIP's memory ports out; return why they can't be used, or None.

    PJSIP must have been created (`libCreate`) in this process.

    Raises:
        TelephonyError: PJSIP is down.
    """
    try:
        find_layout(load_symbols())
    except _Unusable as problem:
        return str(problem)
    return None


def find_layout(library: ctypes.CDLL) -> PortLayout:
    """Send two frames through a capture and a player and see which words move, and how.

    Raises:
        TelephonyError: PJSIP is down.
    """
    _declare(library)
    _check_version(library)
    if library.pjsua_get_state() == 0:
        raise TelephonyError("PJSIP's memory ports can't be tried: PJSIP is down")
    pool = library.pjsua_pool_create(b"memory-ports", _POOL_BYTES, _POOL_BYTES)
    try:
        return PortLayout(_find_write_address(library, pool), _find_read_samples(library, pool))
    finally:
        library.pj_pool_release(pool)


def _declare(library: ctypes.CDLL) -> None:
    """Set the argument types of what is called here.

    Raises:
        _Unusable: the functions that make memory ports aren't there.
    """
    pointer, number = ctypes.c_void_p, ctypes.c_int
    for name in ("pjmedia_mem_capture_create", "pjmedia_mem_player_create"):
        if not hasattr(library, name):
            raise _Unusable(
                f"the loaded PJSIP leaves {name} out, as the pip wheel does; the capacity build "
                "(deploy/pjsip/build) has it"
            )
        create = getattr(library, name)
        create.argtypes = [pointer, pointer, ctypes.c_size_t, *[ctypes.c_uint] * 5, pointer]
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


def _check_version(library: ctypes.CDLL) -> None:
    version: str = library.pj_get_version().decode()
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or tuple(map(int, numbers.groups())) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise _Unusable(f"memory ports need PJSIP {oldest} or later, and {version} is loaded")


def _create(library: ctypes.CDLL, kind: str, pool: int, ring: Samples) -> int:
    """Make a memory port over a ring, shape (n,); return its address."""
    port = ctypes.c_void_p()
    create = getattr(library, f"pjmedia_mem_{kind}_create")
    status = create(
        *(pool, ring.ctypes.data, ring.nbytes),
        *(RATE_HZ, 1, FRAME_SAMPLES, 16, 0, ctypes.byref(port)),
    )
    _check(status, f"a memory {kind}")
    return port.value or 0


def _check(status: int, what: str) -> None:
    if status != 0:
        raise TelephonyError(f"PJSIP refused {what} (status {status})")


def _words_at(address: int, count: int) -> _Words:
    """View memory as (count,) int64, without a copy."""
    return np.ctypeslib.as_array((ctypes.c_int64 * count).from_address(address))


def _find_write_address(library: ctypes.CDLL, pool: int) -> int:
    ring, said = np.zeros(2 * FRAME_SAMPLES, np.int16), np.arange(1, FRAME_SAMPLES + 1, dtype="i2")
    port = _create(library, "capture", pool, ring)
    state = _words_at(port, _SCANNED_WORDS)
    seen = [state.copy()]
    for _ in range(2):
        frame = _Frame(_AUDIO, said.ctypes.data, said.nbytes)
        _check(library.pjmedia_port_put_frame(port, ctypes.byref(frame)), "a frame")
        seen.append(state.copy())
    library.pjmedia_port_destroy(port)
    start = ring.ctypes.data
    expected = (start, start + _FRAME_BYTES, start)
    if not np.array_equal(ring, np.tile(said, 2)):
        raise _Unusable("PJSIP's memory capture doesn't write what it is given round its ring")
    return _the_word(seen, expected, "a memory capture's write position")


def _find_read_samples(library: ctypes.CDLL, pool: int) -> int:
    ring = np.arange(1, 2 * FRAME_SAMPLES + 1, dtype=np.int16)
    got = np.zeros(3 * FRAME_SAMPLES, np.int16)
    port = _create(library, "player", pool, ring)
    state = _words_at(port, _SCANNED_WORDS)
    seen = [state.copy()]
    for number in range(3):
        frame = _Frame(_AUDIO, got.ctypes.data + number * _FRAME_BYTES, _FRAME_BYTES)
        _check(library.pjmedia_port_get_frame(port, ctypes.byref(frame)), "a frame")
        seen.append(state.copy())
    library.pjmedia_port_destroy(port)
    if not np.array_equal(got, np.concatenate([ring, ring[:FRAME_SAMPLES]])):
        raise _Unusable("PJSIP's memory player doesn't give its ring round and round")
    expected = tuple(number * FRAME_SAMPLES for number in range(4))
    return _the_word(seen, expected, "a memory player's count of samples")


def _the_word(seen: list[_Words], expected: tuple[int, ...], what: str) -> int:
    """Return the index of the one word that went through the expected values."""
    matches = np.all(np.stack(seen) == np.array(expected)[:, np.newaxis], axis=0)
    (found,) = np.nonzero(matches)
    if len(found) != 1:
        raise _Unusable(f"{what} is not found in this PJSIP's port ({len(found)} words match)")
    return int(found[0])


class ConferenceClock:
    """Says when the conference's last tick was, from readings that come some time after it.

    Ticks are evenly spaced, so the reading that came soonest after its tick tells where all of them
    lie: a late loop doesn't make audio look young. It is the soonest of the last second or two, so
    that a clock that jumped (the process was stopped) is followed. Resolution: one tick of ours.
    """

    def __init__(self) -> None:
        self._origins_ns: tuple[int, int] | None = None
        self._window_ends_ns = 0

    def feed(self, samples: int, now_ns: int) -> int:
        """Return when the tick was that made the count ``samples``, by a reading at ``now_ns``."""
        ticks_ns = samples * NS_PER_S // RATE_HZ
        origin_ns = now_ns - ticks_ns
        before_ns, current_ns = self._origins_ns or (origin_ns, origin_ns)
        if now_ns >= self._window_ends_ns:
            before_ns, current_ns = current_ns, origin_ns
            self._window_ends_ns = now_ns + _TICK_WINDOW_NS
        current_ns = min(current_ns, origin_ns)
        self._origins_ns = before_ns, current_ns
        return ticks_ns + min(before_ns, current_ns)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row's ports: addresses, and slots in the conference."""

    player: int
    capture: int
    player_slot: int
    capture_slot: int


class MemoryPorts:
    """:class:`bridge.telephony.ports.JoinablePorts` over PJSIP's memory ports.

    Args:
        rows: calls at once.

    The object must be kept until PJSIP is down: the conference reads and writes its arena.

    Raises:
        TelephonyError: the loaded PJSIP's memory ports can't be used.
    """

    def __init__(self, rows: int) -> None:
        self._library = load_symbols()
        try:
            self._layout = find_layout(self._library)
        except _Unusable as problem:
            raise TelephonyError(str(problem)) from problem
        self._pool = self._library.pjsua_pool_create(b"memory-ports", _POOL_BYTES, _POOL_BYTES)
        self.arena = RingArena(rows)
        self.rx_positions: Positions = np.zeros(rows, dtype=np.int64)
        self.tx_positions: Positions = np.zeros(rows, dtype=np.int64)
        self.stamps_ns: Positions = np.zeros(rows, dtype=np.int64)
        self._rows: dict[int, _Row] = {}
        self._call_slots: dict[int, int] = {}
        self._joined = JoinedRows()
        self._clock = ConferenceClock()
        # Of the rows that have ports: their numbers, their rx rings' addresses, and where in
        # `_words`, which spans all ports from the lowest address on, their two words are.
        self._made: Positions = np.zeros(0, dtype=np.int64)
        self._rx_addresses = self._write_at = self._count_at = self._made
        self._words: _Words = np.zeros(0, dtype=np.int64)

    def refresh(self) -> None:
        """Read all rows' positions as they are now: two gathers, whatever the number of rows."""
        made = self._made
        if not made.size:
            return
        written = self._words.take(self._write_at)  # first: a capture is never ahead of its player
        taken = self._words.take(self._count_at)
        now_ns = time.monotonic_ns()
        length = self.arena.length_samples
        behind = (taken - (written - self._rx_addresses) // 2) % length
        before = self.rx_positions[made]
        received = np.maximum(taken - behind, before)
        ticked_ns = self._clock.feed(int(taken[0]), now_ns)
        stamps_ns = ticked_ns - (taken - received) * NS_PER_S // RATE_HZ
        self.stamps_ns[made] = np.where(received > before, stamps_ns, self.stamps_ns[made])
        self.rx_positions[made] = received
        self.tx_positions[made] = taken

    def open_row(self) -> int:
        """Take a zeroed row; PJSIP steps it from its next conference tick on.

        Raises:
            RingsExhausted: no row is free.
            TelephonyError: PJSIP refused the ports.
        """
        row = self.arena.acquire()
        if row not in self._rows:
            try:
                self._rows[row] = self._create_row(row)
            except BaseException:
                self.arena.release(row)
                raise
            self._watch()
        self.refresh()
        return row

    def _create_row(self, row: int) -> _Row:
        rings = (("player", self.arena.tx), ("capture", self.arena.rx), ("capture", self.arena.tx))
        ports: list[int] = []
        slots: list[int] = []
        try:
            for kind, ring in rings:
                ports.append(_create(self._library, kind, self._pool, ring[row]))
                slots.append(self._add(ports[-1]))
            player, capture, eraser = ports
            player_slot, capture_slot, eraser_slot = slots
            self._set_back(eraser)
            # One operation steps player and capture; the eraser may begin a tick later.
            self._connect_muted(player_slot, capture_slot)
            self._connect_muted(player_slot, eraser_slot)
        except TelephonyError:
            for slot in slots:
                self._library.pjsua_conf_remove_port(slot)
            for port in ports:
                self._library.pjmedia_port_destroy(port)
            raise
        return _Row(player, capture, player_slot, capture_slot)

    def _set_back(self, eraser: int) -> None:
        """Move the eraser on by all but the history, so that it follows the player."""
        silence = np.zeros(self.arena.length_samples - HISTORY_SAMPLES, dtype=np.int16)
        frame = _Frame(_AUDIO, silence.ctypes.data, silence.nbytes)
        _check(self._library.pjmedia_port_put_frame(eraser, ctypes.byref(frame)), "a frame")

    def _add(self, port: int) -> int:
        slot = ctypes.c_int()
        status = self._library.pjsua_conf_add_port(self._pool, port, ctypes.byref(slot))
        _check(status, "a media port")
        return slot.value

    def _connect_muted(self, source: int, sink: int) -> None:
        level = ctypes.c_float(_MUTED)  # `pjsua_conf_connect_param` has this one field
        status = self._library.pjsua_conf_connect2(source, sink, ctypes.byref(level))
        _check(status, "to join media ports")

    def _watch(self) -> None:
        """Look at the words of every row that has ports."""
        made = np.array(list(self._rows), dtype=np.int64)
        layout, rows = self._layout, self._rows.values()
        writes = np.array([row.capture for row in rows]) + layout.write_address * _WORD_BYTES
        counts = np.array([row.player for row in rows]) + layout.read_samples * _WORD_BYTES
        base = int(min(writes.min(), counts.min()))
        span = int(max(writes.max(), counts.max())) - base
        self._words = _words_at(base, span // _WORD_BYTES + 1)
        self._write_at = (writes - base) // _WORD_BYTES
        self._count_at = (counts - base) // _WORD_BYTES
        self._rx_addresses = self.arena.rx.ctypes.data + made * self.arena.rx.strides[0]
        self._made = made

    def connect(self, row: int, audio: CallAudio) -> None:
        """Join a row to a call's audio, both ways.

        Raises:
            TelephonyError: PJSIP refused it.
        """
        ports, call_slot = self._rows[row], audio.getPortId()
        self._call_slots[row] = call_slot
        for source, sink in ((call_slot, ports.capture_slot), (ports.player_slot, call_slot)):
            self._connect(source, sink)
        other = self._joined.other(row)
        if other is not None:
            self._connect_calls(row, other)

    def disconnect(self, row: int) -> None:
        """Part a row from its call's audio, if it is joined.

        PJSUA may have taken the call's port out already; then the links went with it.
        """
        other = self._joined.other(row)
        if other is not None:
            self._disconnect_calls(row, other)
        call_slot = self._call_slots.pop(row, None)
        if call_slot is None:
            return
        ports = self._rows[row]
        self._library.pjsua_conf_disconnect(call_slot, ports.capture_slot)
        self._library.pjsua_conf_disconnect(ports.player_slot, call_slot)

    def join(self, row: int, other: int) -> None:
        """Have the calls of two rows hear each other; see :class:`JoinablePorts`.

        Raises:
            TelephonyError: PJSIP refused it.
        """
        self.refresh()
        self._joined.join(row, other, self.rx_positions)
        self._connect_calls(row, other)

    def part(self, row: int) -> None:
        """Part a row's call from the other one, if it is joined."""
        other = self._joined.other(row)
        if other is not None:
            self._disconnect_calls(row, other)
            self._joined.part(row)

    def _connect_calls(self, row: int, other: int) -> None:
        """Link two calls where both have audio; linking twice does nothing."""
        ours, theirs = self._call_slots.get(row), self._call_slots.get(other)
        if ours is not None and theirs is not None:
            self._connect(ours, theirs)
            self._connect(theirs, ours)

    def _disconnect_calls(self, row: int, other: int) -> None:
        ours, theirs = self._call_slots.get(row), self._call_slots.get(other)
        if ours is not None and theirs is not None:
            self._library.pjsua_conf_disconnect(ours, theirs)
            self._library.pjsua_conf_disconnect(theirs, ours)

    def _connect(self, source: int, sink: int) -> None:
        _check(self._library.pjsua_conf_connect(source, sink), "to join a call's audio")

    def close_row(self, row: int) -> None:
        """Part the row from its call and give it back; its ports step on in silence."""
        self.disconnect(row)
        self._joined.part(row)
        self.arena.release(row)

    def heard(self, rows: Positions, starts: Positions, count: int) -> Samples:
        """Return what the calls heard, shape (rows, count).

        What was played is silence where it is older than ``HISTORY_SAMPLES``.
        """
        played = gather(self.arena.tx, rows, starts, count)
        return self._joined.add_heard(played, rows, starts, self.arena.rx)
