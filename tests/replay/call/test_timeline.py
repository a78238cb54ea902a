"""Turns and interruptions out of what was noted in a call."""

from bridge.replay.call.timeline import (
    CallLog,
    Deed,
    Doing,
    HeardInterruption,
    SpokenTurn,
    agent_heard_ms,
    make_interruptions,
    make_turns,
)
from bridge.softphone.ear import HeardUtterance
from bridge.speech.recognition import HeardPiece


def said(start_ms: int, end_ms: int, text: str = "words", step: int = 0) -> Deed:
    return Deed(step, Doing.SAY, text, start_ms, end_ms)


def interrupted(start_ms: int, end_ms: int, text: str = "wait", step: int = 1) -> Deed:
    return Deed(step, Doing.INTERRUPT, text, start_ms, end_ms)


def piece(start_ms: int, end_ms: int, text: str | None = "speech") -> HeardPiece:
    return HeardPiece(text, start_ms, end_ms)


def log(
    *deeds: Deed,
    pieces: tuple[HeardPiece, ...] = (),
    utterances: tuple[HeardUtterance, ...] = (),
    recognised: bool = True,
) -> CallLog:
    return CallLog(deeds, utterances, pieces, recognised, 60_000, ended_by_far_end=False)


def test_turns_come_in_the_order_of_time_with_latency_from_the_callers_last_word() -> None:
    pieces = (piece(300, 1200, "Hello."), piece(4100, 5000, "Yes."))

    assert make_turns(log(said(2000, 3000), pieces=pieces)) == (
        SpokenTurn("agent", "Hello.", 300, 1200, None),
        SpokenTurn("caller", "words", 2000, 3000, None),
        SpokenTurn("agent", "Yes.", 4100, 5000, 1100),
    )


def test_sentences_at_a_stretch_are_one_turn() -> None:
    pieces = (piece(0, 1000, "One."), piece(1300, 2000, None), piece(2300, 3000, "Three."))

    (turn,) = make_turns(log(pieces=pieces))
    assert turn == SpokenTurn("agent", "One. [?] Three.", 0, 3000, None)


def test_a_reprompt_after_a_long_pause_is_a_turn_of_its_own_without_latency() -> None:
    pieces = (piece(1500, 2000, "Yes."), piece(8000, 9000, "Are you there?"))

    turns = make_turns(log(said(0, 1000), pieces=pieces))
    assert [(turn.text, turn.latency_ms) for turn in turns[1:]] == [
        ("Yes.", 500),
        ("Are you there?", None),
    ]


def test_what_an_interrupted_agent_still_begins_belongs_to_its_old_turn() -> None:
    pieces = (
        piece(0, 2600, "Long."),
        piece(2700, 2900, None),
        piece(4500, 5000, "Sure."),
    )

    first, caller, second = make_turns(log(interrupted(2500, 4000), pieces=pieces))
    assert (first.text, first.end_ms) == ("Long. [?]", 2900)
    assert caller.speaker == "caller"
    assert (second.text, second.latency_ms) == ("Sure.", 500)


def test_an_agent_that_speaks_too_early_has_no_latency() -> None:
    turns = make_turns(log(said(1000, 3000), pieces=(piece(2500, 3500),)))

    assert turns[1].latency_ms is None


def test_latency_after_keys_counts_from_the_last_one() -> None:
    keys = Deed(1, Doing.DTMF, "1", 3000, 3300)

    turns = make_turns(log(said(0, 1000), keys, pieces=(piece(4000, 5000),)))
    assert [(turn.speaker, turn.latency_ms) for turn in turns] == [("caller", None), ("agent", 700)]


def test_without_a_recogniser_a_turn_has_no_text() -> None:
    (turn,) = make_turns(log(pieces=(piece(0, 100, None),), recognised=False))

    assert turn.text is None


def test_an_interruption_lasts_to_the_agents_last_sound() -> None:
    speech = (HeardUtterance(0, 900), HeardUtterance(2000, 4180))

    assert make_interruptions(log(said(0, 1), interrupted(4000, 5000), utterances=speech)) == (
        HeardInterruption("wait", 4000, 180),
    )


def test_an_interruption_of_silence_or_of_speech_to_the_calls_end_has_no_stop() -> None:
    for speech in (
        HeardUtterance(0, 3300),
        HeardUtterance(2000, 9000, cut=True),
        HeardUtterance(2000),
    ):
        (found,) = make_interruptions(log(interrupted(4000, 5000), utterances=(speech,)))
        assert found.stop_ms is None


def test_heard_time_is_the_sum_of_utterances() -> None:
    assert (
        agent_heard_ms([HeardUtterance(100, 300), HeardUtterance(500, 600), HeardUtterance(900)])
        == 300
    )


def test_an_interrupted_agent_that_had_just_drawn_breath_was_speaking() -> None:
    breath = (HeardUtterance(0, 3700),)
    went_on = (HeardUtterance(0, 3700), HeardUtterance(4060, 4300))
    (silent,) = make_interruptions(log(interrupted(4000, 5000), utterances=breath))
    (late,) = make_interruptions(log(interrupted(4000, 5000), utterances=went_on))

    assert silent.stop_ms == 0
    assert late.stop_ms == 300


def test_an_answer_to_an_interruption_is_no_part_of_what_it_stopped() -> None:
    speech = (HeardUtterance(0, 4200), HeardUtterance(5400, 6000))
    (found,) = make_interruptions(log(interrupted(4000, 5000), utterances=speech))

    assert found.stop_ms == 200
