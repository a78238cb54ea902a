"""Expectations against what was heard, and against what the gateway shows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bridge.replay.call.timeline import CallLog, Deed, Doing
from bridge.replay.checks.call import judge, off_script_from
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.checks.words import contains_words
from bridge.replay.evidence.evidence import (
    CallerEvidence,
    Evidence,
    GatewayEvent,
    ToolRequestSeen,
    WireEvent,
)
from bridge.replay.results.call import CallOutcome
from bridge.replay.script import CallScript, Target
from bridge.softphone.ear import HeardUtterance
from bridge.speech.recognition import HeardPiece

ANSWER = HeardUtterance(2000, 4000)
SENTENCE = HeardPiece("It arrives on Thursday.", 2000, 4000)
SAID = Deed(0, Doing.SAY, "where", 500, 1200)


def script(*steps: Mapping[str, object], **end: object) -> CallScript:
    return CallScript.model_validate(
        {
            "schema": "callscript/v1",
            "id": "test",
            "hears": ["It arrives on Thursday."],
            "caller": list(steps),
            "end": {"by": "anyone", **end},
        }
    )


def log(
    *deeds: Deed,
    utterances: tuple[HeardUtterance, ...] = (ANSWER,),
    pieces: tuple[HeardPiece, ...] = (SENTENCE,),
    ended_by_far_end: bool = False,
    cut_off: bool = False,
) -> CallLog:
    return CallLog(deeds, utterances, pieces, True, 9000, ended_by_far_end, cut_off)


def evidence(log: CallLog | None, **known: Any) -> Evidence:  # Any: fields of Evidence
    outcome = CallOutcome.NO_ANSWER if log is None else CallOutcome.ANSWERED
    side = CallerEvidence(outcome, 200, "id@test", log=log)
    return replace(Evidence("run", "beta", "beta", side), **known)


def check(script: CallScript, log: CallLog | None, **known: Any) -> tuple[Check, ...]:
    return judge(script, evidence(log, **known))


def passed(check: Check) -> bool:
    assert check.status is not CheckStatus.INCONCLUSIVE, check
    return check.status is CheckStatus.PASS


def expecting(**expect: object) -> CallScript:
    return script({"say": "where", "expect": expect})


def only(verdicts: tuple[Check, ...]) -> Check:
    (verdict,) = verdicts
    return verdict


def test_words_that_came_are_met() -> None:
    verdict = only(check(expecting(text_contains="on Thursday"), log(SAID)))

    assert passed(verdict)
    assert verdict.step == 1


def test_words_that_did_not_come_are_broken_and_tell_what_came() -> None:
    verdict = only(check(expecting(text_contains="on Friday"), log(SAID)))

    assert not passed(verdict)
    assert str(verdict) == (
        'step 1 at 2.0 s: expected the agent to say "on Friday"; it said "It arrives on Thursday."'
    )


def test_words_that_came_before_the_step_do_not_count() -> None:
    later = Deed(0, Doing.SAY, "where", 4500, 5000)

    verdict = only(check(expecting(text_contains="Thursday"), log(later)))
    assert not passed(verdict)
    assert verdict.found == "it was not heard"


def test_words_that_came_after_the_next_step_do_not_count() -> None:
    steps = script({"say": "one", "expect": {"text_contains": "Thursday"}}, {"say": "two"})
    deeds = (Deed(0, Doing.SAY, "one", 0, 500), Deed(1, Doing.SAY, "two", 1000, 1500))

    assert not passed(only(check(steps, log(*deeds))))


@pytest.mark.parametrize(("limit_ms", "ok"), [(800, True), (799, False)])
def test_latency_counts_from_the_last_word(limit_ms: int, ok: bool) -> None:
    verdict = only(check(expecting(within_ms=limit_ms), log(SAID)))

    assert passed(verdict) is ok
    assert verdict.found == "it took 800 ms"


def test_silence_is_no_latency() -> None:
    verdict = only(check(expecting(within_ms=60_000), log(SAID, utterances=(), pieces=())))

    assert not passed(verdict)
    assert verdict.found == "it was not heard"


def test_speech_over_the_callers_words_is_no_answer_in_time() -> None:
    early = log(SAID, utterances=(HeardUtterance(1000, 3000),))

    verdict = only(check(expecting(within_ms=5000), early))
    assert not passed(verdict)
    assert verdict.found == "it spoke before the caller had finished"


def test_a_listening_step_counts_from_its_begin() -> None:
    greeting = script({"expect": {"within_ms": 2000, "text_contains": "Thursday"}})
    verdicts = check(greeting, log(Deed(0, Doing.LISTEN, "", 0, 0)))

    assert [passed(verdict) for verdict in verdicts] == [True, True]
    assert verdicts[1].found == "it took 2000 ms"


def test_a_silence_step_takes_what_came_during_it() -> None:
    reprompt = script({"silence": {"ms": 8000}, "expect": {"within_ms": 3000}})

    assert passed(only(check(reprompt, log(Deed(0, Doing.SILENCE, "", 0, 8000)))))


@pytest.mark.parametrize(
    ("speech", "ok", "found"),
    [
        (HeardUtterance(2000, 3200), True, "it took 200 ms"),
        (HeardUtterance(2000, 3400), False, "it took 400 ms"),
        (HeardUtterance(2000, 2300), False, "not speaking then"),
        (HeardUtterance(2000, 3200, cut=True), False, "did not stop before the call's end"),
    ],
)
def test_an_interrupted_agent_has_to_fall_silent(
    speech: HeardUtterance, ok: bool, found: str
) -> None:
    step = {"interrupt": "wait", "expect": {"agent_silent_within_ms": 300}}
    deed = Deed(0, Doing.INTERRUPT, "wait", 3000, 4000)

    verdict = only(check(script(step), log(deed, utterances=(speech,), pieces=())))
    assert passed(verdict) is ok
    assert found in verdict.found


def test_a_step_that_was_not_done_breaks_all_that_it_expected() -> None:
    steps = script(
        {"say": "one"},
        {"say": "two", "expect": {"text_contains": "Thursday", "within_ms": 9000}},
    )
    verdicts = check(steps, log(Deed(0, Doing.SAY, "one", 0, 500)))

    assert [passed(verdict) for verdict in verdicts] == [False, False, False]
    assert str(verdicts[0]) == (
        'step 2: expected the caller to say "two"; the call was over by then'
    )


def test_an_interruption_that_found_nobody_speaking_is_told_as_such() -> None:
    steps = script({"interrupt": "wait"}, {"say": "two"})

    verdict = only(check(steps, log(Deed(1, Doing.SAY, "two", 0, 500))))
    assert not passed(verdict)
    assert verdict.found == "the agent was not speaking"


def test_a_call_that_was_not_answered_meets_nothing() -> None:
    verdicts = check(expecting(text_contains="Thursday", within_ms=1000), None)

    assert [passed(verdict) for verdict in verdicts] == [False, False, False]
    assert verdicts[0].step is None


@pytest.mark.parametrize(
    ("by", "far_end", "oks"),
    [
        ("caller", False, [True]),
        ("caller", True, [False]),
        ("bridge", True, [True]),
        ("bridge", False, [False]),
        ("anyone", True, []),
        ("anyone", False, []),
    ],
)
def test_the_right_side_has_to_hang_up(by: str, far_end: bool, oks: list[bool]) -> None:
    verdicts = check(script(by=by), log(ended_by_far_end=far_end))

    assert [passed(verdict) for verdict in verdicts] == oks


def test_a_call_that_was_cut_off_is_broken() -> None:
    verdict = only(check(script(max_duration_s=9), log(cut_off=True)))

    assert not passed(verdict)
    assert verdict.found == "it was cut off after 9.0 s"


def test_a_call_that_was_to_end_after_a_while_is_not_broken_by_it() -> None:
    assert check(script({"say": "never said"}, after_s=9), log(cut_off=True)) == ()


@pytest.mark.parametrize(
    ("text", "wanted", "found"),
    [
        ("That's $42, on Monday.", "forty two on monday", True),
        ("on Monday", "Monday on", False),
        ("a Mondayish day", "Monday", False),
        ("", "Monday", False),
        ("[?]", "Monday", False),
        ("anything", "?!", False),
    ],
)
def test_words_are_compared_as_they_are_spoken(text: str, wanted: str, found: bool) -> None:
    assert contains_words(text, wanted) is found


def wire(*events: tuple[float, str, Mapping[str, object]]) -> tuple[WireEvent, ...]:
    return tuple(
        WireEvent(0, at_ms, "received", kind, None, {"type": kind, **raw})  # type: ignore[dict-item]
        for at_ms, kind, raw in events
    )


def answered(at_ms: float, text: str, item: str = "i1") -> tuple[WireEvent, ...]:
    return wire(
        (at_ms, "response.output_audio.delta", {"item_id": item}),
        (
            at_ms + 300,
            "response.output_audio_transcript.done",
            {"item_id": item, "transcript": text},
        ),
    )


def called(at_ms: float, name: str, arguments: str) -> WireEvent:
    item = {"type": "function_call", "name": name, "arguments": arguments}
    return wire((at_ms, "response.output_item.done", {"item": item}))[0]


def status(script: CallScript, log: CallLog | None, **known: Any) -> CheckStatus:
    return only(check(script, log, **known)).status


PASS, FAIL, INCONCLUSIVE = CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.INCONCLUSIVE
HEARD_42 = HeardPiece("That is forty two dollars.", 2000, 4000)
MUMBLED = HeardPiece(None, 2000, 4000)


@pytest.mark.parametrize(
    ("expect", "met"),
    [
        ({"contains_any": ["Friday", "on Thursday"]}, True),
        ({"contains_any": ["Friday", "Saturday"]}, False),
        ({"contains_all": ["Thursday", "arrives"]}, True),
        ({"contains_all": ["Thursday", "Friday"]}, False),
        ({"matches": "on (fri|thurs)day"}, True),
        ({"matches": "^on"}, False),
    ],
)
def test_words_can_be_expected_in_many_ways(expect: Mapping[str, object], met: bool) -> None:
    assert passed(only(check(expecting(**expect), log(SAID)))) is met


@pytest.mark.parametrize(
    ("number", "met"), [(42, True), ("42", True), (40, False), (2, False), (4, False), (420, False)]
)
def test_numbers_are_compared_as_numbers(number: object, met: bool) -> None:
    verdict = only(check(expecting(numbers=number), log(SAID, pieces=(HEARD_42,))))

    assert passed(verdict) is met


def test_what_was_not_understood_is_inconclusive_and_says_so() -> None:
    verdict = only(check(expecting(text_contains="Thursday"), log(SAID, pieces=(MUMBLED,))))

    assert verdict.status is INCONCLUSIVE
    assert "not understood" in verdict.found


def test_the_sessions_transcript_can_show_that_words_were_never_said() -> None:
    mumbled = log(SAID, pieces=(MUMBLED,))

    assert status(expecting(numbers=42), mumbled, wire=answered(1900, "Forty three.")) is FAIL
    assert status(expecting(numbers=42), mumbled, wire=answered(1900, "It is 42.")) is INCONCLUSIVE
    assert status(expecting(numbers=42), mumbled, wire=answered(9500, "Later.")) is INCONCLUSIVE


def test_silence_is_evidence() -> None:
    silent = log(SAID, utterances=(), pieces=())

    assert status(expecting(numbers=42), silent, wire=answered(1900, "It is 42.")) is FAIL


def test_forbidden_words_are_looked_for_everywhere() -> None:
    forbids = script({"say": "where"}, must_not_say="Thursday")

    assert status(forbids, log(SAID)) is FAIL
    assert status(forbids, log(SAID, pieces=(HEARD_42,))) is PASS
    assert status(forbids, log(SAID, pieces=(MUMBLED,))) is INCONCLUSIVE
    assert status(forbids, log(SAID, pieces=(MUMBLED,)), wire=answered(0, "No.")) is PASS
    assert status(forbids, log(SAID, pieces=(MUMBLED,)), wire=answered(0, "Thursday.")) is FAIL


def test_words_can_be_expected_anywhere() -> None:
    demands = script({"say": "where"}, must_say=["Thursday", "Friday"])

    assert [each.status for each in check(demands, log(SAID))] == [PASS, FAIL]


LOOK = {"name": "look", "args": {"account": "1234", "deep": {"amount": 42}}}
GOOD = '{"account": 1234, "deep": {"amount": 42.0, "more": 1}, "other": null}'


@pytest.mark.parametrize(
    ("calls", "expected", "met"),
    [
        ([(1500, "look", GOOD)], LOOK, PASS),
        ([(1500, "look", '{"account": "1235", "deep": {"amount": 42}}')], LOOK, FAIL),
        ([(1500, "look", '{"account": "1234"}')], LOOK, FAIL),
        ([(1500, "look", "no json")], {"name": "look"}, PASS),
        ([(1500, "find", GOOD)], LOOK, FAIL),
        ([(400, "look", GOOD)], LOOK, FAIL),
        ([(1500, "look", GOOD), (1600, "look", GOOD)], LOOK, PASS),
        ([(1500, "look", GOOD), (1600, "look", GOOD)], {**LOOK, "times": 1}, FAIL),
        ([(1500, "look", GOOD), (1600, "look", GOOD)], {**LOOK, "times": 2}, PASS),
        ([], LOOK, FAIL),
    ],
)
def test_a_tool_is_called_with_at_least_these_arguments_in_its_step(
    calls: list[tuple[float, str, str]], expected: Mapping[str, object], met: CheckStatus
) -> None:
    seen = tuple(called(*call) for call in calls)

    assert status(expecting(tool=expected), log(SAID), wire=seen) is met


def test_without_a_wire_log_the_mocks_tell_and_without_them_nobody() -> None:
    asked = (
        ToolRequestSeen(1500, "look", {"account": "1234", "deep": {"amount": 42}}),
        ToolRequestSeen(1900, "look", {"account": "1234", "deep": {"amount": 42}}, attempt=2),
    )
    once = expecting(tool={**LOOK, "times": 1})

    assert status(once, log(SAID), tools=asked) is PASS
    verdict = only(check(once, log(SAID), missing={"wire": "the gateway is another's"}))
    assert (verdict.status, verdict.found) == (INCONCLUSIVE, "the gateway is another's")


@pytest.mark.parametrize(("no_tool", "met"), [(True, FAIL), ("look", FAIL), ("pay", PASS)])
def test_a_tool_must_not_be_called(no_tool: object, met: CheckStatus) -> None:
    assert status(expecting(no_tool=no_tool), log(SAID), wire=(called(1500, "look", "{}"),)) is met
    assert status(expecting(no_tool=no_tool), log(SAID), wire=()) is PASS
    assert status(expecting(no_tool=no_tool), log(SAID)) is INCONCLUSIVE


MOVED = GatewayEvent(
    2200, "handoff_started", {"to": "sip:q@pbx", "target": "billing", "text": "an invoice of 42"}
)


@pytest.mark.parametrize(
    ("expected", "met"),
    [
        ({}, PASS),
        ({"to": "billing"}, PASS),
        ({"to": "sip:q@pbx"}, PASS),
        ({"to": "sip:q*"}, PASS),
        ({"to": "sip:other*"}, FAIL),
        ({"to": "bill"}, FAIL),
        ({"within_ms": 1000}, PASS),
        ({"within_ms": 999}, FAIL),
        ({"context_contains": "forty two"}, PASS),
        ({"context_contains": "order"}, FAIL),
    ],
)
def test_a_transfer_goes_where_and_when_it_has_to(
    expected: Mapping[str, object], met: CheckStatus
) -> None:
    assert status(expecting(transfer=expected), log(SAID), events=(MOVED,)) is met
    assert status(expecting(transfer=expected), log(SAID), events=()) is FAIL
    assert status(expecting(transfer=expected), log(SAID)) is INCONCLUSIVE


@pytest.mark.parametrize(
    ("end", "known", "met"),
    [
        ({"state": "completed"}, {"record": {"outcome": "completed"}}, PASS),
        ({"state": "completed"}, {"record": {"outcome": "session_lost"}}, FAIL),
        ({"state": "completed"}, {}, INCONCLUSIVE),
        ({"recording": "present"}, {"record": {"recording": "a.wav"}}, PASS),
        ({"recording": "absent"}, {"record": {"recording": "a.wav"}}, FAIL),
        ({"recording": "absent"}, {"record": {"recording": None}}, PASS),
        (
            {"recording": "paused"},
            {"record": {"recording": "a", "events_ms": [[1, "recording_paused"]]}},
            PASS,
        ),
        ({"recording": "paused"}, {"record": {"recording": "a", "events_ms": []}}, FAIL),
        ({"recording": "present"}, {}, INCONCLUSIVE),
        ({"redis": {"arm": "beta"}}, {"state": {"arm": "beta"}}, PASS),
        ({"redis": {"arm": "beta"}}, {"state": {"arm": "ga"}}, FAIL),
        ({"redis": {"arm": "beta"}}, {"state": {}}, FAIL),
        ({"redis": {"played_ms": "/^[1-9]/"}}, {"state": {"played_ms": "1200"}}, PASS),
        ({"redis": {"played_ms": "/^[1-9]/"}}, {"state": {"played_ms": "0"}}, FAIL),
        ({"redis": {"played_ms": 1200}}, {"state": {"played_ms": "1200"}}, PASS),
        ({"redis": {"arm": "beta"}}, {}, INCONCLUSIVE),
        ({"faults_seen": "session_expired"}, {"record": {"failures": []}}, FAIL),
        (
            {"faults_seen": "session_expired"},
            {"record": {"failures": [{"code": "session_expired"}]}},
            PASS,
        ),
        ({"faults_seen": "stall"}, {"faults_struck": {"stall at audio": 2}}, PASS),
        ({"faults_seen": "stall"}, {"faults_struck": {"stall at audio": 0}}, FAIL),
        ({"faults_seen": "stall"}, {}, INCONCLUSIVE),
        ({"sip_code": 200}, {}, PASS),
        ({"sip_code": 486}, {}, FAIL),
    ],
)
def test_the_end_is_judged_by_what_the_gateway_shows(
    end: Mapping[str, object], known: Mapping[str, Any], met: CheckStatus
) -> None:
    assert status(script({"say": "where"}, **end), log(SAID), **known) is met


def test_the_dialplan_that_took_the_call_is_judged() -> None:
    wants = script({"say": "where"}).model_copy(update={"target": Target(route="billing")})

    assert status(wants, log(SAID), record={"route": "billing"}) is PASS
    assert status(wants, log(SAID), record={"route": "support"}) is FAIL


def test_what_the_caller_never_told_is_inconclusive() -> None:
    lost = Evidence("run", "beta", "beta", None, missing={"caller": "its process died"})
    verdicts = judge(expecting(text_contains="Thursday", within_ms=900), lost)

    assert {each.status for each in verdicts} == {INCONCLUSIVE}
    assert {each.found for each in verdicts} == {"its process died"}


def test_a_caller_who_gives_up_expects_no_answer() -> None:
    gives_up = script({"hangup": {"after": {"event": "dialled", "delay_ms": 300}}})
    side = CallerEvidence(CallOutcome.CANCELLED, 487, "id@test")

    assert judge(gives_up, Evidence("run", "beta", "beta", side)) == ()
    assert not passed(only(check(gives_up, None))), "nobody gave up: it was refused"


def test_a_refusal_can_be_expected() -> None:
    side = CallerEvidence(CallOutcome.REFUSED, 486, "id@test")
    verdict = only(judge(script(sip_code=486), Evidence("run", "beta", "beta", side)))

    assert passed(verdict)


STEPS = (
    {"say": "one", "expect": {"text_contains": "Friday", "within_ms": 2000}},
    {"say": "two", "expect": {"text_contains": "Thursday", "within_ms": 2000}},
    {"say": "three", "expect": {"tool": {"name": "look"}, "within_ms": 10}},
)
DEEDS = (
    Deed(0, Doing.SAY, "one", 0, 1000),
    Deed(1, Doing.SAY, "two", 5000, 6000),
    Deed(2, Doing.SAY, "three", 8000, 8200),
)


def test_off_script_later_steps_are_judged_by_their_timing_alone() -> None:
    talk = log(
        *DEEDS,
        utterances=(ANSWER, HeardUtterance(6500, 7000), HeardUtterance(8300, 8900)),
        pieces=(SENTENCE, HeardPiece("It arrives on Thursday.", 6500, 7000)),
    )
    verdicts = check(script(*STEPS, must_say="Friday"), talk, wire=())

    assert [(each.kind, each.status) for each in verdicts] == [
        ("text_contains", FAIL),
        ("within_ms", PASS),
        ("text_contains", INCONCLUSIVE),
        ("within_ms", PASS),
        ("within_ms", FAIL),
        ("tool", INCONCLUSIVE),
        ("must_say", INCONCLUSIVE),
    ]
    assert off_script_from(verdicts) == 1
    assert "off script since step 1" in verdicts[2].found


TALK = log(
    *DEEDS,
    utterances=(ANSWER, HeardUtterance(6500, 7000), HeardUtterance(8300, 8900)),
    pieces=(SENTENCE, HeardPiece("It arrives on Thursday.", 6500, 7000)),
)


@pytest.mark.parametrize(
    ("departed_ms", "statuses"),
    [
        # The first answer, at 2.0 s, was wrong before that, and takes the call off the script.
        (3000, (FAIL, PASS, INCONCLUSIVE, PASS, FAIL, INCONCLUSIVE)),
        # It was wrong after that, and nobody knows what it would have been.
        (1500, (INCONCLUSIVE, PASS, INCONCLUSIVE, PASS, FAIL, INCONCLUSIVE)),
    ],
)
def test_from_where_the_recording_was_left_words_and_tools_decide_nothing(
    departed_ms: int, statuses: tuple[CheckStatus, ...]
) -> None:
    verdicts = judge(script(*STEPS), evidence(TALK, wire=()), departed_ms=departed_ms)
    assert tuple(each.status for each in verdicts) == statuses


def test_steps_before_the_recording_was_left_are_judged_and_say_since_when_others_are_not() -> None:
    right = {"say": "one", "expect": {"text_contains": "Thursday"}}
    known = evidence(TALK, wire=())
    verdicts = judge(script(right, *STEPS[1:]), known, departed_ms=7500)
    assert [each.status for each in verdicts] == [PASS, PASS, PASS, FAIL, INCONCLUSIVE]
    assert "off script since 7.5 s" in verdicts[-1].found


def test_a_step_that_was_not_done_off_script_is_no_failure_of_its_own() -> None:
    waits = {"interrupt": "wait", "expect": {"agent_silent_within_ms": 500}}
    verdicts = check(script(STEPS[0], waits), log(DEEDS[0]))

    assert [(each.kind, each.status) for each in verdicts[2:]] == [
        ("step", INCONCLUSIVE),
        ("agent_silent_within_ms", INCONCLUSIVE),
    ]


@pytest.mark.parametrize(
    ("expect", "pieces"),
    [
        ({"text_contains": "Thursday"}, (SENTENCE,)),
        ({"text_contains": "Friday", "contains_any": ["Thursday"]}, (SENTENCE,)),
        ({"text_contains": "Friday"}, ()),
        ({"text_contains": "Friday"}, (MUMBLED,)),
        ({"within_ms": 1}, (SENTENCE,)),
    ],
)
def test_silence_noise_and_half_of_an_answer_are_not_off_script(
    expect: Mapping[str, object], pieces: tuple[HeardPiece, ...]
) -> None:
    assert off_script_from(check(expecting(**expect), log(SAID, pieces=pieces))) is None


OLD = "You can return it. Keep the packaging. Print the form."
NEW = "Sure, go ahead."
INTERRUPTED = Deed(0, Doing.INTERRUPT, "wait", 3000, 4000)


@pytest.mark.parametrize(
    ("speech", "pieces", "met"),
    [
        (
            (HeardUtterance(0, 3200), HeardUtterance(5000, 6000)),
            (HeardPiece(NEW, 5000, 6000),),
            PASS,
        ),
        (
            (HeardUtterance(0, 3200), HeardUtterance(5000, 6000)),
            (HeardPiece("Keep the packaging.", 5000, 6000),),
            FAIL,
        ),
        ((HeardUtterance(0, 3200), HeardUtterance(3500, 6000)), (), FAIL),
        ((HeardUtterance(0, 3200),), (), PASS),
    ],
)
def test_an_interrupted_agent_must_not_go_on_with_its_old_words(
    speech: tuple[HeardUtterance, ...], pieces: tuple[HeardPiece, ...], met: CheckStatus
) -> None:
    step = {"interrupt": "wait", "expect": {"no_resume_of_old_turn": True}}
    told = (*answered(100, OLD), *answered(4800, NEW, "i2"))
    talk = log(INTERRUPTED, utterances=speech, pieces=pieces)

    assert status(script(step), talk, wire=told) is met
    if pieces:
        assert status(script(step), talk) is INCONCLUSIVE


@pytest.mark.parametrize(
    ("speech", "met"),
    [
        ((HeardUtterance(0, 6000),), PASS),
        ((HeardUtterance(0, 3100), HeardUtterance(3500, 6000)), PASS),
        ((HeardUtterance(0, 3100), HeardUtterance(4200, 6000)), FAIL),
        ((HeardUtterance(0, 3100),), FAIL),
        ((HeardUtterance(0, 2500), HeardUtterance(2900, 6000)), PASS),
    ],
)
def test_a_backchannel_must_not_stop_the_agent(
    speech: tuple[HeardUtterance, ...], met: CheckStatus
) -> None:
    step = {"backchannel": "mm-hmm", "expect": {"agent_keeps_talking": True}}
    murmur = Deed(0, Doing.BACKCHANNEL, "mm-hmm", 3000, 3400)

    assert status(script(step), log(murmur, utterances=speech, pieces=())) is met


def test_a_backchannel_does_not_end_the_answer_before_it() -> None:
    steps = script({"say": "where", "expect": {"text_contains": "Thursday"}}, {"backchannel": "mm"})
    murmur = Deed(1, Doing.BACKCHANNEL, "mm", 1600, 1900)

    assert status(steps, log(SAID, murmur)) is PASS


@pytest.mark.parametrize(("limit_ms", "met"), [(1001, PASS), (1000, FAIL)])
def test_talking_at_once_is_summed_up(limit_ms: int, met: CheckStatus) -> None:
    step = {"interrupt": "wait", "expect": {"talk_over_under_ms": limit_ms}}
    talk = log(
        INTERRUPTED, utterances=(HeardUtterance(0, 3400), HeardUtterance(3400, 4700)), pieces=()
    )

    assert status(script(step), talk) is met
    assert status(script({"interrupt": "wait"}, talk_over_under_ms=limit_ms), talk) is met


@pytest.mark.parametrize(
    ("speech", "limit_ms", "met"),
    [
        ((HeardUtterance(2000, 4000), HeardUtterance(6500, 7000)), 2500, PASS),
        ((HeardUtterance(2000, 4000), HeardUtterance(6500, 7000)), 2499, FAIL),
        ((), 5000, FAIL),
        ((HeardUtterance(1300, 2000),), 5000, PASS),
    ],
)
def test_dead_air_is_what_the_agent_leaves(
    speech: tuple[HeardUtterance, ...], limit_ms: int, met: CheckStatus
) -> None:
    """From 1200, the end of the caller's words, to 8500; the caller's own pause does not count."""
    steps = script({"say": "where", "expect": {"no_dead_air_over_ms": limit_ms}}, {"say": "so"})
    deeds = (SAID, Deed(1, Doing.SAY, "so", 8500, 8900))

    assert status(steps, log(*deeds, utterances=speech, pieces=())) is met


def test_a_hold_is_no_dead_air() -> None:
    steps = script({"say": "where"}, {"hold": {"ms": 5000}}, no_dead_air_over_ms=1500)
    deeds = (SAID, Deed(1, Doing.HOLD, "", 3000, 8000))
    speech = (HeardUtterance(1900, 2900), HeardUtterance(8200, 8900))

    assert status(steps, log(*deeds, utterances=speech, pieces=())) is PASS


@pytest.mark.parametrize(("limit_ms", "met"), [(8000, PASS), (7999, FAIL)])
def test_a_reprompt_comes_while_the_caller_is_silent(limit_ms: int, met: CheckStatus) -> None:
    step = {"silence": {"ms": 9000}, "expect": {"reprompt_within_ms": limit_ms}}
    silent = Deed(0, Doing.SILENCE, "", 500, 9000)
    speech = (HeardUtterance(0, 400), HeardUtterance(8500, 8900))

    assert status(script(step), log(silent, utterances=speech, pieces=())) is met
    assert status(script(step), log(silent, utterances=speech[:1], pieces=())) is FAIL


@pytest.mark.parametrize(("limit_ms", "met"), [(2000, PASS), (1999, FAIL)])
def test_the_greeting_is_timed_from_the_answer(limit_ms: int, met: CheckStatus) -> None:
    greeting = script({"expect": {"greeting_within_ms": limit_ms}})

    assert status(greeting, log(Deed(0, Doing.LISTEN, "", 0, 0))) is met


def told_while_heard(text: str) -> tuple[WireEvent, ...]:
    delta = {"item_id": "i1", "delta": {"bytes": 1, "ms": 2000}}
    return (
        *wire((1950, "response.output_audio.delta", delta)),
        *wire(
            (
                2300,
                "response.output_audio_transcript.done",
                {"item_id": "i1", "transcript": text},
            )
        ),
    )


@pytest.mark.parametrize(
    ("told", "met"),
    [
        ("That is forty three dollars.", INCONCLUSIVE),
        ("That is not known.", INCONCLUSIVE),
        ("That is $42.", PASS),
        ("That is forty-two dollars.", PASS),
    ],
)
def test_a_transcript_that_contradicts_the_ear_is_no_pass(told: str, met: CheckStatus) -> None:
    expects = expecting(text_contains="forty two dollars")
    verdict = only(check(expects, log(SAID, pieces=(HEARD_42,)), wire=told_while_heard(told)))

    assert verdict.status is met
    assert (told in verdict.found) is (met is INCONCLUSIVE)
    assert "That is forty two dollars." in verdict.found


def test_words_of_the_bridges_own_contradict_no_transcript() -> None:
    item = told_while_heard("Something else.")
    later = tuple(replace(event, at_ms=event.at_ms + 5000) for event in item)

    assert status(expecting(numbers=[42]), log(SAID, pieces=(HEARD_42,)), wire=later) is PASS
