"""The inputs of a call's core that its media path feeds: audio sent, sounds heard, audio played.

Past tense; frozen. Members of :data:`bridge.engine.inputs.Input`.
"""

from dataclasses import dataclass, field

from bridge.realtime.ids import ItemId


@dataclass(frozen=True, slots=True)
class AudioLost:
    """A piece of the agent's voice came that could not be decoded."""


@dataclass(frozen=True, slots=True)
class AudioAppended:
    """Caller audio went out to the session.

    Attributes:
        total_ms: audio sent in this session so far, this piece included (the server's clock for
            ``audio_start_ms`` and ``audio_end_ms``).
        captured_ns: when PJSIP handed over the piece's last sample, monotonic.
        pieces: appends that this stands for: the runner feeds only the last one before something
            else happens. 0: what was kept for a new session, and sent to it at once.
    """

    total_ms: float
    captured_ns: int
    pieces: int = 1


@dataclass(frozen=True, slots=True)
class LastSoundSent:
    """The end of a sound of the caller's is on its way to the session.

    Attributes:
        at_ns: the end of its last loud frame, as it came into the rx ring.
        handed_ns: the append that holds it was handed to the session.
        written_ns: the socket had taken that append.
    """

    at_ns: int
    handed_ns: int
    written_ns: int


@dataclass(frozen=True, slots=True)
class PlayedItem:
    """How much of one content part PJSIP really took from the tx ring.

    Attributes:
        played_ms: 8 kHz samples taken, as milliseconds.
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
        taken_ns: PJSIP took it, by its clock; likewise. Times do not tell one beginning from
            another, so they don't count in comparisons.
    """

    item_id: ItemId
    content_index: int
    laid_ns: int | None = field(default=None, compare=False)
    taken_ns: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class PlayoutDrained:
    """PJSIP took the last sample of all that was queued."""


@dataclass(frozen=True, slots=True)
class PlayoutFlushed:
    """The playout was silenced; what had been heard of each part not yet fully played."""

    parts: tuple[PlayedItem, ...]


@dataclass(frozen=True, slots=True)
class SoundStarted:
    """The caller's channel is louder than silence, and than the agent's echo would be.

    Attributes:
        at_ns: monotonic time of its first loud frame, before it was confirmed.
    """

    at_ns: int


@dataclass(frozen=True, slots=True)
class SoundLasted:
    """A sound has become as long as one of the lengths that the policy asks about.

    Attributes:
        lasted_ms: from its first loud frame to its latest, by the audio clock.
    """

    at_ns: int
    lasted_ms: int


@dataclass(frozen=True, slots=True)
class SoundStopped:
    """A sound is over; ``at_ns`` is the end of its last loud frame."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class ProcessStopped:
    """The process did not run for ``ms`` until now (SIGSTOP, a VM's pause); no line had audio."""

    ms: int


@dataclass(frozen=True, slots=True)
class AudioStopped:
    """PJSIP's audio clock has stood still for ``ms``, and nobody can make it go on."""

    ms: int


REMEMBERED_PARTS = 64
"""Parts whose heard time stays queryable: an answer has one or two, so dozens of turns."""
