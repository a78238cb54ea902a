"""The agent's track of a GPT-Live session: one continuous sound, silent where nothing is said.

Pure. The track has no clock of its own: whoever drives it takes one piece for each tick of the
session's timeline (`PROTOCOL.md` section 11).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bridge.simulator.conversation import SpokenWord
from bridge.simulator.formats import WireFormat

TICK_MS = 100
"""Audio in one ``session.output_audio.delta``, as captured."""


@dataclass(frozen=True, slots=True)
class TrackPiece:
    """One tick of the track.

    Attributes:
        audio: wire bytes, of :data:`TICK_MS`.
        words: those that begin in it, each as a transcript has it.
        first, last: whether an utterance begins or ends with it.
        audible: whether anything is said in it.
    """

    audio: bytes
    words: Sequence[str] = ()
    first: bool = False
    last: bool = False
    audible: bool = False


@dataclass(slots=True)
class _Utterance:
    """Something to say, and how far it has been said."""

    audio: bytes
    words: Sequence[SpokenWord]
    said_bytes: int = 0
    said_words: int = 0


class SpeechTrack:
    """What the agent says, tick by tick.

    Args:
        audio_format: of the session.
    """

    def __init__(self, audio_format: WireFormat) -> None:
        self._format = audio_format
        self._tick_bytes = TICK_MS * audio_format.bytes_per_ms
        samples = self._tick_bytes // audio_format.sample_bytes
        self._silence = audio_format.silence(samples)
        self._queue: deque[_Utterance] = deque()

    @property
    def speaking(self) -> bool:
        """Whether an utterance has begun and is not over."""
        return bool(self._queue) and self._queue[0].said_bytes > 0

    def say(self, audio: bytes, words: Sequence[SpokenWord]) -> None:
        """Say this once everything before it is said.

        Args:
            audio: wire bytes.
            words: with their ends in it, ms.
        """
        self._queue.append(_Utterance(audio, words))

    def stop(self, after_ms: int = 0) -> None:
        """Stop: what is being said ends after so many ms, and what waits is never said."""
        current = self._queue[0] if self.speaking else None
        self._queue.clear()
        if current is not None and after_ms:
            end = current.said_bytes + after_ms * self._format.bytes_per_ms
            self._queue.append(replace(current, audio=current.audio[:end]))

    def next_piece(self, *, hold: bool) -> TrackPiece:
        """Return the next tick.

        Args:
            hold: begin nothing new just now.
        """
        if not self._queue or (hold and not self.speaking):
            return TrackPiece(self._silence)
        return self._say_on(self._queue[0])

    def _say_on(self, utterance: _Utterance) -> TrackPiece:
        first = utterance.said_bytes == 0
        start = utterance.said_bytes
        audio = utterance.audio[start : start + self._tick_bytes]
        utterance.said_bytes += self._tick_bytes
        last = utterance.said_bytes >= len(utterance.audio)
        upto_ms = utterance.said_bytes / self._format.bytes_per_ms
        begun = 1 + sum(word.end_ms < upto_ms for word in utterance.words)
        words = [
            written(utterance.words[place].text, place)
            for place in range(utterance.said_words, min(begun, len(utterance.words)))
        ]
        utterance.said_words = begun
        if last:
            self._queue.popleft()
        audio += self._silence[len(audio) :]
        return TrackPiece(audio, words, first, last, audible=True)


def written(word: str, place: int) -> str:
    """Return a word as a transcript has it: a blank before each but an utterance's first."""
    return f"{' ' if place else ''}{word.strip()}"
