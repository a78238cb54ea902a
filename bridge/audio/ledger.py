"""The interruption ledger of one call: the place of each item's audio, and how much was heard.

Invariants: heard is what PJSIP took from the tx ring, sample by sample, per content part; a gap
between two pieces of a part (underrun) counts for nobody; what was written behind the read position
was never heard, and nor was the end of a part that was taken while the agent was silenced (for a
caller who may be about to interrupt it). Positions are absolute sample counts of the tx ring
since the call's start. Used by the pump in the loop's thread; pure.
"""

from collections import deque
from dataclasses import dataclass, field

from bridge.audio.resample import PHONE_HZ
from bridge.audio.rings import FRAME_MS
from bridge.clock import NS_PER_MS
from bridge.realtime.ids import ItemId

REMEMBERED_SILENCES = 8
"""Far more than lie in what is laid ahead."""

REMEMBERED_PARTS = 64
"""Parts whose heard time stays queryable: an answer has one or two, so dozens of turns."""

_FRAME_NS = FRAME_MS * NS_PER_MS

NEVER = 1 << 62
"""A position that no call reaches."""

_WHOLE_SAMPLE = 1.0
"""Rests under one sample (24 kHz counts that are no multiple of three) can't be heard."""


@dataclass(frozen=True, slots=True)
class PlayedItem:
    """The audio of one content part that PJSIP really took from the tx ring.

    Attributes:
        played_ms: samples taken, as milliseconds.
        queued_ms: all that was given to the playout of this part, played or not.
    """

    item_id: ItemId
    content_index: int
    played_ms: int
    queued_ms: int


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """PJSIP took the first sample of an item.

    Attributes:
        laid_ns: that sample lay in the tx ring; None where that was not measured.
        taken_ns: PJSIP took it, by its clock; likewise. Times do not part one beginning from
            another, so they don't count in comparisons.
    """

    item_id: ItemId
    content_index: int
    laid_ns: int | None = field(default=None, compare=False)
    taken_ns: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class PlayoutDrained:
    """PJSIP took the last sample of all that was queued."""


@dataclass(slots=True)
class _Part:
    """One content part. ``pieces`` are [start, end) in the ring, in order, not yet taken.

    ``played`` samples of it were taken; the last one that could be heard is before ``heard``.
    """

    item_id: ItemId
    content_index: int
    accepted: float = 0.0
    written: int = 0
    played: int = 0
    heard: int = 0
    sounding: bool = False
    laid_ns: int | None = None
    pieces: deque[tuple[int, int]] = field(default_factory=deque)

    @property
    def over(self) -> bool:
        return not self.pieces and self.accepted - self.written < _WHOLE_SAMPLE

    def take(self, read_position: int, silences: "_Silences") -> int:
        before, pieces = self.played, self.pieces
        while pieces:
            start, end = pieces[0]
            if start >= read_position:
                break
            if end > read_position:
                pieces[0] = (read_position, end)
                end = read_position
            else:
                pieces.popleft()
            audible = silences.audible_end(start, end)
            if audible > start:
                self.heard = self.played + audible - start
            self.played += end - start
        return self.played - before

    def summary(self, samples_per_ms: int) -> PlayedItem:
        queued = max(self.accepted, float(self.written))
        return PlayedItem(
            self.item_id,
            self.content_index,
            self.heard // samples_per_ms,
            int(queued // samples_per_ms),
        )


class _Silences:
    """Stretches of the ring, [start, end), in which the agent is silenced; the last may be open."""

    def __init__(self) -> None:
        self._stretches: deque[tuple[int, int]] = deque(maxlen=REMEMBERED_SILENCES)

    def begin(self, position: int) -> None:
        self._stretches.append((position, NEVER))

    def end(self, position: int) -> None:
        if self._stretches and self._stretches[-1][1] == NEVER:
            start, _ = self._stretches.pop()
            self._stretches.append((start, position))

    def clear(self) -> None:
        self._stretches.clear()

    def audible_end(self, start: int, end: int) -> int:
        """Return where what can be heard of [start, end) ends; ``start`` if nothing can."""
        for begins, ends in reversed(self._stretches):
            if begins < end <= ends:
                end = max(begins, start)
        return end


class PlayoutLedger:
    """The account of one call's playout: the audio that it owes, and what it has delivered.

    Order of calls for a piece of audio: :meth:`queue` when it is accepted, :meth:`append` when it
    (or a part of it) is written into the ring, :meth:`advance` on every tick.

    Args:
        rate_hz: of the ring.
    """

    def __init__(self, rate_hz: int = PHONE_HZ) -> None:
        self._samples_per_ms = rate_hz // 1000
        self._frame_samples = FRAME_MS * self._samples_per_ms
        self._parts: deque[_Part] = deque()
        self._heard: dict[tuple[ItemId, int], int] = {}
        self._silences = _Silences()
        self._read_position = 0

    @property
    def pending(self) -> bool:
        """Whether anything is queued or written that was not yet taken."""
        return bool(self._parts)

    @property
    def quiet_until(self) -> int:
        """Read position below which :meth:`advance` reports nothing; its counting can wait."""
        if not self._parts:
            return NEVER
        end, begins = 0, NEVER
        for part in self._parts:
            if part.pieces:
                end = part.pieces[-1][1]
                if not part.sounding:
                    begins = min(begins, part.pieces[0][0] + 1)
        return min(begins, end)

    def queue(self, item_id: ItemId, content_index: int, samples: float) -> None:
        """Note audio that was accepted but is not in the ring yet.

        Args:
            item_id: item that it belongs to.
            content_index: content part of that item.
            samples: its size at the ring's rate, at 8 kHz a third of its 24 kHz samples.
        """
        if samples > 0:
            self._part(item_id, content_index).accepted += samples

    def append(
        self,
        item_id: ItemId,
        content_index: int,
        start_position: int,
        count: int,
        laid_ns: int | None = None,
    ) -> None:
        """Note audio written into the ring; settles what :meth:`queue` promised.

        Args:
            item_id: item that it belongs to.
            content_index: content part of that item.
            start_position: absolute position of its first sample; never before the end of what was
                appended last.
            count: samples, fill between items not included.
            laid_ns: when that was.
        """
        if count <= 0:
            return
        part = self._part(item_id, content_index)
        if part.laid_ns is None:
            part.laid_ns = laid_ns
        part.written += count
        start, end = max(start_position, self._read_position), start_position + count
        if start >= end:
            return
        if part.pieces and part.pieces[-1][1] == start:
            part.pieces[-1] = (part.pieces[-1][0], end)
        else:
            part.pieces.append((start, end))

    def silence(self, position: int) -> None:
        """Note that the agent cannot be heard from a position of the ring on."""
        self._silences.begin(position)

    def unsilence(self, position: int) -> None:
        """Note that the agent can be heard again from a position of the ring on."""
        self._silences.end(position)

    def advance(
        self, read_position: int, read_ns: int | None = None
    ) -> list[PlayoutStarted | PlayoutDrained]:
        """Account for what PJSIP has taken.

        Args:
            read_position: absolute position of the next sample that PJSIP will take.
            read_ns: when it got there, by its clock.

        Returns:
            Parts that became audible, in order, then PlayoutDrained if nothing is left. A part that
            goes on after PlayoutDrained becomes audible anew.
        """
        self._read_position = max(self._read_position, read_position)
        if not self._parts:
            return []
        events: list[PlayoutStarted | PlayoutDrained] = []
        for part, start in self._take():
            if not part.sounding:
                part.sounding = True
                # PJSIP takes whole frames: the sample went with the tick that took its frame.
                frames = (self._read_position - start - 1) // self._frame_samples
                taken_ns = None if read_ns is None else read_ns - frames * _FRAME_NS
                events.append(
                    PlayoutStarted(part.item_id, part.content_index, part.laid_ns, taken_ns)
                )
        while self._parts and self._parts[0].over:
            self._parts.popleft()
        if not self._parts:
            events.append(PlayoutDrained())
        return events

    def flush(self, read_position: int) -> tuple[PlayedItem, ...]:
        """Forget everything that was not taken yet.

        Args:
            read_position: position from which the ring was silenced.

        Returns:
            Every part with unheard audio, in playing order, the one that was cut first.
        """
        self._read_position = max(self._read_position, read_position)
        self._take()
        cut = tuple(part.summary(self._samples_per_ms) for part in self._parts if not part.over)
        self._parts.clear()
        self._silences.clear()
        return cut

    def heard_ms(self, item_id: ItemId, content_index: int | None = None) -> int:
        """Return how much of an item was heard, also after it was played or flushed.

        Args:
            item_id: the item.
            content_index: one part of it; None for all.

        Returns:
            Milliseconds; 0 for an item never heard or forgotten
            (:data:`REMEMBERED_PARTS` are kept).
        """
        heard = sum(
            samples
            for (item, index), samples in self._heard.items()
            if item == item_id and content_index in (None, index)
        )
        return heard // self._samples_per_ms

    def _take(self) -> list[tuple[_Part, int]]:
        """Return the parts of which something was taken, and from where on."""
        sounded: list[tuple[_Part, int]] = []
        for part in self._parts:
            start = part.pieces[0][0] if part.pieces else 0
            taken = part.take(self._read_position, self._silences)
            if taken:
                self._remember(part, taken)
                sounded.append((part, start))
        return sounded

    def _remember(self, part: _Part, taken: int) -> None:
        key = (part.item_id, part.content_index)
        self._heard[key] = self._heard.pop(key, 0) + taken
        if len(self._heard) > REMEMBERED_PARTS:
            del self._heard[next(iter(self._heard))]

    def _part(self, item_id: ItemId, content_index: int) -> _Part:
        if self._parts:
            part = self._parts[-1]  # nearly always
            if part.item_id == item_id and part.content_index == content_index:
                return part
        for part in reversed(self._parts):
            if part.item_id == item_id and part.content_index == content_index:
                return part
        heard = self._heard.get((item_id, content_index), 0)
        part = _Part(item_id, content_index, heard, heard, heard, heard)
        self._parts.append(part)
        return part
