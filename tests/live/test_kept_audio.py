"""What of the caller's audio a new session is sent."""

import numpy as np

from bridge.live.kept_audio import (
    BEFORE_A_SOUND_MS,
    BEFORE_A_TURN_MS,
    KeptAudio,
    bundles,
    holds_speech,
)
from bridge.realtime.events import (
    ApiError,
    InputCleared,
    InputCommitted,
    InputTranscriptCompleted,
    InputTranscriptFailed,
    SpeechStarted,
)
from bridge.realtime.ids import ItemId

PIECE = bytes(960)
LOUD = (np.ones(480) * 5_000).astype("<i2").tobytes()


def kept(sent_pieces: int, unsent_pieces: int, max_ms: int = 10_000) -> KeptAudio:
    audio = KeptAudio(20, max_ms)
    audio.begin_session(())
    for number in range(sent_pieces + unsent_pieces):
        audio.add(PIECE, sent=number < sent_pieces)
    return audio


def test_only_what_no_session_was_sent_is_due() -> None:
    assert len(kept(50, 10).due(10_000, resend_turn=True)) == 10
    assert kept(50, 0).due(10_000, resend_turn=True) == ()


def test_turn_that_was_cut_is_sent_from_its_beginning() -> None:
    audio = kept(50, 10)
    audio.turn_began(600)
    assert len(audio.due(10_000, resend_turn=True)) == 30
    assert len(audio.due(10_000, resend_turn=False)) == 10
    audio.turn_committed()
    assert len(audio.due(1_000, resend_turn=True)) > 0
    audio.turn_known()
    assert len(audio.due(10_000, resend_turn=True)) == 10


def test_turn_is_kept_until_its_own_words_are_known() -> None:
    audio, item_id, other = kept(50, 0), ItemId("item_1"), ItemId("item_0")
    audio.follow(SpeechStarted(item_id, 600))
    audio.follow(InputTranscriptCompleted(item_id, 0, "half of it"))  # it goes on
    audio.follow(InputCommitted(item_id))
    audio.follow(InputTranscriptCompleted(other, 0, "the turn before"))
    assert len(audio.due(10_000, resend_turn=True)) == 20
    audio.follow(InputTranscriptFailed(item_id, 0, ApiError("server_error", "not heard")))
    assert audio.due(10_000, resend_turn=True) == ()


def test_turn_that_the_session_threw_away_is_none() -> None:
    audio = kept(50, 0)
    audio.follow(SpeechStarted(ItemId("item_1"), 600))
    audio.follow(InputCleared())
    assert audio.due(10_000, resend_turn=True) == ()


def test_speech_of_which_the_session_told_nothing_is_sent_again() -> None:
    audio = kept(50, 0)
    audio.turn_supposed(400)
    assert len(audio.due(10_000, resend_turn=True)) == (400 + BEFORE_A_SOUND_MS) // 20


def test_speech_of_which_a_live_session_tells_nothing_is_none() -> None:
    audio = kept(50, 0)
    audio.turn_supposed(400)
    audio.turn_refuted()
    assert audio.due(10_000, resend_turn=True) == ()


def test_session_that_tells_of_the_turn_knows_better_where_it_began() -> None:
    audio = kept(50, 0)
    audio.turn_supposed(400)
    audio.turn_began(800)
    audio.turn_refuted()
    assert len(audio.due(10_000, resend_turn=True)) == 10
    audio.turn_supposed(600)
    assert len(audio.due(10_000, resend_turn=True)) == 10


def test_latest_audio_is_kept_where_there_is_more() -> None:
    assert len(kept(0, 1_000).due(10_000, resend_turn=True)) == 500
    assert len(kept(0, 100).due(400, resend_turn=True)) == 20


def test_session_clock_begins_with_the_first_piece_that_it_is_sent() -> None:
    audio = kept(50, 10)
    audio.begin_session(audio.due(10_000, resend_turn=True))
    assert audio.session_ms == 200
    audio.add(PIECE, sent=True)
    assert audio.session_ms == 220
    audio.turn_began(180)  # by the new session's clock
    audio.add(PIECE, sent=False)
    assert len(audio.due(10_000, resend_turn=True)) == 3


def test_speech_is_told_from_silence_by_level() -> None:
    audio = KeptAudio(20, 10_000)
    audio.begin_session(())
    for _ in range(10):
        audio.add(PIECE, sent=False)
    assert not holds_speech(audio.due(10_000, resend_turn=False))
    for _ in range(3):
        audio.add(LOUD, sent=False)
    assert holds_speech(audio.due(10_000, resend_turn=False))
    assert not holds_speech(())


def test_kept_audio_goes_out_in_few_pieces() -> None:
    pieces = kept(0, 25).due(10_000, resend_turn=False)
    assert [len(audio) for audio in bundles(pieces, 20)] == [9_600, 9_600, 4_800]


def test_of_a_silent_caller_only_what_a_turn_may_begin_with_is_kept() -> None:
    audio = kept(1_000, 10)
    audio.turn_began(0)
    seconds_before = (len(audio.due(10_000, resend_turn=True)) - 10) * 0.02
    assert seconds_before == BEFORE_A_TURN_MS / 1000 - 0.2  # the unsent ones took their place
