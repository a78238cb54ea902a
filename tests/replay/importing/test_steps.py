"""Steps drafted from a recorded call: gaps, anchors, silences, the end, what is expected."""

from typing import Any

import pytest

from bridge.live.recording import NOT_RECORDED
from bridge.realtime.conversation import NOT_TRANSCRIBED
from bridge.replay.importing.drafting import expect, mocks_of, rules_of
from bridge.replay.importing.hiding import Hider
from bridge.replay.importing.recorded import (
    AgentWords,
    RecordedCall,
    RecordedHold,
    RecordedKeys,
    RecordedSpeech,
    RecordedToolUse,
)
from bridge.replay.importing.steps import Drafter, DraftStep, VoiceCut
from tests.replay.importing.calls import recorded

GREETED = (500, 2_000)


def draft(call: RecordedCall, **options: bool) -> list[DraftStep]:
    hider = Hider()
    drafted = list(Drafter(call, hider, **options).steps())
    for step, stretch in drafted:
        if stretch is not None:
            step.expect |= expect(step, stretch, call, hider)
    return [step for step, _ in drafted]


def does(call: RecordedCall) -> list[dict[str, Any]]:
    return [step.does for step in draft(call)]


def test_words_come_after_the_gap_that_they_had() -> None:
    call = recorded(RecordedSpeech(3_300, 4_500, "Hello?"), agent=(GREETED,))
    greeting, says = draft(call)
    assert greeting.does == {}
    assert says.does == {"say": {"text": "Hello?", "gap_ms": 1_300}}
    assert says.cut == VoiceCut(3_300, 4_500)


def test_a_gap_is_never_taken_for_a_pause_between_two_sentences() -> None:
    call = recorded(RecordedSpeech(2_050, 3_000, "Hello?"), agent=(GREETED,))
    assert does(call)[1] == {"say": {"text": "Hello?", "gap_ms": 400}}


def test_words_over_the_agent_are_anchored_to_its_begin() -> None:
    call = recorded(
        RecordedSpeech(3_000, 4_000, "Tell me."),
        RecordedSpeech(6_500, 8_000, "Wait, please."),
        agent=(GREETED, (5_000, 6_950), (9_000, 10_000)),
    )
    step = draft(call)[2]
    after = {"event": "agent_audio_started", "delay_ms": 1_500}
    assert step.does == {"interrupt": {"text": "Wait, please.", "after": after}}
    assert step.expect == {"agent_silent_within_ms": 1_000, "within_ms": 2_500}


def test_an_anchor_is_the_begin_of_the_answer_and_not_of_its_second_sentence() -> None:
    call = recorded(
        RecordedSpeech(3_000, 4_000, "Tell me."),
        RecordedSpeech(7_500, 8_500, "Wait, please."),
        agent=(GREETED, (5_000, 5_500), (5_900, 7_900)),
    )
    assert draft(call)[2].does["interrupt"]["after"]["delay_ms"] == 2_500


def test_a_short_sound_that_the_agent_speaks_through_is_a_backchannel() -> None:
    call = recorded(RecordedSpeech(1_500, 1_900, "Yeah."), agent=((500, 4_000),))
    [_, step] = draft(call)
    assert step.does["backchannel"]["after"]["delay_ms"] == 1_000
    assert step.expect == {"agent_keeps_talking": True}


def test_what_the_gateway_judged_decides_between_the_two() -> None:
    call = recorded(RecordedSpeech(6_000, 6_400, "No.", backchannel=False), agent=((5_000, 9_000),))
    assert "interrupt" in does(call)[-1]


def test_words_after_which_nobody_answered_are_followed_by_the_clock() -> None:
    call = recorded(
        RecordedSpeech(3_000, 4_000, "Hello."),
        RecordedSpeech(6_500, 7_000, "Anybody?"),
        agent=(GREETED,),
    )
    after = {"event": "caller_speech_ended", "delay_ms": 2_500}
    assert does(call)[2] == {"interrupt": {"text": "Anybody?", "after": after}}


def test_keys_and_holds_become_steps() -> None:
    call = recorded(
        RecordedKeys(3_000, 3_400, "12#", 3), RecordedHold(5_000, 8_000), agent=(GREETED,)
    )
    assert does(call)[1:] == [{"dtmf": {"digits": "12#"}}, {"hold": {"ms": 3_000}}]


def test_keys_that_nobody_kept_are_asked_for() -> None:
    [step] = draft(recorded(RecordedKeys(3_000, 3_400, None, 4)))
    assert step.does == {"dtmf": {"digits": "1111"}}
    assert step.notes == ["which 4 keys these were is nowhere kept: write them"]


def test_a_silence_that_the_agent_asked_into_is_a_step_with_its_reprompt() -> None:
    call = recorded(
        RecordedSpeech(13_000, 14_000, "Yes."),
        agent=(GREETED, (10_000, 11_000)),
        prompted_ms=(9_990,),
    )
    assert does(call)[1] == {"silence": {"ms": 8_990}}
    assert draft(call)[1].expect == {"reprompt_within_ms": 11_000}


def test_hanging_up_over_the_agent_is_anchored_to_it() -> None:
    call = recorded(
        RecordedSpeech(3_000, 4_000, "Go on."),
        agent=(GREETED, (15_000, 20_000)),
        ended_by="caller",
    )
    after = {"event": "agent_audio_started", "delay_ms": 5_000}
    assert does(call)[-1] == {"hangup": {"after": after}}


def test_hanging_up_in_the_middle_of_ones_words_is_anchored_to_them() -> None:
    call = recorded(RecordedSpeech(18_000, 20_000, "I would"), agent=(GREETED,), ended_by="caller")
    after = {"event": "caller_speech_started", "delay_ms": 2_000}
    assert does(call)[-1] == {"hangup": {"after": after}}


@pytest.mark.parametrize("without_words", [NOT_RECORDED, NOT_TRANSCRIBED])
def test_what_a_record_has_no_words_of_is_silence_of_its_length(without_words: str) -> None:
    call = recorded(RecordedSpeech(3_000, 5_500, without_words), agent=(GREETED,))
    assert does(call)[1] == {"silence": {"ms": 2_500}}


def test_a_turn_with_a_secret_has_nothing_of_the_callers_voice() -> None:
    card = "My card is 4111 1111 1111 1111."
    [_, step] = draft(recorded(RecordedSpeech(3_000, 5_500, card), agent=(GREETED,)))
    assert step.cut is None
    assert step.does["say"]["text"].startswith("My card is four one one one")


def test_a_secret_is_found_by_the_question_before_it() -> None:
    call = recorded(
        RecordedSpeech(3_000, 5_500, "It is 99 88 77."),
        agent=(GREETED,),
        words=(AgentWords(500, "What is your account number?", None),),
    )
    assert draft(call)[1].does["say"]["text"] == "It is one two three four five six seven eight."


def test_revoiced_calls_have_nothing_of_the_callers_voice() -> None:
    call = recorded(RecordedSpeech(3_000, 4_500, "Hello?"), agent=(GREETED,))
    assert draft(call, revoice=True)[1].cut is None


INVOICE = recorded(
    RecordedSpeech(3_000, 4_500, "How much is my invoice?"),
    RecordedSpeech(12_000, 13_000, "Thanks."),
    agent=(GREETED, (5_200, 7_000), (8_000, 11_000), (14_000, 15_000)),
    words=(
        AgentWords(500, "Hello.", "Hello."),
        AgentWords(5_200, "One moment.", "One moment."),
        AgentWords(8_000, "It is 42 dollars.", "It is 42 dollars."),
        AgentWords(14_000, "Goodbye.", "Goodbye."),
    ),
    tools=(
        RecordedToolUse(
            5_300, "lookup", {"which": "latest"}, {"amount": 42, "account": "99887766"}, "ok", 833
        ),
        RecordedToolUse(14_000, "end_call", {"reason": "done"}),
    ),
)


def test_expected_are_numbers_tools_and_times_rounded_up() -> None:
    step = draft(INVOICE)[1]
    assert step.expect == {
        "within_ms": 2_500,
        "numbers": ["42"],
        "tool": [{"name": "lookup", "times": 1, "args": {"which": "latest"}}],
    }


def test_numbers_that_an_interrupted_agent_did_not_come_to_say_are_not_expected() -> None:
    call = recorded(
        RecordedSpeech(3_000, 4_000, "How much?"),
        agent=(GREETED, (5_000, 6_000)),
        words=(AgentWords(5_000, "It is 42 dollars.", "It"),),
    )
    assert "numbers" not in draft(call)[1].expect


def test_a_tools_answer_becomes_its_mock_without_what_is_nobodys_business() -> None:
    [(mock, note)] = mocks_of(INVOICE, Hider())
    returns = {"amount": 42, "account": "12345678"}
    assert mock == {"name": "lookup", "latency_ms": 850, "returns": returns}
    assert note == ""


def test_a_tool_that_failed_fails_in_the_replay() -> None:
    def mock(code: str) -> dict[str, Any]:
        call = recorded(
            RecordedKeys(1, 1, "1", 1), tools=(RecordedToolUse(9, "lookup", {}, None, code, 9),)
        )
        return next(mocks_of(call, Hider()))[0]

    assert mock("http_503") == {"name": "lookup", "fails": "http_500"}
    assert mock("deadline") == {"name": "lookup", "fails": "timeout"}
    assert mock("unreachable") == {"name": "lookup", "fails": "error"}


def test_the_simulated_agent_says_and_does_what_the_agent_did() -> None:
    assert list(rules_of(INVOICE, draft(INVOICE), Hider())) == [
        {
            "hears": ["How much is my invoice?"],
            "say": "One moment.",
            "tool": {"name": "lookup", "arguments": {"which": "latest"}},
            "then": "It is 42 dollars.",
        },
        {
            "hears": ["Thanks."],
            "say": "Goodbye.",
            "tool": {"name": "end_call", "arguments": {"reason": "done"}},
        },
    ]
