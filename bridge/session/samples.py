"""Whole 16-bit samples out of audio deltas that were cut anywhere. Pure."""

from dataclasses import replace

from bridge.realtime.events import AudioDelta
from bridge.realtime.ids import ItemId


class WholeSamples:
    """Carries the half sample at the end of one delta over to the next one of its part.

    A proxy that cuts the stream anew cuts it at any byte. Taken as they come, all samples behind an
    odd cut would be noise.
    """

    def __init__(self) -> None:
        self._part: tuple[ItemId, int] | None = None
        self._half = b""

    def whole(self, delta: AudioDelta) -> AudioDelta:
        """Return the delta with what was carried over, less what is now."""
        if not self._half and len(delta.audio) % 2 == 0:
            return delta
        part = (delta.item_id, delta.content_index)
        audio = self._half + delta.audio if part == self._part else delta.audio
        end = len(audio) & ~1
        self._part, self._half = part, audio[end:]
        return replace(delta, audio=audio[:end])
