"""Media ports by PJSIP's own memory ports: no Python on the audio clock (capacity build).

A row has three ports in the conference, joined so that one link, made in one operation, steps them
all from the same conference tick on:

    player, reads the row of ``tx`` ──> the call, and at level 0 ──> capture and eraser
    the call ──> capture, writes the row of ``rx``
    eraser, writes the player's audio at level 0, which is silence, into ``tx`` behind the player

- Capture and player never wait for a call: on hold the capture writes silence.
- The eraser follows ``HISTORY_MS`` behind the player. So what was played can be read for that
  long (:meth:`MemoryPorts.heard`), and is silent before the player comes round again: however long
  the loop stands still, old audio is never played twice, and a block that was laid too late isn't
  played a ring later. Up to ``length - HISTORY_MS`` may be laid ahead of the player.
- The player counts the samples it took in a 64-bit word that never wraps, so no stall is too long
  to be measured. The capture has a write pointer only; it is at most the tick in progress behind
  the player, which unwraps it.

Conference operations are carried out at its next tick, in their order, a hundred at most. A row's
ports are made once and step until PJSIP goes down: nothing is freed under the clock, and a row that
is opened again needs no operation. Where the two words are: :mod:`bridge.telephony.memory_layout`.
"""

import ctypes
import time
from dataclasses import dataclass

import numpy as np

from bridge.audio.resample import PHONE_HZ
from bridge.clock import NS_PER_S
from bridge.errors import TelephonyError
from bridge.telephony.audio_clock import ConferenceClock
from bridge.telephony.linked_ports import LinkedPorts
from bridge.telephony.memory_layout import UnusableMemoryPorts, find_layout
from bridge.telephony.pjmedia import (
    WORD_BYTES,
    Words,
    check,
    create_pool,
    create_port,
    put_frame,
    words_at,
)
from bridge.telephony.ports import ConferencePort, Positions

HISTORY_MS = 800
"""So much of what was played can still be read; 1.2 s of a ring of 2 s may be laid ahead."""

_MUTED = 0.0


@dataclass(frozen=True, slots=True)
class _Row:
    """A row's ports: addresses, and slots in the conference."""

    player: int
    capture: int
    player_slot: int
    capture_slot: int


class MemoryPorts(LinkedPorts[int]):
    """:class:`bridge.telephony.ports.JoinablePorts` over PJSIP's memory ports.

    Args:
        rows: calls at once.
        rate_hz: the conference's.

    The object must be kept until PJSIP is down: the conference reads and writes its arena.

    Raises:
        TelephonyError: the loaded PJSIP's memory ports can't be used.
    """

    def __init__(self, rows: int, rate_hz: int = PHONE_HZ) -> None:
        super().__init__(rows, rate_hz)
        try:
            self._layout = find_layout(self._library)
        except UnusableMemoryPorts as problem:
            raise TelephonyError(str(problem)) from problem
        self._pool = create_pool(self._library)
        self._rows: dict[int, _Row] = {}
        self._clock = ConferenceClock(rate_hz)
        # Of the rows that have ports: their numbers, their rx rings' addresses, and where in
        # `_words`, which spans all ports from the lowest address on, their two words are.
        self._made: Positions = np.zeros(0, dtype=np.int64)
        self._rx_addresses = self._write_at = self._count_at = self._made
        self._words: Words = np.zeros(0, dtype=np.int64)

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
        stamps_ns = ticked_ns - (taken - received) * NS_PER_S // self.arena.rate_hz
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
                ports.append(
                    create_port(self._library, kind, self._pool, ring[row], self.arena.rate_hz)
                )
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
        history = HISTORY_MS * self.arena.rate_hz // 1000
        silence = np.zeros(self.arena.length_samples - history, dtype=np.int16)
        put_frame(self._library, eraser, silence)

    def _add(self, port: int) -> int:
        slot = ctypes.c_int()
        status = self._library.pjsua_conf_add_port(self._pool, port, ctypes.byref(slot))
        check(status, "a media port")
        return slot.value

    def _connect_muted(self, source: int, sink: int) -> None:
        level = ctypes.c_float(_MUTED)  # `pjsua_conf_connect_param` has this one field
        status = self._library.pjsua_conf_connect2(source, sink, ctypes.byref(level))
        check(status, "to join media ports")

    def _watch(self) -> None:
        """Look at the words of every row that has ports."""
        made = np.array(list(self._rows), dtype=np.int64)
        layout, rows = self._layout, self._rows.values()
        writes = np.array([row.capture for row in rows]) + layout.write_address * WORD_BYTES
        counts = np.array([row.player for row in rows]) + layout.read_samples * WORD_BYTES
        base = int(min(writes.min(), counts.min()))
        span = int(max(writes.max(), counts.max())) - base
        self._words = words_at(base, span // WORD_BYTES + 1)
        self._write_at = (writes - base) // WORD_BYTES
        self._count_at = (counts - base) // WORD_BYTES
        self._rx_addresses = self.arena.rx.ctypes.data + made * self.arena.rx.strides[0]
        self._made = made

    def _port(self, audio: ConferencePort) -> int:
        return audio.slot

    def _row_ports(self, row: int) -> tuple[int, int]:
        ports = self._rows[row]
        return ports.player_slot, ports.capture_slot

    def _link(self, source: int, sink: int) -> None:
        check(self._library.pjsua_conf_connect(source, sink), "to join a call's audio")

    def _unlink(self, source: int, sink: int) -> None:
        self._library.pjsua_conf_disconnect(source, sink)

    def close_row(self, row: int) -> None:
        """Part the row from its call and give it back; its ports step on in silence."""
        self._leave(row)
        self.arena.release(row)
