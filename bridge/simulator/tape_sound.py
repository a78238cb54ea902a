"""The sound that a tape lacks: its items' words, spoken anew and as long as they were."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from bridge.realtime.session_config import AudioFormat
from bridge.simulator.formats import encode_speech
from bridge.simulator.tape import TapeEvent
from bridge.speech.synthesis import DEFAULT_VOICE, Synthesizer

_WORDS_PER_MINUTE = 175
_SLOWEST, _FASTEST = 110, 300
"""Beyond these, words are hard to make out."""


class TapeSound:
    """The speech of a tape's items, rendered once; each play takes it from its begin.

    Args:
        events: of all its sessions.

    Raises:
        InfrastructureError: espeak-ng could not be started.
    """

    def __init__(self, events: Iterable[TapeEvent]) -> None:
        sizes, self._words = _told(events)
        self._speech = {
            item_id: _speak(self._words.get(item_id, ""), size) for item_id, size in sizes.items()
        }

    def begin(self) -> "TapeSoundReader":
        """Return what gives the items' speech from their begin."""
        return TapeSoundReader(self._speech)


class TapeSoundReader:
    """Gives items' speech piece by piece.

    Args:
        speech: of each item, 24 kHz 16-bit PCM.
    """

    def __init__(self, speech: Mapping[str, bytes]) -> None:
        self._speech = speech
        self._given: dict[str, int] = defaultdict(int)

    def take(self, item_id: str, size_bytes: int) -> bytes:
        """Return the next piece; past its end it is silence."""
        begin = self._given[item_id]
        self._given[item_id] += size_bytes
        found = self._speech.get(item_id, b"")[begin : begin + size_bytes]
        return found.ljust(size_bytes, b"\0")


def _told(events: Iterable[TapeEvent]) -> tuple[dict[str, int], dict[str, str]]:
    """Return the items' bytes of audio, and their words."""
    sizes: dict[str, int] = defaultdict(int)
    pieces: dict[str, str] = defaultdict(str)
    wholes: dict[str, str] = {}
    for event in events:
        item_id = str(event.raw.get("item_id"))
        if event.is_sent:
            continue
        if event.type.endswith("audio_transcript.delta"):
            pieces[item_id] += str(event.raw.get("delta", ""))
        elif event.type.endswith("audio_transcript.done"):
            wholes[item_id] = str(event.raw.get("transcript", ""))
        elif event.type.endswith("audio.delta"):
            sizes[item_id] += _size(event.raw.get("delta"))
    return dict(sizes), {**pieces, **wholes}


def _size(audio: JsonValue) -> int:
    size = audio.get("bytes") if isinstance(audio, dict) else None
    return size if isinstance(size, int) else 0


def _speak(words: str, size_bytes: int) -> bytes:
    """Speak as fast as it takes to be done by then."""
    if not words.strip():
        return b""
    spoken = _render(words, _WORDS_PER_MINUTE)
    if not spoken:
        return b""
    fitting = round(_WORDS_PER_MINUTE * len(spoken) / max(size_bytes, 1))
    pace = min(max(fitting, _SLOWEST), _FASTEST)
    # A voice that is a little early is padded: only what would be cut, or drag, is spoken anew.
    return spoken if 0.85 * size_bytes <= len(spoken) <= size_bytes else _render(words, pace)


def _render(words: str, words_per_minute: int) -> bytes:
    speech = Synthesizer(DEFAULT_VOICE, words_per_minute).say(words)
    return encode_speech(AudioFormat.PCM_24KHZ, speech)
