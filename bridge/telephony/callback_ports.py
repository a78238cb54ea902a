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
from bridge.audio.rings import FRAME_MS
from bridge.errors import TelephonyError
from bridge.telephony.library import import_pjsua2
from bridge.telephony.linked_ports import LinkedPorts
from bridge.telephony.ports import ConferencePort

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


class CallbackPorts(LinkedPorts[Any]):
    """:class:`bridge.telephony.ports.JoinablePorts` over `AudioMediaPort`.

    Args:
        clock_sink: the conference's null device, an `AudioMedia`; every row feeds it, so that rows
            keep stepping when their call is on hold.
        rows: calls at once.
        rate_hz: the conference's.

    The object must be kept until PJSIP is down.
    """

    def __init__(self, clock_sink: Any, rows: int, rate_hz: int = PHONE_HZ) -> None:
        super().__init__(rows, rate_hz)
        self.heard_ring = np.zeros((rows, self.arena.length_samples), dtype=np.int16)
        self._played_ring = self.heard_ring
        self._clock_sink = clock_sink
        self._ports: dict[int, _RowPort] = {}

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

    def _port(self, audio: ConferencePort) -> Any:
        return audio.media

    def _row_ports(self, row: int) -> tuple[Any, Any]:
        return self._ports[row], self._ports[row]

    def _link(self, source: Any, sink: Any) -> None:
        source.startTransmit(sink)

    def _unlink(self, source: Any, sink: Any) -> None:
        source.stopTransmit(sink)

    def close_row(self, row: int) -> None:
        """Part the row from its call and from the clock, and give it back."""
        self._leave(row)
        self._ports[row].stopTransmit(self._clock_sink)
        self.arena.release(row)
