"""A sound that bids the caller wait is no answer: verdicts leave it out, and mention it."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from bridge.audio.tones import find_tones
from bridge.replay.call.fillers import find_fillers, with_phrases
from bridge.replay.call.timeline import CallLog, Deed, Doing, HeardFiller, make_turns, voices
from bridge.replay.checks.call import judge
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.evidence.evidence import CallerEvidence, Evidence, GatewayEvent
from bridge.replay.results.call import CallOutcome
from bridge.replay.script import CallScript
from bridge.softphone.ear import HeardUtterance
from bridge.speech.recognition import HeardPiece
from bridge.speech.synthesis import Synthesizer

_HZ = 24_000
_TONE, _PHRASE = HeardFiller(2200, 2500, "tone"), HeardFiller(2200, 3400, "phrase")
_ASKED = Deed(0, Doing.SAY, "where", 500, 1000)
_ANSWER = HeardPiece("It arrives on Thursday.", 3600, 5000)


def _tone(ms: int, hz: float = 440.0) -> npt.NDArray[np.int16]:
    place = np.arange(_HZ * ms // 1000)
    return (2600 * np.sin(2 * math.pi * hz * place / _HZ)).astype(np.int16)


def _log(*utterances: HeardUtterance, fillers: tuple[HeardFiller, ...] = ()) -> CallLog:
    return CallLog((_ASKED,), utterances, (_ANSWER,), True, 9000, False, fillers=fillers)


def _judged(log: CallLog, **expect: object) -> Check:
    script = CallScript.model_validate(
        {
            "schema": "callscript/v1",
            "id": "test",
            "hears": ["It arrives on Thursday."],
            "caller": [{"say": "where", "expect": expect}],
            "end": {"by": "anyone"},
        }
    )
    side = CallerEvidence(CallOutcome.ANSWERED, 200, "id", log=log)
    (check,) = judge(script, Evidence("r", "ga", "ga", side))
    return check


@pytest.mark.parametrize("filler", [_TONE, _PHRASE], ids=["tone", "phrase"])
def test_thinking_of_2600_ms_passes_no_limit_of_2500_by_its_filler(filler: HeardFiller) -> None:
    log = _log(HeardUtterance(2200, filler.end_ms), HeardUtterance(3600, 5000), fillers=(filler,))
    check = _judged(log, within_ms=2500)

    assert check.status is CheckStatus.FAIL
    assert check.found == f"it took 2600 ms (a waiting {filler.kind} was heard after 1200 ms)"
    assert _judged(log, within_ms=2600).status is CheckStatus.PASS


def test_an_answer_that_follows_its_tone_at_once_begins_where_the_tone_ends() -> None:
    log = _log(HeardUtterance(2200, 5000), fillers=(_TONE,))

    assert voices(log) == [HeardUtterance(2500, 5000)]
    assert _judged(log, within_ms=1500).found.startswith("it took 1500 ms")


def test_a_tone_alone_is_no_answer_and_no_greeting() -> None:
    log = replace(_log(HeardUtterance(2200, 2500), fillers=(_TONE,)), pieces=())
    check = _judged(log, within_ms=9000)

    assert check.status is CheckStatus.FAIL
    assert check.found == "it was not heard (a waiting tone was heard after 1200 ms)"


def test_a_greeting_is_no_tone() -> None:
    log = _log(
        HeardUtterance(400, 700),
        HeardUtterance(3000, 5000),
        fillers=(HeardFiller(400, 700, "tone"),),
    )
    listens = replace(log, deeds=(Deed(0, Doing.LISTEN, "", 0, 0),))
    script = CallScript.model_validate(
        {
            "schema": "callscript/v1",
            "id": "test",
            "caller": [{"expect": {"greeting_within_ms": 2500}}],
            "end": {"by": "anyone"},
        }
    )
    side = CallerEvidence(CallOutcome.ANSWERED, 200, "id", log=listens)
    (check,) = judge(script, Evidence("r", "ga", "ga", side))

    assert check.status is CheckStatus.FAIL
    assert check.found == "it took 3000 ms (a waiting tone was heard after 400 ms)"


def test_a_turns_latency_is_that_of_its_words() -> None:
    filler = HeardPiece("One moment, please.", 2250, 3300)
    log = replace(_log(HeardUtterance(2200, 5000), fillers=(_PHRASE,)), pieces=(filler, _ANSWER))

    assert [turn.latency_ms for turn in make_turns(log) if turn.speaker == "agent"] == [2600]


def test_a_tone_is_found_by_ear_beside_speech_and_is_not_left_for_the_recogniser() -> None:
    speech = Synthesizer().say("Your order was shipped on Monday.")
    audio = np.concatenate([np.zeros(_HZ, np.int16), _tone(300), speech])
    fillers, voice = find_fillers(audio, [HeardUtterance(1000, 1300 + speech.size * 1000 // _HZ)])

    (tone,) = fillers
    assert tone.start_ms == pytest.approx(1000, abs=40)
    assert tone.end_ms == pytest.approx(1300, abs=40)
    assert not voice[_HZ + _HZ // 20 : _HZ * 125 // 100].any()
    assert np.array_equal(voice[-speech.size // 2 :], audio[-speech.size // 2 :])


def test_the_pause_between_a_tone_and_an_answer_belongs_to_the_tone() -> None:
    speech = Synthesizer().say("Your order was shipped on Monday.")
    pause = np.zeros(_HZ * 200 // 1000, np.int16)
    audio = np.concatenate([np.zeros(_HZ, np.int16), _tone(300), pause, speech])
    heard = HeardUtterance(1000, audio.size * 1000 // _HZ)
    (tone,), _ = find_fillers(audio, [heard])

    assert 1480 <= tone.end_ms <= 1620


@pytest.mark.parametrize("voice", ["en-us", "en-us+f3", "en-gb-x-rp"])
def test_no_voice_is_a_tone(voice: str) -> None:
    said = Synthesizer(voice).say("Mmm, hmm. Who knew? The moon in June is new, too. Ooh, no!")
    assert find_tones(said, _HZ) == []


def test_a_phrase_that_the_gateway_played_as_a_filler_is_none_of_the_answer() -> None:
    log = replace(
        _log(HeardUtterance(2200, 3300), HeardUtterance(3600, 5000)),
        pieces=(HeardPiece(None, 2200, 3300), _ANSWER),
    )
    side = CallerEvidence(CallOutcome.ANSWERED, 200, "id", log=log)
    events = (GatewayEvent(2150, "filler", {"ms": "1200"}), GatewayEvent(2150, "phrase", {}))
    found = with_phrases(side, events).log

    assert found is not None
    assert found.fillers == (HeardFiller(2200, 3400, "phrase"),)
    assert [piece.text for piece in found.pieces] == ["It arrives on Thursday."]
    assert with_phrases(side, events[1:]).log == log


def test_a_tone_that_was_heard_is_not_taken_for_a_phrase_too() -> None:
    log = _log(HeardUtterance(2200, 2500), HeardUtterance(3600, 5000), fillers=(_TONE,))
    side = CallerEvidence(CallOutcome.ANSWERED, 200, "id", log=log)
    found = with_phrases(side, (GatewayEvent(2150, "filler", {"ms": "300"}),)).log

    assert found is not None
    assert found.fillers == (_TONE,)
