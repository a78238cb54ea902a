"""Keys: who takes them, menus, digits that are collected, and the way to a person."""

import json
from dataclasses import replace

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted
from bridge.engine.effects import (
    DialPerson,
    Effect,
    FlushPlayout,
    PassDigits,
    PauseRecording,
    PauseUplink,
    PlayPhrase,
    RecordingHold,
    ResumeRecording,
    ResumeUplink,
    RunTool,
    Send,
    StartTimer,
    StopTimer,
    TransferCall,
    UplinkHold,
)
from bridge.engine.handoff.asking import ask_for_human
from bridge.engine.inputs import (
    DigitReceived,
    Input,
    PersonAnswered,
    SessionFailed,
    SupervisorActed,
    TimerFired,
    ToolFinished,
    TransferFailed,
)
from bridge.engine.keypad.collecting import LAST_TONE_MS
from bridge.engine.news import (
    DigitsCollected,
    HandoffStarted,
    HumanAsked,
    MenuChosen,
    SilencePrompted,
    ToolAnswered,
    ToolAsked,
    TransitionRefused,
)
from bridge.engine.policy import CallPolicy
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import UpstreamError
from bridge.realtime.commands import CancelResponse, ClearInput, CreateItem, CreateResponse
from bridge.realtime.events import (
    InputCommitted,
    InputTranscriptCompleted,
    OutputItemDone,
    ResponseCreated,
)
from bridge.realtime.ids import ItemId
from bridge.realtime.items import FunctionCall, FunctionCallOutput, Item, Message, Role
from bridge.routing.human_words import HumanWords
from bridge.routing.supervisor_verbs import SensitiveOrder
from tests.engine.calls import (
    A1,
    R1,
    R2,
    T1,
    T2,
    U1,
    Call,
    answered,
    audio,
    done,
    flushed,
    of,
    speaking,
    started,
    stopped,
    thinking,
)
from tests.support.policies import (
    barge_in_policy,
    call_policy,
    caller_silence_policy,
    choice_policy,
    dead_air_policy,
    digits_policy,
    fallback_policy,
    handoff_target,
    keypad_policy,
    menu_policy,
    tool_policy,
    with_agent,
)

ANN = handoff_target("ann", "sip:ann@127.0.0.1:5070", refer=False)
BOB = handoff_target("bob", "sip:bob@127.0.0.1:5070", refer=False)
PROMPT, INVALID, NOBODY = "Press one or two.", "No such choice.", "Nobody is here."
MAIN = menu_policy(
    "main",
    PROMPT,
    {
        "1": choice_policy(tell="I chose billing."),
        "2": choice_policy(say="We are open."),
        "3": choice_policy(transfer="bob"),
        "4": choice_policy(menu="orders"),
        "9": choice_policy(menu="main"),
    },
    INVALID,
)
ORDERS = menu_policy(
    "orders", "Press one for orders.", {"1": choice_policy(say="No orders.")}, then_person=True
)
CARD = digits_policy(
    "card",
    "Key in your card number.",
    "That was too short.",
    min_digits=4,
    max_digits=6,
    sensitive=True,
    last_told=2,
)
KEYPAD = keypad_policy(
    menus={"main": MAIN, "orders": ORDERS},
    digits={"card": CARD, "zip": digits_policy("zip", min_digits=5, max_digits=5)},
    human_words=HumanWords("en"),
    nobody=NOBODY,
)
POLICY = call_policy(
    greet=False,
    handoff={"ann": ANN, "bob": BOB},
    keypad=KEYPAD,
    tools={name: tool_policy() for name in ("collect_digits", "pay")},
)
WITH_MENU = replace(POLICY, keypad=replace(KEYPAD, start="main"))
ALONE = replace(POLICY, handoff={})
SAY_1, SAY_2 = ItemId("bridge_say_1"), ItemId("bridge_say_2")


def keys(digits: str) -> list[Input]:
    return [DigitReceived(digit) for digit in digits]


def said(effects: list[Effect]) -> list[str]:
    return [phrase.text for phrase in of(PlayPhrase, effects)]


def fire(call: Call, timer: Timer, after_ms: float = 0) -> list[Effect]:
    return call.feed(TimerFired(timer), after_ms=after_ms)


def heard(call: Call, item: ItemId = SAY_1) -> list[Effect]:
    """The caller hears a phrase to its end."""
    return call.feed(PlayoutStarted(item, 0), PlayoutDrained())


def items(effects: list[Effect]) -> list[Item]:
    commands = [each.command for each in of(Send, effects)]
    return [command.item for command in commands if isinstance(command, CreateItem)]


def told_model(effects: list[Effect]) -> list[str]:
    """What the model was told, but for what the phone system said."""
    texts = [item.parts[0].text or "" for item in items(effects) if isinstance(item, Message)]
    return [text for text in texts if "by the phone system" not in text]


def outputs(effects: list[Effect]) -> list[dict[str, object]]:
    found = [item for item in items(effects) if isinstance(item, FunctionCallOutput)]
    return [json.loads(item.output) for item in found]


def asks_model(effects: list[Effect]) -> bool:
    return any(isinstance(each.command, CreateResponse) for each in of(Send, effects))


def words(text: str, item: ItemId = U1) -> InputTranscriptCompleted:
    return InputTranscriptCompleted(item_id=item, content_index=0, transcript=text)


def collects(policy: CallPolicy = POLICY, **arguments: object) -> tuple[Call, list[Effect]]:
    """The agent has asked for digits, and its response is over."""
    call = thinking(policy)
    item = FunctionCall(T1, "collect_digits", json.dumps(arguments))
    return call, call.feed(OutputItemDone(R1, 0, item), done(R1))


# A person, by key


def test_zero_leads_to_the_first_person_and_no_model_is_asked() -> None:
    effects = answered(POLICY).feed(DigitReceived("0"))
    assert [each.to for each in of(DialPerson, effects)] == [ANN.to]
    assert of(HumanAsked, effects) == [HumanAsked("key", True)]
    assert not asks_model(effects)


def test_zero_cuts_the_agent_and_the_transfer_starts_at_once() -> None:
    call = speaking(POLICY)
    effects = call.feed(DigitReceived("0"))
    assert of(FlushPlayout, effects)
    assert CancelResponse(R1) in [each.command for each in of(Send, effects)]
    assert of(HandoffStarted, call.feed(flushed((A1, 300, 2_000))))


def test_zero_cuts_a_tone_and_a_phrase() -> None:
    call = answered(WITH_MENU)
    call.feed(PlayoutStarted(SAY_1, 0))
    assert of(FlushPlayout, call.feed(DigitReceived("0")))
    assert of(HandoffStarted, call.feed(flushed()))


def test_zero_waits_for_a_protected_sentence() -> None:
    call = thinking(replace(POLICY, barge_in=barge_in_policy(protects_greeting=True)))
    call.core._call.speech.protected.add(A1)
    call.feed(audio(A1, R1, 500), PlayoutStarted(A1, 0))
    effects = call.feed(DigitReceived("0"))
    assert (of(FlushPlayout, effects), of(HandoffStarted, effects)) == ([], [])
    assert of(HandoffStarted, call.feed(done(R1), PlayoutDrained()))


def test_zero_leads_to_the_fallback_where_there_is_no_target() -> None:
    policy = replace(
        ALONE, fallback=fallback_policy(transfer_to=handoff_target("fallback", "tel:1"))
    )
    assert [each.to for each in of(TransferCall, answered(policy).feed(DigitReceived("0")))] == [
        "tel:1"
    ]


def test_who_asks_where_nobody_is_is_told_so() -> None:
    call = speaking(ALONE)
    effects = call.feed(DigitReceived("0"))
    assert said(effects) == [NOBODY]
    assert of(HumanAsked, effects) == [HumanAsked("key", False)]
    assert of(FlushPlayout, effects)


def test_agent_says_that_nobody_is_where_the_bridge_has_no_words() -> None:
    policy = replace(ALONE, keypad=replace(KEYPAD, nobody=None))
    effects = answered(policy).feed(DigitReceived("0"))
    [asked] = [each.command for each in of(Send, effects)]
    assert isinstance(asked, CreateResponse)
    assert "no person can be reached" in (asked.config.instructions or "")


def test_zero_twice_is_one_wish() -> None:
    call = answered(POLICY)
    assert len(of(DialPerson, call.feed(*keys("00")))) == 1


def test_zero_works_while_the_session_is_lost() -> None:
    call = speaking(POLICY)
    call.feed(SessionFailed(UpstreamError("gone", code="closed")))
    effects = call.feed(DigitReceived("0"))
    assert of(FlushPlayout, effects)
    assert of(DialPerson, effects)
    assert of(TransitionRefused, call.feed(flushed((A1, 300, 2_000)))) == []


def test_failure_comes_back_to_the_agent() -> None:
    call = answered(replace(POLICY, handoff={"ann": replace(ANN, refer=True)}))
    call.feed(DigitReceived("0"), TransferFailed(603))
    effects = fire(call, Timer.TRANSFER, 30_000)
    assert "nobody was reached" in told_model(effects)[0]
    assert asks_model(effects)
    assert call.core.state is State.THINKING


def test_zero_to_a_person_is_passed_on() -> None:
    call = answered(POLICY)
    call.feed(DigitReceived("0"), PersonAnswered())
    assert call.feed(DigitReceived("0")) == [PassDigits("0", to_person=True)]


# A person, in words


def test_words_are_granted_in_one_turn() -> None:
    call = answered(POLICY)
    call.feed(started(), stopped(), ResponseCreated(R1), audio(A1, R1), PlayoutStarted(A1, 0))
    effects = call.feed(words("Can I talk to a person, please?"))
    assert of(HumanAsked, effects) == [HumanAsked("words", True)]
    effects = call.feed(flushed((A1, 50, 100)))
    [handoff] = of(HandoffStarted, effects)
    assert (handoff.target, handoff.summary) == ("ann", '"Can I talk to a person, please?"')


def test_other_words_are_the_models() -> None:
    call = answered(POLICY)
    effects = call.feed(started(), stopped(), words("My travel agent booked it."))
    assert (of(HumanAsked, effects), of(HandoffStarted, effects)) == ([], [])


def test_words_mean_nothing_where_they_are_not_known() -> None:
    policy = replace(POLICY, keypad=replace(KEYPAD, human_words=None))
    assert of(HumanAsked, answered(policy).feed(started(), words("agent"))) == []


# Menus


def test_menu_is_said_and_its_time_begins_behind_it() -> None:
    call = answered(WITH_MENU)
    call.feed(PlayoutStarted(SAY_1, 0))
    assert StartTimer(Timer.KEYPAD, MAIN.timeout_ms) in call.feed(PlayoutDrained())


def test_menu_comes_behind_the_greeting() -> None:
    call = answered(with_agent(WITH_MENU, greet=True))
    effects = call.feed(ResponseCreated(R1), audio(A1, R1), PlayoutStarted(A1, 0), done(R1))
    assert said(effects) == []
    assert said(call.feed(PlayoutDrained())) == [PROMPT]


def test_who_speaks_before_the_menu_never_hears_it_but_its_keys_are_good() -> None:
    call = answered(with_agent(WITH_MENU, greet=True))
    call.feed(ResponseCreated(R1), started(), stopped(), InputCommitted(U1, None), flushed())
    effects = call.feed(ResponseCreated(R2), audio(A1, R2), PlayoutStarted(A1, 0), done(R2))
    assert said(effects + call.feed(PlayoutDrained())) == []
    assert said(call.feed(DigitReceived("2"))) == ["We are open."]


def test_key_gives_the_model_a_text_and_has_it_answer() -> None:
    call = answered(WITH_MENU)
    heard(call)
    effects = call.feed(DigitReceived("1"))
    assert told_model(effects) == ["I chose billing."]
    assert asks_model(effects)
    assert of(MenuChosen, effects) == [MenuChosen("main", "1")]


def test_key_cuts_the_prompt_and_is_answered_without_the_model() -> None:
    call = answered(WITH_MENU)
    call.feed(PlayoutStarted(SAY_1, 0))
    effects = call.feed(DigitReceived("2"))
    assert of(FlushPlayout, effects)
    assert said(effects) == ["We are open."]
    assert (told_model(effects), asks_model(effects)) == ([], False)


def test_key_hands_the_call_to_its_target() -> None:
    call = answered(WITH_MENU)
    heard(call)
    assert [each.to for each in of(DialPerson, call.feed(DigitReceived("3")))] == [BOB.to]


def test_key_leads_to_another_menu_and_repeats_this_one() -> None:
    call = answered(WITH_MENU)
    heard(call)
    assert said(call.feed(DigitReceived("9"))) == [PROMPT]
    heard(call, SAY_2)
    assert said(call.feed(DigitReceived("4"))) == [ORDERS.prompt]
    assert said(call.feed(DigitReceived("1"))) == ["No orders."]


def test_wrong_key_is_told_then_the_agent_takes_over() -> None:
    call = answered(WITH_MENU)
    heard(call)
    assert said(call.feed(DigitReceived("8"))) == [INVALID, PROMPT]
    call.feed(PlayoutStarted(SAY_2, 0), PlayoutDrained())
    effects = call.feed(DigitReceived("8"))
    assert said(effects) == [INVALID]
    assert "no choice" in told_model(effects)[0]
    assert asks_model(effects)


def test_silence_has_the_menu_said_again_then_the_agent_takes_over() -> None:
    call = answered(WITH_MENU)
    heard(call)
    assert said(fire(call, Timer.KEYPAD, 6_000)) == [PROMPT]
    heard(call, SAY_2)
    assert asks_model(fire(call, Timer.KEYPAD, 6_000))


def test_who_makes_no_choice_may_get_a_person() -> None:
    call = answered(replace(WITH_MENU, keypad=replace(KEYPAD, start="orders")))
    heard(call)
    fire(call, Timer.KEYPAD, 6_000)
    heard(call, SAY_2)
    effects = fire(call, Timer.KEYPAD, 6_000)
    assert of(HumanAsked, effects) == [HumanAsked("menu", True)]
    assert of(DialPerson, effects)


def test_key_that_no_menu_awaits_goes_to_the_model() -> None:
    call = answered(WITH_MENU)
    heard(call)
    call.feed(DigitReceived("2"))
    heard(call, SAY_2)
    assert told_model(call.feed(DigitReceived("8"))) == ["The caller pressed 8 on the keypad."]


def test_menu_that_waits_is_no_silent_caller() -> None:
    call = answered(replace(WITH_MENU, caller_silence=caller_silence_policy("Still there?")))
    effects = heard(call)
    assert Timer.CALLER_SILENT not in [each.timer for each in of(StartTimer, effects)]
    assert of(SilencePrompted, fire(call, Timer.CALLER_SILENT)) == []


def test_menu_waits_for_no_key_that_leads_nowhere() -> None:
    """Kept secret, the caller's keys are the person's who asked for them."""
    call = answered(WITH_MENU)
    heard(call)
    secret = call.feed(SupervisorActed("1", "ann", SensitiveOrder(on=True)))
    assert StopTimer(Timer.KEYPAD) in secret
    assert call.feed(DigitReceived("1")) == []
    over = call.feed(SupervisorActed("2", "ann", SensitiveOrder(on=False)))
    assert StartTimer(Timer.KEYPAD, MAIN.timeout_ms) in over


# Digits


def test_digits_become_the_tools_output_at_the_last_one() -> None:
    call, _ = collects(what="zip")
    assert outputs(call.feed(*keys("1234"))) == []
    effects = call.feed(DigitReceived("5"))
    assert outputs(effects) == [{"digits": "12345"}]
    assert asks_model(effects)
    assert of(DigitsCollected, effects) == [DigitsCollected("zip", 5, False, "length")]


def test_terminator_ends_the_digits_and_star_begins_anew() -> None:
    call, _ = collects(purpose="order number", max_digits=10)
    assert outputs(call.feed(*keys("99*1230#"))) == [{"digits": "1230"}]


def test_zero_is_a_digit_while_digits_are_collected() -> None:
    call, _ = collects(what="zip")
    effects = call.feed(*keys("00000"))
    assert outputs(effects) == [{"digits": "00000"}]
    assert of(HumanAsked, effects) == []


def test_pause_ends_the_digits_where_there_are_enough() -> None:
    call, _ = collects(purpose="order number", max_digits=10)
    effects = call.feed(*keys("12"))
    assert StartTimer(Timer.KEYPAD, 4_000) in effects
    assert outputs(fire(call, Timer.KEYPAD, 4_000)) == [{"digits": "12"}]


def test_too_few_digits_are_asked_for_again_then_the_model_hears_of_it() -> None:
    call, effects = collects(what="card")
    assert said(effects) == [CARD.prompt]
    heard(call)
    assert said(call.feed(*keys("12#"))) == [CARD.wrong, CARD.prompt]
    call.feed(PlayoutStarted(ItemId("bridge_say_3"), 0), PlayoutDrained())
    effects = fire(call, Timer.KEYPAD, 10_000)
    assert outputs(effects) == [{"error": "the caller keyed in no digits; 4 are needed"}]
    assert asks_model(effects)


def test_time_for_the_first_digit_begins_behind_the_prompt() -> None:
    call, effects = collects(what="card")
    assert Timer.KEYPAD not in [each.timer for each in of(StartTimer, effects)]
    assert StartTimer(Timer.KEYPAD, CARD.first_ms) in heard(call)


def test_digits_that_nobody_described_are_an_output() -> None:
    _, effects = collects(what="pin")
    assert outputs(effects) == [{"error": "no such digits: pin"}]


def test_agent_is_not_asked_to_speak_while_digits_come() -> None:
    call, _ = collects(what="zip")
    assert not asks_model(call.feed(ToolFinished(T2, "{}"), *keys("1")))


def test_who_speaks_instead_ends_the_digits() -> None:
    call, _ = collects(replace(POLICY, barge_in=barge_in_policy()), what="zip")
    call.feed(*keys("12"))
    effects = call.feed(started(), stopped(), InputCommitted(U1, None))
    assert outputs(effects) == [{"error": "not collected: the caller spoke instead"}]
    assert asks_model(effects)
    assert told_model(call.feed(DigitReceived("3")))


def test_who_asks_for_a_person_instead_gets_one() -> None:
    call, _ = collects(what="zip")
    effects = call.feed(words("operator"))
    assert of(DigitsCollected, effects) == [DigitsCollected("zip", 0, False, "abandoned")]
    assert of(DialPerson, effects)


def test_collecting_is_no_dead_air_and_no_silent_caller() -> None:
    policy = replace(
        POLICY,
        filler_after_ms=1_500,
        dead_air=dead_air_policy("Sorry."),
        caller_silence=caller_silence_policy("Still there?"),
    )
    call, _ = collects(policy, what="card")
    timers = [each.timer for each in of(StartTimer, heard(call))]
    assert timers == [Timer.KEYPAD]


# Sensitive digits


def test_sensitive_digits_hold_audio_and_recording_back() -> None:
    call, effects = collects(what="card")
    assert PauseUplink(UplinkHold.SENSITIVE) in effects
    assert PauseRecording(RecordingHold.SENSITIVE) in effects
    assert ClearInput() in [each.command for each in of(Send, effects)]
    effects = call.feed(*keys("411111"))
    assert (of(ResumeUplink, effects), of(ResumeRecording, effects)) == ([], [])
    assert StartTimer(Timer.LAST_TONE, LAST_TONE_MS) in effects
    effects = fire(call, Timer.LAST_TONE, LAST_TONE_MS)
    assert of(ResumeUplink, effects) == [ResumeUplink(UplinkHold.SENSITIVE)]
    assert of(ResumeRecording, effects) == [ResumeRecording(RecordingHold.SENSITIVE)]


def test_model_gets_a_reference_and_what_the_dialplan_lets_it_know() -> None:
    call, _ = collects(what="card")
    effects = call.feed(*keys("411122"))
    assert outputs(effects) == [
        {"digits_collected": 6, "reference": "secret_digits_1", "ending": "22"}
    ]
    assert "4111" not in repr(effects)
    assert "4111" not in repr(call.core._call)


def test_webhook_gets_the_digits_for_the_reference_and_the_model_never() -> None:
    call, _ = collects(what="card")
    call.feed(*keys("411122"), ResponseCreated(R2))
    arguments = json.dumps({"card": {"number": "secret_digits_1"}, "note": ["secret_digits_2"]})
    effects = call.feed(OutputItemDone(R2, 0, FunctionCall(T2, "pay", arguments)), done(R2))
    [run] = of(RunTool, effects)
    assert run.arguments == {"card": {"number": "411122"}, "note": ["secret_digits_2"]}
    assert "411122" not in repr(of(ToolAsked, effects))
    effects = call.feed(ToolFinished(T2, '{"paid_with": "411122"}'))
    assert outputs(effects) == [{"paid_with": "secret_digits_1"}]
    assert of(ToolAnswered, effects) == [ToolAnswered(T2, '{"paid_with": "secret_digits_1"}')]


def test_second_sensitive_collection_is_held_back_from_the_first_ones_end_on() -> None:
    call, _ = collects(what="card")
    call.feed(*keys("411122"), ResponseCreated(R2))
    again = FunctionCall(T2, "collect_digits", json.dumps({"what": "card"}))
    call.feed(OutputItemDone(R2, 0, again), done(R2))
    assert of(ResumeUplink, fire(call, Timer.LAST_TONE, LAST_TONE_MS)) == []


def test_speech_does_not_end_sensitive_digits() -> None:
    call, _ = collects(replace(POLICY, barge_in=barge_in_policy()), what="card")
    assert outputs(call.feed(InputCommitted(U1, None))) == []
    assert len(outputs(call.feed(*keys("411122")))) == 1


def test_model_may_call_digits_sensitive_by_itself() -> None:
    call, effects = collects(purpose="PIN", max_digits=4, sensitive=True)
    assert of(PauseUplink, effects)
    assert outputs(call.feed(*keys("1234"))) == [
        {"digits_collected": 4, "reference": "secret_digits_1"}
    ]


def test_filler_waits_its_time_from_the_last_digit_on() -> None:
    call, _ = collects(replace(POLICY, filler_after_ms=1_500), what="zip")
    call.feed(*keys("1234"), after_ms=5_000)
    assert StartTimer(Timer.FILLER, 1_500) in call.feed(DigitReceived("5"), after_ms=500)


def test_sound_cuts_no_prompt_whose_turn_no_service_would_hear() -> None:
    call, _ = collects(replace(POLICY, barge_in=barge_in_policy()), what="card")
    at_ns = call.clock.now_ns()
    effects = call.feed(PlayoutStarted(SAY_1, 0), SoundStarted(at_ns), SoundLasted(at_ns, 700))
    assert of(FlushPlayout, effects) == []
    assert of(FlushPlayout, call.feed(DigitReceived("4")))


@pytest.mark.parametrize("digit", "123456789*#")
def test_other_keys_ask_for_nobody(digit: str) -> None:
    assert of(HumanAsked, answered(POLICY).feed(DigitReceived(digit))) == []


def test_note_for_the_agent_is_the_systems_word() -> None:
    call = answered(ALONE)
    list(ask_for_human(call.core._call, 0, by="key"))
    notes = [item for item in call.core._call.log.items() if isinstance(item, Message)]
    assert [note.role for note in notes] == [Role.SYSTEM]
