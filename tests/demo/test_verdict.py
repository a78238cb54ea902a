"""The demo's judgement: what each side knows, and which faults must be told."""

from dataclasses import replace

import pytest

from bridge.demo.verdict import CallerSide, RecordedTurn, judge

GREETING = "Thanks for calling Northwind support. This call may be recorded. How can I help you?"
ORDER = "Your order shipped on Monday and should arrive on Thursday."
POLICY = (
    "You can return anything within thirty days of delivery. Please keep the original packaging. "
    "Print the return form from our website."
)
GO_AHEAD = "Sure, go ahead."

TURNS = [
    RecordedTurn("agent", GREETING, 180),
    RecordedTurn("caller", "Where is my order?"),
    RecordedTurn("agent", ORDER, 781),
    RecordedTurn("caller", "What is your return policy?"),
    RecordedTurn("agent", POLICY, 790, interrupted=True),
    RecordedTurn("caller", "Wait a moment, please."),
    RecordedTurn("agent", GO_AHEAD, 801),
]
CALLER = CallerSide(
    said=["Where is my order?", "What is your return policy?", "Wait a moment, please."],
    heard=[
        "Thanks for calling Northwind support.",
        "This call may be recorded.",
        "How can I help you?",
        ORDER,
        "You can return anything within thirty days of delivery.",
        "",  # cut off
        GO_AHEAD,
    ],
    agent_heard_ms=15_000,
)


def test_good_call() -> None:
    assert judge("completed", TURNS, CALLER) == []


def test_good_call_with_pieces_joined_otherwise() -> None:
    heard = [" ".join(CALLER.heard[:3]), ORDER, CALLER.heard[4] + " [?]", GO_AHEAD]

    assert judge("completed", TURNS, replace(CALLER, heard=heard)) == []


def test_case_punctuation_and_digits_are_no_difference() -> None:
    turns = [RecordedTurn("agent", "That is 42 dollars.", 700), RecordedTurn("caller", "ok bye")]
    caller = CallerSide(["OK, bye!"], ["that is forty two dollars"], 900)

    assert judge("completed", turns, caller) == []


@pytest.mark.parametrize("outcome", ["shutdown", "media_failed", "session_lost", ""])
def test_other_outcome_is_a_fault(outcome: str) -> None:
    (fault,) = judge(outcome, TURNS, CALLER)

    assert "not as completed" in fault


def test_silent_agent_is_a_fault() -> None:
    faults = judge("completed", TURNS, replace(CALLER, heard=[], agent_heard_ms=0))

    assert "the caller heard no speech at all" in faults
    assert sum("was not heard" in fault for fault in faults) == 3


def test_noise_instead_of_speech_is_a_fault() -> None:
    assert judge("completed", TURNS, replace(CALLER, heard=["", "[?]", ""]))


def test_one_silent_turn_is_a_fault() -> None:
    heard = [piece for piece in CALLER.heard if piece != ORDER]

    (fault,) = judge("completed", TURNS, replace(CALLER, heard=heard))

    assert fault.startswith("agent turn 2 was not heard")


def test_other_words_than_the_agent_said_are_a_fault() -> None:
    heard = [
        "We are open from nine to five." if piece == ORDER else piece for piece in CALLER.heard
    ]

    (fault,) = judge("completed", TURNS, replace(CALLER, heard=heard))

    assert fault.startswith('agent turn 2 was heard as "We are open')


def test_turn_heard_but_not_recorded_is_a_fault() -> None:
    turns = [turn for turn in TURNS if turn.text != ORDER]

    assert judge("completed", turns, CALLER)


def test_empty_record_is_a_fault() -> None:
    assert len(judge("completed", [], CALLER)) >= 3


def test_wrong_transcript_is_a_fault() -> None:
    turns = [
        replace(turn, text="When are you open?") if turn.text == "Where is my order?" else turn
        for turn in TURNS
    ]

    (fault,) = judge("completed", turns, CALLER)

    assert fault.startswith('caller utterance 1 was transcribed as "When are you open?"')


def test_missing_transcript_is_a_fault() -> None:
    turns = [turn for turn in TURNS if turn.text != "What is your return policy?"]

    (fault,) = judge("completed", turns, CALLER)

    assert fault.startswith("caller utterance 2 was not transcribed")


def test_transcript_of_something_never_said_is_a_fault() -> None:
    turns = [*TURNS, RecordedTurn("caller", "I want to speak to a human.")]

    assert judge("completed", turns, CALLER)


def test_utterance_split_by_a_pause_is_none() -> None:
    turns = [RecordedTurn("caller", "Wait a moment,"), RecordedTurn("caller", "please.")]

    assert judge("completed", [*TURNS[:5], *turns, TURNS[-1]], CALLER) == []


def test_interrupted_turn_of_which_no_sentence_was_complete_is_none() -> None:
    heard = [piece for piece in CALLER.heard if not piece.startswith("You can")]

    assert judge("completed", TURNS, replace(CALLER, heard=heard)) == []


def test_interrupted_turn_heard_from_its_middle_is_a_fault() -> None:
    heard = [
        "Print the return form from our website." if piece.startswith("You can") else piece
        for piece in CALLER.heard
    ]

    (fault,) = judge("completed", TURNS, replace(CALLER, heard=heard))

    assert fault.startswith("agent turn 3")


def test_only_interrupted_turns_prove_nothing() -> None:
    turns = [RecordedTurn("agent", POLICY, 790, interrupted=True)]

    assert judge("completed", turns, CallerSide([], [], 500))


def test_failed_expectation_is_a_fault() -> None:
    said = "step 2: expected the agent within 100 ms; it took 800 ms"

    assert judge("completed", TURNS, replace(CALLER, failures=[said])) == [said]
