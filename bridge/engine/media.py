"""The inputs of a call's core that its media path alone feeds: audio sent, lost and flushed.

Past tense; frozen. Members of :data:`bridge.engine.inputs.Input`. What was heard of the agent is in
:mod:`bridge.audio.ledger`, what the caller sounded like in :mod:`bridge.audio.sounds`.
"""

from dataclasses import dataclass

from bridge.audio.ledger import PlayedItem


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
class PlayoutFlushed:
    """The playout was silenced; what had been heard of each part not yet fully played."""

    parts: tuple[PlayedItem, ...]


@dataclass(frozen=True, slots=True)
class ProcessStopped:
    """The process did not run for ``ms`` until now (SIGSTOP, a VM's pause); no line had audio."""

    ms: int


@dataclass(frozen=True, slots=True)
class AudioStopped:
    """PJSIP's audio clock has stood still for ``ms``, and nobody can make it go on."""

    ms: int
