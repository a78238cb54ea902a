"""Playout: one call's agent audio, from the session's deltas to the tx ring.

Deltas come faster than real time and wait here in the format that they came in: an item in its
session's, a phrase of the bridge's in 24 kHz PCM. The pump takes blocks, turns them into samples of
the ring for all calls at once, and lays them ahead of PJSIP's read position. The ledger
knows which samples belong to which item, so that *heard* is counted in samples that PJSIP took.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from bridge.audio.formats import silence_of
from bridge.audio.ledger import PlayedItem, PlayoutDrained, PlayoutLedger, PlayoutStarted
from bridge.audio.resample import PHONE_HZ
from bridge.realtime.ids import ItemId
from bridge.realtime.session_config import AudioFormat


@dataclass(slots=True)
class _Piece:
    item_id: ItemId
    content_index: int
    audio: bytes
    audio_format: AudioFormat
    queued_ns: int | None
    taken_bytes: int = 0


class Block(NamedTuple):
    """Audio for some 20 ms frames.

    Attributes:
        audio: in one format, padded to the end.
        parts: (item, content_index, samples at the ring's rate) in the order they lie in the block.
        queued_ns: when the oldest sample was queued; None if it waited through a pause, so that
            its age says nothing about us.
    """

    audio: bytes
    audio_format: AudioFormat
    parts: tuple[tuple[ItemId, int, int], ...]
    queued_ns: int | None


class Playout:
    """Agent audio of one call that PJSIP has not taken yet.

    Args:
        rate_hz: of the ring.

    Attributes:
        written: absolute tx position up to which the ring is laid.
        padded: the block taken last had to be filled up with silence.
    """

    def __init__(self, rate_hz: int = PHONE_HZ) -> None:
        self._rate_hz = rate_hz
        self.ledger = PlayoutLedger(rate_hz)
        self.written = 0
        self.padded = False
        self._paused = False
        # One format's: a block has one. What comes in another one waits behind it.
        self._pieces: deque[_Piece] = deque()
        self._later: deque[_Piece] = deque()
        self._format = AudioFormat.PCM_24KHZ
        self._waiting_bytes = 0
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
            for piece in (*self._pieces, *self._later):
                piece.queued_ns = None

    @property
    def waiting_ms(self) -> float:
        """Audio that blocks can be taken of now: queued, of one format, not laid into the ring."""
        return self._waiting_bytes / self._format.bytes_per_ms

    @property
    def queued_ms(self) -> float:
        """All that is queued and not laid into the ring."""
        later = (len(piece.audio) / piece.audio_format.bytes_per_ms for piece in self._later)
        return self.waiting_ms + sum(later)

    def queue(
        self,
        item_id: ItemId,
        content_index: int,
        audio: bytes,
        now_ns: int,
        audio_format: AudioFormat = AudioFormat.PCM_24KHZ,
    ) -> None:
        """Queue audio of one content part.

        Raises:
            ValueError: the audio ends within a sample.
        """
        samples, odd = divmod(len(audio), audio_format.sample_bytes)
        if odd:
            raise ValueError("audio that ends within a 16-bit sample")
        if not samples:
            return
        queued_ns = None if self._paused else now_ns
        self._later.append(_Piece(item_id, content_index, audio, audio_format, queued_ns))
        self._take_up()
        self.ledger.queue(item_id, content_index, samples * self._rate_hz / audio_format.rate_hz)

    def _take_up(self) -> None:
        """Have what waits behind come next, as far as it has the format of what is there."""
        later = self._later
        while later and (not self._pieces or later[0].audio_format is self._format):
            piece = later.popleft()
            self._format = piece.audio_format
            self._pieces.append(piece)
            self._waiting_bytes += len(piece.audio)

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
        audio_format = self._format
        wanted_samples = block_samples * audio_format.rate_hz // self._rate_hz
        wanted_bytes = wanted_samples * audio_format.sample_bytes
        piece = self._pieces[0]
        end = piece.taken_bytes + wanted_bytes
        if end > len(piece.audio):
            return self._take_over_pieces(wanted_bytes)
        audio = piece.audio[piece.taken_bytes : end]
        piece.taken_bytes = end
        self._waiting_bytes -= wanted_bytes
        if end == len(piece.audio):
            self._pieces.popleft()
            self._take_up()
        self.padded = False
        self._last_item = piece.item_id
        part = (piece.item_id, piece.content_index, block_samples)
        return Block(audio, audio_format, (part,), piece.queued_ns)

    def _take_over_pieces(self, wanted_bytes: int) -> Block:
        """Take a block that more than one piece has a part in, or that needs padding."""
        found: list[bytes] = []
        parts: list[tuple[ItemId, int, int]] = []
        queued_ns, audio_format = self._pieces[0].queued_ns, self._format
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
        self._waiting_bytes -= filled_bytes
        self.padded = filled_bytes < wanted_bytes
        self._last_item = parts[-1][0]
        audio = b"".join(found).ljust(wanted_bytes, silence_of(audio_format))
        block = Block(audio, audio_format, tuple(parts), queued_ns)
        self._take_up()
        return block

    def _ring_samples(self, audio_bytes: int) -> int:
        return audio_bytes * self._rate_hz // (1000 * self._format.bytes_per_ms)

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
        self._later.clear()
        self._last_item = None
        self._waiting_bytes = 0
        self.written = read_position
        return self.ledger.flush(read_position)
