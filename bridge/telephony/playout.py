"""Playout: one call's agent audio, from the session's deltas to the tx ring.

Deltas come faster than real time and wait here as 24 kHz PCM. The pump takes blocks, resamples
them for all calls at once, and lays them into the ring ahead of PJSIP's read position. The ledger
knows which samples belong to which item, so that *heard* is counted in samples that PJSIP took.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from bridge.audio.ledger import PlayedItem, PlayoutDrained, PlayoutLedger, PlayoutStarted
from bridge.audio.resample import PHONE_HZ, REALTIME_HZ
from bridge.realtime.ids import ItemId

_SAMPLE_BYTES = 2


@dataclass(slots=True)
class _Piece:
    item_id: ItemId
    content_index: int
    audio: bytes
    queued_ns: int | None
    taken_bytes: int = 0


class Block(NamedTuple):
    """24 kHz audio for some 20 ms frames.

    Attributes:
        audio: 16-bit little-endian PCM, whole.
        parts: (item, content_index, samples at the ring's rate) in the order they lie in the block.
        queued_ns: when the oldest sample was queued; None if it waited through a pause, so that
            its age says nothing about us.
    """

    audio: bytes
    parts: tuple[tuple[ItemId, int, int], ...]
    queued_ns: int | None


class Playout:
    """Agent audio of one call that PJSIP has not taken yet.

    Args:
        rate_hz: of the ring.

    Attributes:
        written: absolute tx position up to which the ring is laid.
        padded: the block taken last had to be filled up with silence.
        waiting_samples: 24 kHz samples queued and not laid into the ring.
    """

    def __init__(self, rate_hz: int = PHONE_HZ) -> None:
        self._rate_hz = rate_hz
        self.ledger = PlayoutLedger(rate_hz)
        self.written = 0
        self.padded = False
        self._paused = False
        self._pieces: deque[_Piece] = deque()
        self.waiting_samples = 0
        self._last_item: ItemId | None = None

    @property
    def paused(self) -> bool:
        """Whether what is queued waits (the call is on hold); what is laid plays to its end."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        if paused:
            self._last_item = None
            for piece in self._pieces:
                piece.queued_ns = None

    def queue(self, item_id: ItemId, content_index: int, audio: bytes, now_ns: int) -> None:
        """Queue 24 kHz 16-bit little-endian PCM of one content part.

        Raises:
            ValueError: the audio ends within a sample.
        """
        samples, odd = divmod(len(audio), _SAMPLE_BYTES)
        if odd:
            raise ValueError("audio that ends within a 16-bit sample")
        if not samples:
            return
        queued_ns = None if self._paused else now_ns
        self._pieces.append(_Piece(item_id, content_index, audio, queued_ns))
        self.waiting_samples += samples
        self.ledger.queue(item_id, content_index, samples * self._rate_hz / REALTIME_HZ)

    def continues_item(self) -> bool:
        """Return whether what waits belongs to the item taken last, with no pause between."""
        return bool(self._pieces) and self._pieces[0].item_id == self._last_item

    def take_block(self, block_samples: int) -> Block | None:
        """Take audio, padded with silence at the end of what is queued.

        Args:
            block_samples: how much, at the ring's rate: whole milliseconds.
        """
        if not self._pieces:
            return None
        wanted_samples = block_samples * REALTIME_HZ // self._rate_hz
        wanted_bytes = wanted_samples * _SAMPLE_BYTES
        piece = self._pieces[0]
        end = piece.taken_bytes + wanted_bytes
        if end > len(piece.audio):
            return self._take_over_pieces(wanted_bytes)
        audio = piece.audio[piece.taken_bytes : end]
        piece.taken_bytes = end
        if end == len(piece.audio):
            self._pieces.popleft()
        self.waiting_samples -= wanted_samples
        self.padded = False
        self._last_item = piece.item_id
        return Block(audio, ((piece.item_id, piece.content_index, block_samples),), piece.queued_ns)

    def _take_over_pieces(self, wanted_bytes: int) -> Block:
        """Take a block that more than one piece has a part in, or that needs padding."""
        found: list[bytes] = []
        parts: list[tuple[ItemId, int, int]] = []
        queued_ns = self._pieces[0].queued_ns
        filled_bytes, laid_samples = 0, 0
        while filled_bytes < wanted_bytes and self._pieces:
            piece = self._pieces[0]
            end = piece.taken_bytes + wanted_bytes - filled_bytes
            found.append(piece.audio[piece.taken_bytes : end])
            piece.taken_bytes += len(found[-1])
            filled_bytes += len(found[-1])
            before, laid_samples = laid_samples, self._ring_samples(filled_bytes)
            parts.append((piece.item_id, piece.content_index, laid_samples - before))
            if piece.taken_bytes == len(piece.audio):
                self._pieces.popleft()
        self.waiting_samples -= filled_bytes // _SAMPLE_BYTES
        self.padded = filled_bytes < wanted_bytes
        self._last_item = parts[-1][0]
        return Block(b"".join(found).ljust(wanted_bytes, b"\0"), tuple(parts), queued_ns)

    def _ring_samples(self, audio_bytes: int) -> int:
        return audio_bytes * self._rate_hz // (_SAMPLE_BYTES * REALTIME_HZ)

    def laid(
        self, block: Block, position: int, block_samples: int, now_ns: int | None = None
    ) -> None:
        """Record that a block lies in the ring from ``position`` on, since ``now_ns``."""
        self.written = position + block_samples
        for item_id, content_index, count in block.parts:
            self.ledger.append(item_id, content_index, position, count, now_ns)
            position += count

    @property
    def quiet_until(self) -> int:
        """Read position below which :meth:`advance` has nothing to report."""
        return self.ledger.quiet_until

    def advance(
        self, read_position: int, read_ns: int | None = None
    ) -> list[PlayoutStarted | PlayoutDrained]:
        """Return what began or ended now that PJSIP has read up to ``read_position``.

        Args:
            read_position: absolute.
            read_ns: when PJSIP got there.
        """
        return self.ledger.advance(read_position, read_ns)

    def flush(self, read_position: int) -> tuple[PlayedItem, ...]:
        """Forget all that PJSIP has not taken; say what of each cut part was heard."""
        self._pieces.clear()
        self._last_item = None
        self.waiting_samples = 0
        self.written = read_position
        return self.ledger.flush(read_position)
