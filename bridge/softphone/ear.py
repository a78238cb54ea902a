"""The caller's ear: keeps the received audio, and finds the agent's speech in it.

Pure: its clock is the audio that it was fed. Times are ms since the first piece.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bridge.audio.levels import SpeechGate, Started, find_speech
from bridge.audio.tones import find_tones
from bridge.softphone.events import AgentSpeech

EAR_HZ = 24_000
PIECE_MS = SpeechGate.FRAME_MS

_DISTINGUISHES_MS = 160
"""Of a sound that goes on, before it is taken for a voice: a tone is found in 100 ms of itself."""
_TONE_AT_MS = 60
"""It fades in, so that it is loud before it is a tone."""
_FAR_MS = 1_000
"""A tone that bids a caller wait is over by then, and the voice behind it has begun."""


@dataclass(slots=True)
class HeardUtterance:
    """A stretch in which the agent was heard; pauses under 300 ms belong to it.

    Attributes:
        end_ms: None while it goes on.
        cut: the call ended before the agent had fallen silent, so ``end_ms`` is not the agent's.
    """

    start_ms: int
    end_ms: int | None = None
    cut: bool = False

    def goes_beyond(self, at_ms: int) -> bool:
        """Return whether the agent was still heard after ``at_ms``."""
        return self.end_ms is None or self.end_ms > at_ms


class Ear:
    """Listens to one call.

    Attributes:
        utterances: the agent's, in order; only the last one can be going on.
        heard_ms: audio fed so far.
    """

    def __init__(self) -> None:
        self.utterances: list[HeardUtterance] = []
        self.heard_ms = 0
        self._gate = SpeechGate(EAR_HZ)
        self._pieces: list[npt.NDArray[np.int16]] = []

    @property
    def audio(self) -> npt.NDArray[np.int16]:
        """All that was heard, (n,) int16 at 24 kHz."""
        return np.concatenate(self._pieces) if self._pieces else np.zeros(0, dtype=np.int16)

    @property
    def speaking(self) -> HeardUtterance | None:
        """What the agent is saying now, None in silence."""
        last = self.utterances[-1] if self.utterances else None
        return last if last is not None and last.end_ms is None else None

    @property
    def quiet_ms(self) -> int:
        """How long the agent has not been heard; 0 while it speaks."""
        if self.speaking is not None:
            return 0
        ends = self.utterances[-1].end_ms if self.utterances else 0
        return self.heard_ms - (ends or 0)

    def feed(self, piece: npt.NDArray[np.int16]) -> AgentSpeech | None:
        """Take the next 20 ms, (480,) int16 at 24 kHz; return whether the agent began or ceased."""
        self._pieces.append(piece)
        self.heard_ms += PIECE_MS
        change = self._gate.feed(piece)
        if change is None:
            return None
        at_ms = change.at_samples * 1000 // EAR_HZ
        started = isinstance(change, Started)
        if started:
            self.utterances.append(HeardUtterance(at_ms))
        else:
            self.utterances[-1].end_ms = at_ms
        return AgentSpeech(started, at_ms)

    def first_after(self, at_ms: int) -> HeardUtterance | None:
        """Return the first utterance of which something was heard after ``at_ms``."""
        return next((each for each in self.utterances if each.goes_beyond(at_ms)), None)

    def voice_after(self, at_ms: int) -> int | None:
        """Return when the first voice began of which something was heard after ``at_ms``.

        A tone that bids a caller wait is no voice; one that leads over to a voice begins none.
        """
        heard = (each for each in self.utterances if each.goes_beyond(at_ms))
        return next((at for each in heard if (at := self._voice_in(each)) is not None), None)

    def _voice_in(self, utterance: HeardUtterance) -> int | None:
        start_ms = utterance.start_ms
        end_ms = self.heard_ms if utterance.end_ms is None else utterance.end_ms
        if utterance.end_ms is None and end_ms - start_ms < _DISTINGUISHES_MS:
            return None
        last_ms = min(end_ms, start_ms + _FAR_MS)
        pieces = self._pieces[start_ms // PIECE_MS : last_ms // PIECE_MS]
        sound = np.concatenate(pieces)
        tones = find_tones(sound, EAR_HZ)
        if not tones or tones[0][0] > _TONE_AT_MS:
            return start_ms
        behind_ms = tones[0][1]
        voice = find_speech(sound[behind_ms * EAR_HZ // 1000 :], EAR_HZ)
        return start_ms + behind_ms + voice[0][0] * 1000 // EAR_HZ if voice else None

    def close(self) -> AgentSpeech | None:
        """End the call here: what the agent is saying is cut."""
        last = self.speaking
        stopped = self._gate.flush()
        if last is None or stopped is None:
            return None
        last.end_ms, last.cut = stopped.at_samples * 1000 // EAR_HZ, True
        return AgentSpeech(started=False, at_ms=last.end_ms)
