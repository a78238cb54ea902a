"""Keeps the latest audio of one caller, bounded, whether a session was sent it or not.

What was never sent is kept, and what was sent from the first turn on that another session would
have to hear: the call's core says which one that is (:class:`~bridge.engine.effects.KeepTurns`).

Positions are milliseconds of the caller's audio since the answer; a session's own clock begins at
the position of the first piece that it was sent. Pieces are kept in the format in which the arm of
that moment heard them, and sent in the present arm's. Loop's thread.
"""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bridge.audio.formats import converted, decode_samples
from bridge.audio.levels import DEFAULT_MIN_SPEECH_MS, DEFAULT_THRESHOLD_DBFS, rms_dbfs
from bridge.realtime.events import ServerEvent, SessionUpdated, SpeechStarted
from bridge.realtime.ids import ItemId
from bridge.realtime.session_config import AudioFormat

SENT_AT_ONCE_MS = 200
"""Kept audio goes out in pieces of this length: hundreds of 20 ms frames would fill the session's
write queue, which throws audio away when it is full."""


BEFORE_A_TURN_MS = 2_000
"""Of audio that a session has, and in which it heard no turn yet, so much is kept: it reports
a turn's begin after the fact, by its prefix, its own delay and the network's. Ten seconds of each
of 200 silent callers would be 96 MB."""


BEFORE_A_SOUND_MS = 300
"""A word begins softer than the level that counts as sound; the documented prefix of a turn."""

SUPPOSED_MS = 5_000
"""A sound of which the session reports no turn for so long was no speech."""

_TURNS = 16
"""Whose begin is known: far more than are unheard at once."""


class Piece(NamedTuple):
    """Caller audio; ``ends_ms`` is its end's position."""

    audio: bytes
    audio_format: AudioFormat
    ends_ms: float
    sent: bool


class KeptAudio:
    """The caller's latest audio, kept so that a new session can be sent it.

    Args:
        piece_ms: audio in one piece.
        max_ms: kept at most; the oldest goes.
    """

    def __init__(self, piece_ms: int, max_ms: int) -> None:
        self._piece_ms = piece_ms
        self._pieces: deque[Piece] = deque(maxlen=max(max_ms // piece_ms, 1))
        self._before_a_turn = BEFORE_A_TURN_MS // piece_ms
        self._now_ms = 0.0
        self._base_ms = 0.0
        self._turns_ms: dict[ItemId, float] = {}
        self._from_ms: float | None = None
        self._supposed_ms: float | None = None
        self._supposed_until_ms = 0.0

    @property
    def session_ms(self) -> float:
        """Audio that the present session was sent, if all of it since its start was."""
        return self._now_ms - self._base_ms

    @property
    def unsent(self) -> tuple[Piece, ...]:
        """What no session was sent, oldest first."""
        return tuple(piece for piece in self._pieces if not piece.sent)

    def add(self, audio: bytes, audio_format: AudioFormat, *, sent: bool) -> None:
        """Keep a piece."""
        self._now_ms += self._piece_ms
        self._pieces.append(Piece(audio, audio_format, self._now_ms, sent))
        if sent and self._now_ms > self._supposed_until_ms:
            self._supposed_ms = None
        if self._from_ms is None and self._supposed_ms is None:
            while len(self._pieces) > self._before_a_turn and self._pieces[0].sent:
                self._pieces.popleft()

    def follow(self, event: ServerEvent) -> None:
        """Take the begin of a turn of the caller's, or that a session is there and has no turn."""
        match event:
            case SpeechStarted():
                start_ms = event.audio_start_ms
                began_ms = self._now_ms - BEFORE_A_SOUND_MS
                if start_ms is not None:
                    began_ms = self._base_ms + start_ms
                self._turns_ms[event.item_id] = began_ms
                if len(self._turns_ms) > _TURNS:
                    del self._turns_ms[next(iter(self._turns_ms))]
            case SessionUpdated():
                self._supposed_ms = None
            case _:
                pass

    def suppose_turn(self, ms_ago: float) -> None:
        """Note that the caller seems to speak since ``ms_ago``, unreported by the session."""
        self._suppose(self._now_ms - ms_ago - BEFORE_A_SOUND_MS)

    def _suppose(self, from_ms: float) -> None:
        before_ms = from_ms if self._supposed_ms is None else self._supposed_ms
        self._supposed_ms = min(from_ms, before_ms)
        self._supposed_until_ms = self._now_ms + SUPPOSED_MS

    def keep_from(self, first: ItemId | None) -> None:
        """Keep what was sent from this turn on; None: nothing of it is needed any more."""
        if first is None:
            self._from_ms = None
        elif first in self._turns_ms:  # else nobody spoke in it: an idle timeout's
            self._from_ms, self._supposed_ms = self._turns_ms[first], None

    def due(self, max_ms: int) -> tuple[Piece, ...]:
        """Return what a new session is to be sent, oldest first, without a gap.

        Args:
            max_ms: of it, the latest.
        """
        unsent_ms = next((p.ends_ms - self._piece_ms for p in self._pieces if not p.sent), None)
        begins = [ms for ms in (self._from_ms, self._supposed_ms, unsent_ms) if ms is not None]
        if not begins:
            return ()
        earliest_ms = max(min(begins), self._now_ms - max_ms)
        return tuple(piece for piece in self._pieces if piece.ends_ms > earliest_ms)

    def begin_session(self, resent: Sequence[Piece]) -> None:
        """Note that a new session stands, and that it is sent ``resent`` first.

        All of it stays kept until that session reports its own turns.
        """
        self._base_ms = self._now_ms - len(resent) * self._piece_ms
        self._turns_ms.clear()
        if self._from_ms is not None:
            self._from_ms = self._base_ms
        self._supposed_ms = None
        if resent:
            self._suppose(self._base_ms)
        self._pieces = deque(
            (piece._replace(sent=True) for piece in self._pieces), self._pieces.maxlen
        )


def holds_speech(pieces: Sequence[Piece]) -> bool:
    """Return whether somebody speaks in these pieces, by level alone."""
    if not pieces:
        return False
    loud_ms = 0.0
    for audio_format, alike in _by_format(pieces):
        samples = decode_samples(audio_format, b"".join(piece.audio for piece in alike))
        frames = samples.reshape(len(alike), -1)
        loud = int(np.count_nonzero(rms_dbfs(frames) >= DEFAULT_THRESHOLD_DBFS))
        loud_ms += loud * frames.shape[1] * 1000 / audio_format.rate_hz
    return loud_ms >= DEFAULT_MIN_SPEECH_MS


def bundles(pieces: Sequence[Piece], piece_ms: int, audio_format: AudioFormat) -> tuple[bytes, ...]:
    """Join pieces into fewer, longer ones of this format."""
    count = max(SENT_AT_ONCE_MS // piece_ms, 1) * piece_ms * audio_format.bytes_per_ms
    audio = b"".join(
        converted(b"".join(piece.audio for piece in alike), of_arm, audio_format)
        for of_arm, alike in _by_format(pieces)
    )
    return tuple(audio[start : start + count] for start in range(0, len(audio), count))


def _by_format(pieces: Sequence[Piece]) -> Iterator[tuple[AudioFormat, list[Piece]]]:
    """Yield runs of pieces that have one format, each with it."""
    for audio_format, alike in itertools.groupby(pieces, key=lambda piece: piece.audio_format):
        yield audio_format, list(alike)
