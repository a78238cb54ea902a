"""Media ports by `AudioMediaPort` callbacks: works with every pjsua2, the pip wheel included.

The two callbacks run in PJSIP's audio clock thread and take the GIL there, so they only copy one
frame and move two numbers: no allocation that lasts, no lock, no log. Frames are copied through
the address of SWIG's vector (9 us a callback, against 85 us by `bytes(frame.buf)`; `PJSIP.md`).

A row's port is made once and kept until PJSIP goes down: PJSIP 2.15 takes a port out of the
conference at its next tick, but frees an `AudioMediaPort` at once, under a clock that may be inside
it (2.15.1 crashed within seconds of opening and closing rows). So a closed row is only parted from
the clock, and its positions go on from where they were when it is opened again.
"""

import ctypes
import time
from typing import Any

import numpy as np

from bridge.audio.resample import PHONE_HZ
from bridge.audio.rings import FRAME_MS, RingArena, gather
from bridge.errors import TelephonyError
from bridge.telephony.guests import GuestRows
from bridge.telephony.joined import JoinedRows
from bridge.telephony.library import import_pjsua2, load_symbols
from bridge.telephony.ports import ConferencePort, Positions, Samples

pj: Any = import_pjsua2()

_AUDIO = pj.PJMEDIA_FRAME_TYPE_AUDIO


def _vector_address(vector: Any) -> int:  # a SWIG proxy; it has no type
    """Return the address of a `ByteVector`'s first byte: the first word of `std::vector`."""
    address = ctypes.c_void_p.from_address(int(vector.this)).value
    return address or 0


class _RowPort(pj.AudioMediaPort):  # type: ignore[misc]  # SWIG class without types
    """One row's port in the conference. Its callbacks run in the audio clock's thread."""

    def __init__(self, ports: "CallbackPorts", row: int) -> None:
        super().__init__()
        self._row = row
        self._length = ports.arena.length_samples
        self._frame_samples = ports.arena.frame_samples
        self._frame_bytes = self._frame_samples * 2
        self._rx, self._tx = ports.arena.rx[row], ports.arena.tx[row]
        self._heard = ports.heard_ring[row]
        self._addresses = tuple(ring.ctypes.data for ring in (self._rx, self._tx, self._heard))
        self._rx_at, self._tx_at = ports.rx_positions, ports.tx_positions
        self._stamps_ns = ports.stamps_ns
        self._silence = pj.ByteVector(self._frame_bytes)

    def onFrameRequested(self, frame: Any) -> None:
        """Give PJSIP the next frame of ``tx`` and silence what it took."""
        row, tx_at = self._row, int(self._tx_at[self._row])
        if self._rx_at[row] < tx_at:
            self._fill_silence(row, tx_at)
        frame.buf = self._silence
        frame.type = _AUDIO
        offset = tx_at % self._length * 2
        _, tx, heard = self._addresses
        ctypes.memmove(_vector_address(frame.buf), tx + offset, self._frame_bytes)
        ctypes.memmove(heard + offset, tx + offset, self._frame_bytes)
        ctypes.memset(tx + offset, 0, self._frame_bytes)
        self._tx_at[row] = tx_at + self._frame_samples

    def onFrameReceived(self, frame: Any) -> None:
        """Take a frame of the caller's; heartbeat frames carry no audio and are passed over."""
        row = self._row
        rx_at = int(self._rx_at[row])
        if frame.type != _AUDIO or frame.size != self._frame_bytes or rx_at >= self._tx_at[row]:
            return
        offset = rx_at % self._length * 2
        ctypes.memmove(self._addresses[0] + offset, _vector_address(frame.buf), self._frame_bytes)
        self._rx_at[row] = rx_at + self._frame_samples
        self._stamps_ns[row] = time.monotonic_ns()

    def _fill_silence(self, row: int, tx_at: int) -> None:
        """Step ``rx`` over ticks that brought no audio (hold, before media)."""
        at = int(self._rx_at[row])
        while at < tx_at:
            offset = at % self._length * 2
            ctypes.memset(self._addresses[0] + offset, 0, self._frame_bytes)
            at += self._frame_samples
        self._rx_at[row] = at
        self._stamps_ns[row] = time.monotonic_ns()


class CallbackPorts:
    """:class:`bridge.telephony.ports.JoinablePorts` over `AudioMediaPort`.

    Args:
        clock_sink: the conference's null device, an `AudioMedia`; every row feeds it, so that rows
            keep stepping when their call is on hold.
        rows: calls at once.
        rate_hz: the conference's.

    The object must be kept until PJSIP is down.
    """

    def __init__(self, clock_sink: Any, rows: int, rate_hz: int = PHONE_HZ) -> None:
        self._library = load_symbols()
        self.arena = RingArena(rows, rate_hz=rate_hz)
        self.heard_ring = np.zeros((rows, self.arena.length_samples), dtype=np.int16)
        self.rx_positions: Positions = np.zeros(rows, dtype=np.int64)
        self.tx_positions: Positions = np.zeros(rows, dtype=np.int64)
        self.stamps_ns: Positions = np.zeros(rows, dtype=np.int64)
        self._clock_sink = clock_sink
        self._ports: dict[int, _RowPort] = {}
        self._calls: dict[int, ConferencePort] = {}
        self._joined = JoinedRows(self.arena.frame_samples)
        self._guests = GuestRows(self.arena.frame_samples)

    def refresh(self) -> None:
        """Do nothing: the callbacks move the positions themselves."""

    def open_row(self) -> int:
        """Take a zeroed row and have the conference's clock step it.

        Raises:
            RingsExhausted: no row is free.
            TelephonyError: PJSIP refused the port.
        """
        row = self.arena.acquire()
        self.heard_ring[row] = 0
        try:
            if row not in self._ports:
                self._ports[row] = self._create_port(row)
            self._ports[row].startTransmit(self._clock_sink)
        except pj.Error as error:
            self.arena.release(row)
            raise TelephonyError(f"PJSIP refused a media port: {error.info()}") from error
        return row

    def _create_port(self, row: int) -> _RowPort:
        audio_format = pj.MediaFormatAudio()
        audio_format.init(pj.PJMEDIA_FORMAT_PCM, self.arena.rate_hz, 1, FRAME_MS * 1000, 16)
        port = _RowPort(self, row)
        port.createPort(f"row-{row}", audio_format)
        port.this.disown()  # Python must not free it: PJSIP's clock may be inside (see above)
        return port

    def connect(self, row: int, audio: ConferencePort) -> None:
        """Join a row to a call's audio, both ways."""
        self._calls[row] = audio
        self._link(audio.media, self._ports[row])
        other = self._joined.other(row)
        if other is not None:
            self._link_calls(row, other)
        self._link_guest(row)

    def disconnect(self, row: int) -> None:
        """Part a row from its call's audio, if it is joined."""
        other = self._joined.other(row)
        if other is not None:
            self._unlink_calls(row, other)
        self._unlink_guest(row)
        audio = self._audio(row)
        self._calls.pop(row, None)
        if audio is not None:
            self._unlink(audio, self._ports[row])

    def _audio(self, row: int) -> Any:
        """Return the port of a row's call; None where PJSUA took it out, and the links with it."""
        audio = self._calls.get(row)
        return audio.media if audio is not None and audio.exists(self._library) else None

    def join(self, row: int, other: int) -> None:
        """Have the calls of two rows hear each other; see :class:`JoinablePorts`."""
        self._joined.join(row, other, self.rx_positions)
        self._link_calls(row, other)

    def part(self, row: int) -> None:
        """Part a row's call from the other one, if it is joined."""
        other = self._joined.other(row)
        if other is not None:
            self._unlink_calls(row, other)
            self._joined.part(row)

    def seat(self, row: int, guest: int) -> None:
        """Have a row's call hear a guest; see :class:`MediaPorts`."""
        self._guests.seat(row, guest, self.tx_positions)
        self._link_guest(row)

    def unseat(self, row: int) -> None:
        """Have a row's call not hear its guest any more, if it has one."""
        self._unlink_guest(row)
        self._guests.unseat(row)

    def _link_guest(self, row: int) -> None:
        guest, audio = self._guests.of(row), self._audio(row)
        if guest is not None and audio is not None:
            self._ports[guest].startTransmit(audio)

    def _unlink_guest(self, row: int) -> None:
        guest, audio = self._guests.of(row), self._audio(row)
        if guest is not None and audio is not None:
            self._ports[guest].stopTransmit(audio)

    def _link_calls(self, row: int, other: int) -> None:
        """Link two calls where both have audio; linking twice does nothing."""
        ours, theirs = self._audio(row), self._audio(other)
        if ours is not None and theirs is not None:
            self._link(ours, theirs)

    def _unlink_calls(self, row: int, other: int) -> None:
        ours, theirs = self._audio(row), self._audio(other)
        if ours is not None and theirs is not None:
            self._unlink(ours, theirs)

    def _link(self, one: Any, two: Any) -> None:
        one.startTransmit(two)
        two.startTransmit(one)

    def _unlink(self, one: Any, two: Any) -> None:
        one.stopTransmit(two)
        two.stopTransmit(one)

    def close_row(self, row: int) -> None:
        """Part the row from its call and from the clock, and give it back."""
        self.disconnect(row)
        self._joined.part(row)
        self._guests.unseat(row)
        self._ports[row].stopTransmit(self._clock_sink)
        self.arena.release(row)

    def heard(self, rows: Positions, starts: Positions, count: int) -> Samples:
        """Return what the calls heard, shape (rows, count)."""
        played = gather(self.heard_ring, rows, starts, count)
        return self._joined.add_heard(played, rows, starts, self.arena.rx)

    def said_by_guests(self, rows: Positions, starts: Positions, count: int) -> Samples | None:
        """Return what guests said in calls, shape (rows, count); None where there are none."""
        return self._guests.said(rows, starts, count, self._played)

    def _played(self, rows: Positions, starts: Positions, count: int) -> Samples:
        return gather(self.heard_ring, rows, starts, count)
