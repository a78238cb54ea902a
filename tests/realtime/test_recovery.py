import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.clock import NS_PER_MS
from bridge.errors import ProtocolError, UpstreamError
from bridge.realtime.backoff import Backoff
from bridge.realtime.commands import CreateItem
from bridge.realtime.conversation import ConversationLog
from bridge.realtime.event_values import ApiError, ResponseStatus
from bridge.realtime.events import (
    AudioDelta,
    InputCommitted,
    InputTranscriptCompleted,
    OutputItemDone,
    ResponseDone,
    SpeechStarted,
)
from bridge.realtime.failures import (
    Failure,
    classify,
    classify_event,
    classify_response,
)
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.pictures import read_picture
from bridge.realtime.recovery import (
    RESUMED,
    Budget,
    FillSilence,
    GiveUp,
    GiveUpReason,
    Reconnect,
    RequestResponse,
    ResendCaller,
    RestoreContext,
    Step,
    SummariseContext,
    plan,
    restoration,
    rollover_due,
)
from tests.support.pictures import png
from tests.support.policies import recovery_policy

POLICY = recovery_policy(fallback="transfer")
SOON_NS = 120_000 * NS_PER_MS
"""End of a token that is good for two minutes."""


def failure(code: str, close_code: int | None = None) -> Failure:
    return classify(UpstreamError("gone", code=code, close_code=close_code))


BLIP = failure("closed", 1006)
EXPIRED = failure("session_expired")


def talk(*, answered: bool = True) -> ConversationLog:
    log = ConversationLog()
    log.feed(InputCommitted(ItemId("u1")))
    log.feed(InputTranscriptCompleted(ItemId("u1"), 0, "Where is my order?"))
    if answered:
        call = FunctionCall(ToolCallId("c1"), "lookup_order", "{}")
        log.feed(OutputItemDone(ResponseId("r1"), 0, call))
        log.feed(ResponseDone(ResponseId("r1"), ResponseStatus.COMPLETED))
    return log


def first_loss(what: Failure, log: ConversationLog, *, jitter: float = 0.0) -> tuple[Step, ...]:
    budget = Budget(POLICY).restored(0).failed(what, 0)
    return plan(what, log, budget, 0, jitter=jitter, token_expires_ns=SOON_NS)


def kinds(steps: tuple[Step, ...]) -> list[type[Step]]:
    return [type(step) for step in steps]


def test_blip_reconnects_with_the_same_token_and_gives_the_talk_back() -> None:
    log = talk(answered=False)
    steps = first_loss(BLIP, log)
    assert steps == (
        FillSilence(POLICY.filler_after_ms),
        Reconnect(0, new_token=False, within_ms=POLICY.attempt_ms),
        steps[2],
        ResendCaller(POLICY.kept_audio_ms),
        RequestResponse(),
    )
    context = steps[2]
    assert isinstance(context, RestoreContext)
    note, *items = context.items
    assert isinstance(note, Message)
    assert note.role is Role.SYSTEM
    assert note.parts[0].text == RESUMED
    assert tuple(items) == log.items()


def test_token_that_is_near_its_end_is_renewed_on_a_blip() -> None:
    def new_token(expires_ns: int | None) -> bool:
        budget = Budget(POLICY).failed(BLIP, 0)
        steps = plan(BLIP, talk(), budget, 0, jitter=0.9, token_expires_ns=expires_ns)
        return next(step.new_token for step in steps if isinstance(step, Reconnect))

    margin_ns = POLICY.token_margin_ms * NS_PER_MS
    assert new_token(0)
    assert new_token(margin_ns)  # the wait comes on top
    assert not new_token(margin_ns + 200 * NS_PER_MS)
    assert not new_token(None)


@pytest.mark.parametrize(
    "bad_session",
    [EXPIRED, failure("http_401"), failure("http_403"), classify(ProtocolError("order"))],
    ids=lambda each: each.code,
)
def test_bad_session_gets_a_new_token_and_a_summary(
    bad_session: Failure,
) -> None:
    log = talk()
    steps = first_loss(bad_session, log)
    assert kinds(steps) == [FillSilence, Reconnect, SummariseContext, ResendCaller]
    _, reconnect, summary, audio = steps
    assert isinstance(reconnect, Reconnect)
    assert reconnect.new_token
    assert audio == ResendCaller(POLICY.kept_audio_ms)
    assert isinstance(summary, SummariseContext)
    assert summary.text == log.summary(POLICY.summary_chars)
    note, call = summary.items
    assert isinstance(note, Message)
    assert str(note.parts[0].text).endswith(summary.text)
    assert call == log.running_calls[0]


def test_blip_after_a_bad_session_does_not_lead_back_to_its_whole_talk() -> None:
    budget = Budget(POLICY).restored(0).failed(EXPIRED, 0).failed(BLIP, NS_PER_MS)
    steps = plan(BLIP, talk(), budget, NS_PER_MS, jitter=0.0, token_expires_ns=SOON_NS)
    assert kinds(steps) == [FillSilence, Reconnect, SummariseContext, ResendCaller]
    assert steps[3] == ResendCaller(POLICY.kept_audio_ms)
    later = budget.restored(2 * NS_PER_MS).failed(BLIP, 3 * NS_PER_MS)
    again = plan(BLIP, talk(), later, 3 * NS_PER_MS, jitter=0.0, token_expires_ns=SOON_NS)
    assert RestoreContext in kinds(again)


@pytest.mark.parametrize(
    "code", ["beta_api_shape_disabled", "invalid_model", "http_404", "insufficient_quota"]
)
def test_permanent_refusal_is_not_tried_again(code: str) -> None:
    assert first_loss(failure(code), talk()) == (GiveUp("transfer", GiveUpReason.REFUSED),)


def test_refusal_of_a_fresh_token_ends_in_the_fallback() -> None:
    error = UpstreamError("no", code="http_401")
    budget = Budget(POLICY).restored(0).failed(classify(error), 0)
    refused = classify(error, key_is_fresh=True)
    assert kinds(plan(refused, talk(), budget.failed(refused, 1), 1, jitter=0.0)) == [GiveUp]


def test_steps_may_be_logged() -> None:
    log = talk()
    shown = repr(first_loss(BLIP, log)) + repr(first_loss(EXPIRED, log)) + repr(log)
    assert "order" not in shown


def test_what_ends_no_session_needs_no_step() -> None:
    late = classify_event(ApiError("invalid_request_error", "", "response_cancel_not_active"))
    for each in (late, failure("given_up"), failure("not_open")):
        assert first_loss(each, talk()) == ()


def test_caller_in_the_middle_of_a_turn_is_not_answered_before_its_end() -> None:
    log = talk(answered=False)
    log.feed(SpeechStarted(ItemId("u2"), 2_000))
    assert RequestResponse not in kinds(first_loss(BLIP, log))


def test_without_a_talk_there_is_nothing_to_give_back() -> None:
    assert kinds(first_loss(BLIP, ConversationLog())) == [FillSilence, Reconnect, ResendCaller]
    assert kinds(first_loss(EXPIRED, ConversationLog())) == [FillSilence, Reconnect, ResendCaller]


def test_failed_response_is_asked_for_again_in_the_same_session() -> None:
    done = ResponseDone(ResponseId("r"), ResponseStatus.FAILED, error_code="rate_limit_exceeded")
    limited = classify_response(done)
    assert limited is not None
    steps = first_loss(limited, talk())
    assert steps == (FillSilence(POLICY.filler_after_ms), RequestResponse(1_000))


def test_filler_waits_only_for_what_is_left_of_the_silence() -> None:
    budget = Budget(POLICY).restored(0).failed(BLIP, 0)
    now_ns = 1_000 * NS_PER_MS
    again = plan(BLIP, talk(), budget.failed(BLIP, now_ns), now_ns, jitter=0.0)
    assert again[0] == FillSilence(POLICY.filler_after_ms - 1_000)
    late_ns = 9_000 * NS_PER_MS
    assert plan(BLIP, talk(), budget, late_ns, jitter=0.0)[0] == FillSilence(0)


def reconnect(steps: tuple[Step, ...]) -> Reconnect:
    return next(step for step in steps if isinstance(step, Reconnect))


def attempts(jitters: list[float], attempt_ms: int) -> tuple[list[Reconnect], GiveUp, int]:
    """Lose a session and fail every attempt after ``attempt_ms``; give what was planned."""
    now_ns = 0
    budget = Budget(POLICY).restored(0)
    tried: list[Reconnect] = []
    for jitter in itertools.cycle(jitters):
        budget = budget.failed(BLIP, now_ns)
        steps = plan(BLIP, talk(), budget, now_ns, jitter=jitter)
        if isinstance(steps[0], GiveUp):
            return tried, steps[0], now_ns // NS_PER_MS
        step = reconnect(steps)
        tried.append(step)
        now_ns += (step.after_ms + min(attempt_ms, step.within_ms)) * NS_PER_MS
    raise AssertionError


def test_attempts_that_fail_at_once_are_spread_over_the_whole_budget() -> None:
    tried, given_up, elapsed_ms = attempts([0.5], attempt_ms=10)
    assert given_up == GiveUp("transfer", GiveUpReason.TOO_LONG)
    assert [step.after_ms for step in tried[:5]] == [50, 150, 300, 600, 1_200]
    assert POLICY.max_outage_ms - POLICY.last_attempt_ms <= elapsed_ms <= POLICY.max_outage_ms


def test_wait_that_the_service_asks_for_is_kept_and_leaves_time_for_a_last_attempt() -> None:
    budget = Budget(POLICY).failed(BLIP, 0)
    asked = replace(BLIP, wait_ms=3_000)
    assert reconnect(plan(asked, talk(), budget, 0, jitter=0.0)).after_ms == 3_000
    for wait_ms in (POLICY.max_outage_ms, 3_600_000):
        step = reconnect(plan(replace(BLIP, wait_ms=wait_ms), talk(), budget, 0, jitter=0.0))
        assert step.after_ms == POLICY.max_outage_ms - POLICY.last_attempt_ms
        assert step.within_ms == POLICY.last_attempt_ms


def test_attempts_are_bounded_in_time() -> None:
    _, given_up, elapsed_ms = attempts([0.5], attempt_ms=60_000)
    assert given_up == GiveUp("transfer", GiveUpReason.TOO_LONG)
    assert elapsed_ms <= POLICY.max_outage_ms


@given(
    jitters=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8),
    attempt_ms=st.integers(0, 20_000),
)
def test_no_recovery_outlives_its_budget(jitters: list[float], attempt_ms: int) -> None:
    tried, _, elapsed_ms = attempts(jitters, attempt_ms)
    assert len(tried) < 20
    assert elapsed_ms <= POLICY.max_outage_ms
    assert all(0 < step.within_ms <= POLICY.attempt_ms for step in tried)


def test_session_that_keeps_falling_over_is_given_up() -> None:
    budget, now_ns = Budget(POLICY).restored(0), 0
    for _ in range(POLICY.max_failures):
        now_ns += 5_000 * NS_PER_MS
        budget = budget.failed(BLIP, now_ns)
        steps = plan(BLIP, talk(), budget, now_ns, jitter=0.0)
        budget = budget.restored(now_ns)
    assert steps == (GiveUp("transfer", GiveUpReason.TOO_MANY),)


def test_session_that_stood_long_gets_the_whole_budget_again() -> None:
    budget = Budget(POLICY).restored(0).failed(BLIP, 1).failed(BLIP, 2).restored(3)
    again = budget.failed(BLIP, 4)
    assert (again.failures, again.losses) == (3, 2)
    later = budget.failed(BLIP, 3 + POLICY.stable_ms * NS_PER_MS)
    assert (later.failures, later.losses, later.spent_ms) == (1, 1, 0)


def test_session_that_has_answered_the_caller_gets_the_whole_budget_again() -> None:
    budget, now_ns = Budget(POLICY).restored(0), 0
    for _ in range(3 * POLICY.max_failures):
        now_ns += 5_000 * NS_PER_MS
        budget = budget.failed(BLIP, now_ns)
        steps = plan(BLIP, talk(), budget, now_ns, jitter=0.0)
        assert not any(isinstance(step, GiveUp) for step in steps)
        budget = budget.restored(now_ns + 2_000 * NS_PER_MS).proved()


def test_outages_in_a_row_share_one_budget() -> None:
    budget = Budget(POLICY).restored(0).failed(BLIP, 0).restored(9_000 * NS_PER_MS)
    budget = budget.failed(BLIP, 10_000 * NS_PER_MS)
    assert budget.left_ms(10_000 * NS_PER_MS) == POLICY.max_outage_ms - 9_000


@pytest.mark.parametrize(
    ("age_s", "quiet", "due"),
    [
        (3_299, True, False),
        (3_300, True, True),
        (3_300, False, False),
        (3_579, False, False),
        (3_580, False, True),
        (4_000, False, True),
        (0, True, False),
    ],
)
def test_rollover_waits_for_a_quiet_moment_but_not_for_the_limit(
    age_s: int, quiet: bool, due: bool
) -> None:
    assert rollover_due(age_s * 1_000, 3_600_000, quiet=quiet) is due


@given(limit_ms=st.integers(1_000, 7_200_000), quiet=st.booleans())
def test_rollover_is_never_due_early_and_always_before_the_limit(
    limit_ms: int, quiet: bool
) -> None:
    assert not rollover_due(limit_ms * 3 // 4, limit_ms, quiet=quiet)
    assert rollover_due(limit_ms - 1, limit_ms, quiet=quiet)


@given(failures=st.integers(1, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_backoff_grows_to_its_limit_and_is_spread(failures: int, jitter: float) -> None:
    backoff = Backoff(base_ms=100, limit_ms=3_000)
    wait_ms = backoff.wait_ms(failures, jitter)
    assert 0 <= wait_ms <= 3_000
    assert wait_ms <= backoff.wait_ms(failures + 1, jitter)
    if failures > 1:
        assert wait_ms >= min(100 * 2 ** min(failures - 2, 10), 3_000) // 2


@pytest.mark.parametrize(("failures", "jitter"), [(0, 0.5), (1, 1.0), (1, -0.1)])
def test_backoff_refuses_nonsense(failures: int, jitter: float) -> None:
    with pytest.raises(ValueError, match="no wait"):
        Backoff().wait_ms(failures, jitter)


def shown(*pictures: bytes) -> ConversationLog:
    """A caller has asked and was answered; then the agent was shown pictures."""
    log = talk()
    for data in pictures:
        words = ContentPart(PartKind.INPUT_TEXT, "A picture.")
        log.sent(CreateItem(Message(Role.USER, (words, read_picture(data).part))))
    return log


def urls(steps: tuple[Step, ...]) -> list[str | None]:
    """Return the pictures that a new session is given."""
    items = [
        item
        for step in steps
        if isinstance(step, RestoreContext | SummariseContext)
        for item in step.items
        if isinstance(item, Message)
    ]
    parts = [part for item in items for part in item.parts]
    return [part.image_url for part in parts if part.kind is PartKind.INPUT_IMAGE]


def url(data: bytes) -> str | None:
    return read_picture(data).part.image_url


@pytest.mark.parametrize("why", [BLIP, EXPIRED], ids=["whole talk", "summary"])
def test_next_session_is_given_the_latest_pictures_again(why: Failure) -> None:
    pictures = [png(size, size) for size in (1, 2, 3)]
    log = shown(*pictures)
    budget = Budget(POLICY).failed(why, 0)
    assert urls(restoration(log, budget, takes_pictures=True)) == [url(p) for p in pictures[1:]]
    text = repr(restoration(log, budget, takes_pictures=True))
    assert text.count("base64") == 0


@pytest.mark.parametrize("why", [BLIP, EXPIRED], ids=["whole talk", "summary"])
def test_session_that_takes_none_has_words_in_their_place(why: Failure) -> None:
    log = shown(png(1, 1))
    assert urls(restoration(log, Budget(POLICY).failed(why, 0))) == []


def test_pictures_that_sessions_may_be_closed_for_are_given_once_more_alone() -> None:
    log, too_big = shown(png(1, 1)), failure("closed", 1009)
    once = Budget(POLICY).failed(too_big, 0)
    again = once.restored(1).failed(too_big, 2)
    answered = again.restored(3).proved().failed(too_big, 4)
    assert len(urls(restoration(log, once, takes_pictures=True))) == 1
    assert urls(restoration(log, again, takes_pictures=True)) == []
    assert len(urls(restoration(log, answered, takes_pictures=True))) == 1


def test_picture_is_nobodys_word() -> None:
    log = shown()
    log.sent(CreateItem(FunctionCallOutput(ToolCallId("c1"), "{}")))
    log.feed(AudioDelta(response_id=ResponseId("r2"), item_id=ItemId("a1"), audio=bytes(48)))
    log.feed(ResponseDone(ResponseId("r2"), ResponseStatus.COMPLETED))
    words = ContentPart(PartKind.INPUT_TEXT, "A picture.")
    log.sent(CreateItem(Message(Role.USER, (words, read_picture(png(1, 1)).part))))
    assert not log.owes_answer
    assert "Note: A picture." in log.summary(1_000)
    log.sent(CreateItem(Message(Role.USER, (words,))))
    assert log.owes_answer
