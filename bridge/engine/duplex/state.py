"""The state of what is found by ear with a full-duplex service, and of the work that it gives away.

Plain state; times are monotonic ns, lengths are those of the audio.
"""

from dataclasses import dataclass, field

from bridge.audio.formats import silence_of
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.session_config import AudioFormat

CUSHION_MS = 100
"""Quiet that is played before a word. A full-duplex service sends no faster than it is heard, so
without it each late packet would be a gap; it is also the soft onset of the word itself."""


@dataclass(slots=True)
class VoiceStream:
    """The agent's voice as one session streams it, silences included.

    Attributes:
        utterances: how many have begun.
        began_ns: when the latest one did.
        quiet_ms: since its last word; of no meaning between two utterances.
        dropped_ms: of the latest one, that nobody heard because the caller had cut it.
        kept: the latest quiet that was not played.
        audio_format: of the voice.
        early: words that came before the sound of their utterance.
        words_end_ms: end of the latest word, by the session's clock.
    """

    utterances: int = 0
    began_ns: int = 0
    quiet_ms: int = 0
    dropped_ms: int = 0
    kept: bytes = b""
    audio_format: AudioFormat = AudioFormat.PCM_24KHZ
    early: str = ""
    words_end_ms: int = 0

    @property
    def utterance_id(self) -> ResponseId:
        """Our own name for the latest utterance: there is none on the wire."""
        return ResponseId(f"utterance_{self.utterances}")

    @property
    def item_id(self) -> ItemId:
        """The same, as that of what the playout has."""
        return ItemId(self.utterance_id)

    def begin(self, now_ns: int) -> None:
        """Begin an utterance."""
        self.utterances += 1
        self.began_ns, self.dropped_ms = now_ns, 0

    def keep(self, quiet: bytes) -> None:
        """Keep what is quiet for the next word."""
        self.kept = (self.kept + quiet)[-self._cushion_bytes :]

    def speak(self, audio: bytes) -> bytes:
        """Return a loud piece as it is to be played: after a pause, with its cushion."""
        paused, self.quiet_ms = bool(self.kept), 0
        if not paused:
            return audio
        lacking = silence_of(self.audio_format) * (self._cushion_bytes - len(self.kept))
        cushion, self.kept = lacking + self.kept, b""
        return cushion + audio

    def fall_silent(self) -> None:
        """Forget what was not played."""
        self.kept = silence_of(self.audio_format) * self._cushion_bytes
        self.quiet_ms = 0

    @property
    def _cushion_bytes(self) -> int:
        return CUSHION_MS * self.audio_format.bytes_per_ms


@dataclass(slots=True)
class CallerWords:
    """The caller's words as they come in, without a mark of where a turn ends.

    Attributes:
        turns: how many have begun.
        text: of the present one; empty between two.
        end_ms: of its latest piece, by the session's clock.
    """

    turns: int = 0
    text: str = ""
    end_ms: int = 0

    @property
    def item_id(self) -> ItemId:
        """Our own name for the present turn, or for the one before."""
        return ItemId(f"caller_{self.turns}")

    def add(self, delta: str, end_ms: int, max_chars: int) -> None:
        """Add a piece; the first one begins a turn."""
        if not self.text:
            self.turns += 1
        self.text = (self.text + delta)[:max_chars]
        self.end_ms = end_ms

    def take(self) -> str:
        """End the turn; return its words."""
        text, self.text = self.text.strip(), ""
        return text


@dataclass(slots=True)
class Delegated:
    """The work that the voice model has given to the service's backend, in one session.

    Attributes:
        running: the backend's responses that go on, by delegation; None for one that nobody
            delegated.
        calls: its tool calls since it was last asked to go on.
    """

    running: dict[str | None, ResponseId] = field(default_factory=dict)
    calls: set[ToolCallId] = field(default_factory=set)

    def response_of(self, delegation_id: str | None) -> ResponseId:
        """Return the response that goes on for a delegation; its begin may have been lost."""
        made_up = ResponseId(f"delegated_{delegation_id}")
        return self.running.setdefault(delegation_id, made_up)
