"""The latest audio of one caller, bounded, whether a session was sent it or not.

Positions are milliseconds of the caller's audio since the answer; a session's own clock begins at
the position of the first piece that it was sent. 24 kHz 16-bit mono PCM. Loop's thread.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bridge.audio.levels import DEFAULT_MIN_SPEECH_MS, DEFAULT_THRESHOLD_DBFS, rms_dbfs
from bridge.realtime.events import (
    InputCleared,
    InputCommitted,
    InputTranscriptCompleted,
    InputTranscriptFailed,
    OutputItemAdded,
    ServerEvent,
    SessionUpdated,
    SpeechStarted,
)
from bridge.realtime.ids import ItemId

SENT_AT_ONCE_MS = 200
"""Kept audio goes out in pieces of this length: hundreds of 20 ms frames would fill the session's
write queue, which throws audio away when it is full."""


BEFORE_A_TURN_MS = 2_000
"""Of audio that a session has, and in which it heard no turn yet, so much is kept: it tells that a
turn began after the fact, by its prefix, its own delay and the network's. Ten seconds of each of
200 silent callers would be 96 MB."""


BEFORE_A_SOUND_MS = 300
"""A word begins softer than what is told from silence by level; the documented prefix of a turn."""


class Piece(NamedTuple):
    """Caller audio; ``ends_ms`` is its end's position."""

    audio: bytes
    ends_ms: float
    sent: bool


class KeptAudio:
    """What the caller said lately.

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
        self._turn_ms: float | None = None
        self._turn_committed = False
        self._turn_supposed = False
        self._turn_id: ItemId | None = None

    @property
    def session_ms(self) -> float:
        """Audio that the present session was sent, if all of it since its start was."""
        return self._now_ms - self._base_ms

    def add(self, audio: bytes, *, sent: bool) -> None:
        """Keep a piece."""
        self._now_ms += self._piece_ms
        self._pieces.append(Piece(audio, self._now_ms, sent))
        if self._turn_ms is None:
            while len(self._pieces) > self._before_a_turn and self._pieces[0].sent:
                self._pieces.popleft()

    def follow(self, event: ServerEvent) -> None:
        """Take what the present session tells of the caller's turns."""
        match event:
            case SpeechStarted():
                self._turn_id = event.item_id
                self.turn_began(event.audio_start_ms)
            case InputCommitted():
                self.turn_committed()
            case InputTranscriptCompleted() | InputTranscriptFailed():
                if event.item_id == self._turn_id:
                    self.turn_known()
            case OutputItemAdded():
                self.turn_known()  # the answer tells enough of it
            case InputCleared():
                self.turn_dropped()
            case SessionUpdated():
                self.turn_refuted()
            case _:
                pass

    def turn_began(self, session_ms: float) -> None:
        """Note where, by the session's clock, the caller began to speak."""
        self._turn_ms = self._base_ms + session_ms
        self._turn_committed = self._turn_supposed = False

    def turn_supposed(self, ms_ago: float) -> None:
        """Note that the caller seems to speak since ``ms_ago``, which the session did not tell."""
        if self._turn_ms is None:
            self._turn_ms = self._now_ms - ms_ago - BEFORE_A_SOUND_MS
            self._turn_supposed = True

    def turn_refuted(self) -> None:
        """Note that the session is there, and told of no turn: what was supposed was none."""
        if self._turn_supposed:
            self.turn_dropped()

    def turn_committed(self) -> None:
        """Note that the session has the caller's turn whole; nobody else knows what was said."""
        self._turn_committed = True

    def turn_known(self) -> None:
        """Note that what was said in the committed turn can be told without its audio."""
        if self._turn_committed:
            self._turn_ms = None

    def turn_dropped(self) -> None:
        """Note that there was no turn."""
        self._turn_ms = None
        self._turn_supposed = False

    def due(self, max_ms: int, *, resend_turn: bool) -> tuple[Piece, ...]:
        """Return what a new session is to be sent, oldest first, without a gap.

        Args:
            max_ms: of it, the latest.
            resend_turn: begin with the turn that is not known in words, though it was sent.
        """
        start_ms = next((p.ends_ms - self._piece_ms for p in self._pieces if not p.sent), None)
        if resend_turn and self._turn_ms is not None:
            start_ms = self._turn_ms if start_ms is None else min(start_ms, self._turn_ms)
        if start_ms is None:
            return ()
        earliest_ms = max(start_ms, self._now_ms - max_ms)
        return tuple(piece for piece in self._pieces if piece.ends_ms > earliest_ms)

    def begin_session(self, resent: Sequence[Piece]) -> None:
        """Note that a new session stands, and that it is sent ``resent`` first."""
        self._base_ms = self._now_ms - len(resent) * self._piece_ms
        if self._turn_ms is not None and self._turn_ms < self._base_ms:
            self._turn_ms = None
        self._pieces = deque(
            (Piece(p.audio, p.ends_ms, sent=True) for p in self._pieces), self._pieces.maxlen
        )


def holds_speech(pieces: Sequence[Piece]) -> bool:
    """Tell whether somebody speaks in these pieces, by level alone."""
    if not pieces:
        return False
    frames = np.frombuffer(b"".join(p.audio for p in pieces), dtype="<i2").reshape(len(pieces), -1)
    loud = int(np.count_nonzero(rms_dbfs(frames) >= DEFAULT_THRESHOLD_DBFS))
    return loud * frames.shape[1] / 24 >= DEFAULT_MIN_SPEECH_MS


def bundles(pieces: Sequence[Piece], piece_ms: int) -> tuple[bytes, ...]:
    """Join pieces into fewer, longer ones."""
    count = max(SENT_AT_ONCE_MS // piece_ms, 1)
    return tuple(
        b"".join(piece.audio for piece in pieces[start : start + count])
        for start in range(0, len(pieces), count)
    )
