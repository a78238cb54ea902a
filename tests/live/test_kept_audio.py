"""What of the caller's audio a new session is sent."""

import numpy as np

from bridge.live.kept_audio import (
    BEFORE_A_SOUND_MS,
    BEFORE_A_TURN_MS,
    SUPPOSED_MS,
    KeptAudio,
    bundles,
    holds_speech,
)
from bridge.realtime.events import SessionUpdated, SpeechStarted
from bridge.realtime.ids import ItemId
from bridge.realtime.session_config import AudioFormat, SessionInfo

PIECE = bytes(960)
PCM = AudioFormat.PCM_24KHZ
LOUD = (np.ones(480) * 5_000).astype("<i2").tobytes()
ITEM, OTHER = ItemId("item_1"), ItemId("item_0")
THERE = SessionUpdated(SessionInfo("sess_1"))


def kept(sent_pieces: int, unsent_pieces: int, max_ms: int = 10_000) -> KeptAudio:
    audio = KeptAudio(20, max_ms)
    audio.begin_session(())
    add(audio, sent_pieces, sent=True)
    add(audio, unsent_pieces, sent=False)
    return audio


def add(audio: KeptAudio, pieces: int, *, sent: bool) -> None:
    for _ in range(pieces):
        audio.add(PIECE, PCM, sent=sent)


def turn(audio: KeptAudio, begin_ms: int, item_id: ItemId = ITEM) -> None:
    """Have the session tell a turn, and the core that it is unheard."""
    audio.follow(SpeechStarted(item_id, begin_ms))
    audio.keep_from(item_id)


def due(audio: KeptAudio, max_ms: int = 10_000) -> int:
    return len(audio.due(max_ms))


def test_only_what_no_session_was_sent_is_due() -> None:
    assert due(kept(50, 10)) == 10
    assert due(kept(50, 0)) == 0


def test_unheard_turn_is_sent_from_its_beginning() -> None:
    audio = kept(50, 10)
    turn(audio, 600)
    assert due(audio) == 30
    turn(audio, 900, OTHER)
    audio.keep_from(ITEM)
    assert due(audio) == 30
    audio.keep_from(OTHER)
    assert due(audio) == 15
    audio.keep_from(None)
    assert due(audio) == 10


def test_turn_whose_begin_was_never_told_keeps_nothing() -> None:
    audio = kept(50, 0)
    audio.keep_from(ITEM)
    assert due(audio) == 0


def test_speech_of_which_the_session_told_nothing_is_sent_again() -> None:
    audio = kept(50, 0)
    audio.suppose_turn(400)
    assert due(audio) == (400 + BEFORE_A_SOUND_MS) // 20


def test_speech_of_which_a_live_session_tells_nothing_is_none() -> None:
    audio = kept(50, 0)
    audio.suppose_turn(400)
    audio.follow(THERE)
    assert due(audio) == 0
    audio.suppose_turn(400)
    add(audio, SUPPOSED_MS // 20, sent=True)
    assert due(audio) > 0
    add(audio, 1, sent=True)
    assert due(audio) == 0


def test_session_that_tells_of_the_turn_knows_better_where_it_began() -> None:
    audio = kept(50, 0)
    audio.suppose_turn(400)
    turn(audio, 800)
    audio.follow(THERE)
    assert due(audio) == 10


def test_latest_audio_is_kept_where_there_is_more() -> None:
    assert due(kept(0, 1_000)) == 500
    assert due(kept(0, 100), 400) == 20


def test_session_clock_begins_with_the_first_piece_that_it_is_sent() -> None:
    audio = kept(50, 10)
    audio.begin_session(audio.due(10_000))
    assert audio.session_ms == 200
    audio.add(PIECE, PCM, sent=True)
    assert audio.session_ms == 220
    turn(audio, 180)  # by the new session's clock
    audio.add(PIECE, PCM, sent=False)
    assert due(audio) == 3


def test_what_a_session_was_sent_at_its_begin_stays_kept_until_it_tells_a_turn_of_it() -> None:
    audio = kept(100, 10)
    turn(audio, 1_000)
    audio.begin_session(audio.due(10_000))
    assert due(audio) == 60
    add(audio, 300, sent=True)
    assert due(audio) == 360
    audio.begin_session(audio.due(10_000))
    turn(audio, 200)
    assert due(audio) == 350


def test_speech_is_told_from_silence_by_level() -> None:
    audio = KeptAudio(20, 10_000)
    audio.begin_session(())
    add(audio, 10, sent=False)
    assert not holds_speech(audio.unsent)
    for _ in range(3):
        audio.add(LOUD, PCM, sent=False)
    assert holds_speech(audio.unsent)
    assert not holds_speech(())


def test_kept_audio_goes_out_in_few_pieces() -> None:
    pieces = kept(0, 25).due(10_000)
    assert [len(audio) for audio in bundles(pieces, 20, PCM)] == [9_600, 9_600, 4_800]


def test_of_a_silent_caller_only_what_a_turn_may_begin_with_is_kept() -> None:
    audio = kept(1_000, 10)
    turn(audio, 0)
    seconds_before = (due(audio) - 10) * 0.02
    assert seconds_before == BEFORE_A_TURN_MS / 1000 - 0.2  # the unsent ones took their place


def test_what_one_arm_heard_goes_to_another_in_its_format() -> None:
    audio = KeptAudio(20, 10_000)
    audio.begin_session(())
    audio.add(LOUD, PCM, sent=False)
    audio.add(bytes([0x80]) * 160, AudioFormat.PCMU, sent=False)
    assert [len(each) for each in bundles(audio.due(10_000), 20, AudioFormat.PCMA)] == [320]
    assert [len(each) for each in bundles(audio.due(10_000), 20, PCM)] == [1_920]
    assert [each.audio_format for each in audio.due(10_000)] == [PCM, AudioFormat.PCMU]
