"""The timeline of a GPT-Live session: input and output, tick by tick, and what is placed on it.

Pure (`PROTOCOL.md` section 11). A tick is 100 ms of input and one piece of output; two of them are
a frame, at whose end transcripts and acknowledgements come. Nothing moves while no input comes.
"""

import base64
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.simulator.conversation import spread
from bridge.simulator.faults import Moment
from bridge.simulator.formats import WireFormat
from bridge.simulator.gpt_live.track import TICK_MS, SpeechTrack, TrackPiece, written
from bridge.simulator.listening import Idle, InputBuffer, Onset, SpeechPause
from bridge.simulator.refusal import refuse
from bridge.simulator.wire import WireObject

FRAME_MS = 200
"""The grid of transcripts and acknowledgements, as captured."""

MOST_WAITING = 1024
"""Contexts that may wait while no input comes; the service's own bound is not known."""

_BEFORE_SPEECH_MS, _AFTER_SPEECH_MS = 300, 500
"""What the detection of turns adds to speech on either side."""


@dataclass(frozen=True, slots=True)
class Context:
    """Text that waits for its place on the timeline.

    Attributes:
        channel: ``instructions``, ``thinking`` or ``commentary``.
        event_id: the client's own.
    """

    channel: str
    content: str
    delegation_id: str | None
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event that is due, without an ``event_id``, and the moments that it is for faults."""

    kind: str
    fields: WireObject
    moments: frozenset[Moment] = frozenset()


Step = Onset | SpeechPause | Context | Outgoing
"""What a tick brings: the caller begins, or pauses; a context has its place; an event is due."""


class Timeline:
    """The timeline of one session.

    Args:
        audio_format: of both ways.
        overrun_ms: asked when the caller begins: how long the agent goes on talking.

    Attributes:
        muted: whether the model hears silence in place of the input.
    """

    def __init__(self, audio_format: WireFormat, overrun_ms: Callable[[], int]) -> None:
        self._format = audio_format
        self._overrun_ms = overrun_ms
        self._tick_samples = TICK_MS * audio_format.rate_hz // 1000
        self._waiting = np.zeros(0, np.int16)
        self._input = InputBuffer(audio_format.rate_hz, None)
        self._track = SpeechTrack(audio_format)
        self._contexts: list[Context] = []
        self._words = ""
        self._caller_speaks = False
        self._ticks = 0
        self.muted = False

    @property
    def now_ms(self) -> int:
        """How far the timeline has come."""
        return self._ticks * TICK_MS

    @property
    def frame_ms(self) -> int:
        """Where the present frame begins."""
        return self.now_ms // FRAME_MS * FRAME_MS

    @property
    def seconds(self) -> int:
        """The usage so far: whole seconds, as captured, and every one begun counts."""
        return math.ceil(self.now_ms / 1000)

    def say(self, text: str, audio: bytes) -> None:
        """Have the agent say something, once what it says now is over and the caller is silent."""
        self._track.say(audio, spread(text, len(audio) / self._format.bytes_per_ms))

    def place(self, context: Context) -> None:
        """Put a context on the timeline, at the end of a frame.

        Raises:
            EventRefused: too many wait already.
        """
        if len(self._contexts) >= MOST_WAITING:
            what = f"{MOST_WAITING} contexts wait for their place already."
            raise refuse("rate_limit_exceeded", what)
        self._contexts.append(context)

    def unplaced(self) -> list[Context]:
        """Take what will never have its place."""
        contexts, self._contexts = self._contexts, []
        return contexts

    def feed(self, samples: NDArray[np.int16]) -> Iterator[Step]:
        """Take input and yield what it brings.

        Args:
            samples: (n,) int16 at the format's rate.
        """
        waiting = np.concatenate([self._waiting, samples])
        whole = waiting.size - waiting.size % self._tick_samples
        self._waiting = waiting[whole:]
        for tick in waiting[:whole].reshape(-1, self._tick_samples):
            yield from self._tick(np.zeros_like(tick) if self.muted else tick)

    def heard_words(self, pause: SpeechPause, text: str) -> Iterator[Outgoing]:
        """Yield the transcript of a turn: its words by the frames in which they were said.

        A real service transcribes as it hears; this one has the words once the turn is over.
        """
        begin_ms = pause.end_ms - pause.audio.size * 1000 / self._format.rate_hz
        begin_ms += _BEFORE_SPEECH_MS
        length_ms = max(pause.end_ms - _AFTER_SPEECH_MS - begin_ms, FRAME_MS)
        by_frame: dict[int, str] = {}
        for place, word in enumerate(spread(text, length_ms)):
            frame = int(begin_ms + word.end_ms) // FRAME_MS * FRAME_MS
            by_frame[frame] = by_frame.get(frame, "") + written(word.text, place)
        for frame, delta in by_frame.items():
            yield self._transcript("input", delta, frame)

    def _tick(self, samples: NDArray[np.int16]) -> Iterator[Step]:
        moments: set[Moment] = set()
        for event in self._input.feed(samples):
            match event:
                case Onset():
                    self._caller_speaks = True
                    self._track.stop(self._overrun_ms())
                    moments.add(Moment.SPEECH)
                    yield event
                case SpeechPause():
                    self._caller_speaks = False
                    moments.add(Moment.SPEECH_END)
                    yield event
                case Idle():
                    raise AssertionError("nobody asked for an idle time")
        piece = self._track.next_piece(hold=self._caller_speaks)
        self._words += "".join(piece.words)
        self._ticks += 1
        yield self._audio(piece, moments)
        if self.now_ms % FRAME_MS == 0:
            yield from self._end_frame()

    def _end_frame(self) -> Iterator[Step]:
        start_ms = self.now_ms - FRAME_MS
        for context in self.unplaced():
            when: WireObject = {"start_ms": start_ms, "end_ms": self.now_ms}
            answer: WireObject = {"client_event_id": context.event_id, **when}
            yield Outgoing(f"session.{context.channel}.appended", answer)
            yield context
        words, self._words = self._words, ""
        if words:
            yield self._transcript("output", words, start_ms)

    def _transcript(self, side: str, delta: str, start_ms: int) -> Outgoing:
        fields: WireObject = {"start_ms": start_ms, "end_ms": start_ms + FRAME_MS, "delta": delta}
        return Outgoing(f"session.{side}_transcript.delta", fields)

    def _audio(self, piece: TrackPiece, moments: set[Moment]) -> Outgoing:
        heard = {
            Moment.TURN: piece.first,
            Moment.AUDIO: piece.audible,
            Moment.DONE: piece.last,
        }
        moments.update(moment for moment, holds in heard.items() if holds)
        delta = base64.b64encode(piece.audio).decode()
        return Outgoing("session.output_audio.delta", {"delta": delta}, frozenset(moments))
