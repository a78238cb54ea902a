"""Each figure on a screen is defined in the handbook, and has a call that it must not count.

The pages are walked in a browser: a label beside a figure that the handbook lacks fails.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from playwright.async_api import Page, expect

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundStarted, SoundStopped
from bridge.clock import NS_PER_MS, SystemClock
from bridge.config.rollouts import RolloutSettings
from bridge.console.live_row import live_row
from bridge.engine.inputs import HoldChanged
from bridge.engine.news import Interrupted, SilenceMeasured, Speaker
from bridge.live.filler import FILLER_ITEM
from bridge.live.records.summary import CallSummary, ToolRun, Turn
from bridge.realtime.events import SpeechStarted
from bridge.realtime.ids import ItemId
from bridge.routing.rollout import changes
from bridge.routing.rollout.decision import CallFacts, decide
from bridge.routing.rollout.observed import Loss, Observed
from bridge.routing.rollout.state import RolloutState, flag_of
from bridge.store.rollout_status import arms_of, calls_by_arm
from bridge.telemetry.turn_latency import TurnLatency
from tests.console.desk import Desk
from tests.deploy.rules import DEPLOY
from tests.engine.calls import A1, R1, U2, audio, done, of, thinking
from tests.live.records.test_turns import Turns
from tests.live.records.test_vitals import Call, started
from tests.live.records.test_waits import Waits

HANDBOOK = (
    (DEPLOY / "CONSOLE.md")
    .read_text(encoding="utf-8")
    .partition("## What the figures mean")[2]
    .partition("\n## ")[0]
)
_ROW = re.compile(r"^\| ([^|]+) \| [^|]+ \|", re.MULTILINE)

DEFINED = {
    name.strip(" `").lower()
    for row in _ROW.findall(HANDBOOK)
    for name in re.split(r", | \(history\)", row)
}

_SAME = {
    "taken within 20 s": "taken in time",
    "mean wait": "average_wait_ms",
    "ai alone": "contained",
    "offered a person": "offered",
    "calls ended, last hour": "ended_last_hour",
    "mean length": "average_duration_ms",
    "mean answer": "average_response_ms",
}
"""What a page calls a figure that the handbook has under its name in the API."""

_NO_FIGURES = frozenset(
    {
        *("call", "node", "dialled", "route", "arm", "dialect and model", "began", "answered"),
        *("caller id check", "consent", "transfer", "summary for the person", "end", "reason"),
        *("fault owner", "model", "codec", "rollout", "recording", "call id", "had the caller"),
        *("wrap-up", "note", "tool", "result", "took"),
    }
)
"""Facts of one call: names, moments, words."""

_LABELS = """() => [
    ...[...document.querySelectorAll('th.number button, .tile .label, dl.facts dt')]
        .map((each) => each.textContent),
    ...[...document.querySelectorAll('.charts h2 > span:first-child')].map((e) => e.textContent),
]"""

_ALL_COLUMNS = """(name) => localStorage.setItem(name, '[]')"""


async def _undefined(page: Page, *more: str) -> list[str]:
    """Return the labels of figures on a page that the handbook does not define."""
    labels = [each.strip().lower() for each in await page.evaluate(_LABELS)]
    return [
        each
        for each in [*labels, *more]
        if _SAME.get(each, each) not in DEFINED and each not in _NO_FIGURES
    ]


@pytest.mark.browser
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_every_figure_of_every_page_is_defined(desk: Desk) -> None:
    """Columns that are not shown at first are, too."""
    places = {
        "calls": "#live-table tbody tr >> nth=6",
        "history": "#list tbody tr >> nth=5",
        "history/c_over0": "#call .card >> nth=1",
        "queue": "#list .summary",
        "wallboard": "#wall .tile >> nth=8",
        "rollouts": "#list .arm >> nth=1",
        "trends": "#list tbody tr >> nth=0",
    }
    undefined = {}
    async with desk.opens("account") as page:
        for path, shown in places.items():
            await page.goto(f"{desk.url}/{path}")
            await page.locator(shown).wait_for()
            for chooser in await page.get_by_text("Columns", exact=True).all():
                await chooser.click()
                for box in await page.locator(".columns-menu input[type=checkbox]").all():
                    await box.check()
            assert await page.evaluate(_LABELS), path
            undefined[path] = await _undefined(page)
        await page.goto(f"{desk.url}/calls#c_live1")
        await page.get_by_role("tab", name="Details").click()
        undefined["drawer"] = await _undefined(page)
    assert undefined == {path: [] for path in undefined}


@pytest.mark.browser
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_tiles_of_the_live_list_count_the_calls_that_they_name(desk: Desk) -> None:
    async with desk.opens("calls", "supervisor") as page:
        await expect(page.locator("#sum-live")).to_have_text("7")
        await expect(page.locator("#sum-bad")).to_have_text("2")
        await expect(page.locator("#sum-waiting")).to_have_text("1")
        await expect(page.locator("#sum-human")).to_have_text("1")
        fields = {"state": "speaking", "held_by": "sam", "hold": "joined", "health": 70}
        async with desk.with_call("c_joined", **fields):
            await expect(page.locator("#sum-live")).to_have_text("8")
            await expect(page.locator("#sum-bad")).to_have_text("2")
            await expect(page.locator("#sum-human")).to_have_text("1")
        await expect(page.locator("#sum-live")).to_have_text("7")  # one that is over is none


@pytest.mark.browser
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_age_counts_no_clock_that_is_wrong_and_the_ringing_too(desk: Desk) -> None:
    """The browser's clock is an hour ahead; the call rang for most of its life."""
    now_ms = SystemClock().wall_ns() // NS_PER_MS
    rang = {"dialplan": "rang", "started_at": now_ms - 600_000, "answered_at": now_ms - 5_000}
    async with desk.with_call("c_rang", **rang), desk.opens("calls", "supervisor") as page:
        await page.clock.install(time=(now_ms + 3_600_000) / 1000)
        await page.reload()
        row = page.locator("#live-table tbody tr", has_text="rang")
        await expect(row.locator('td[data-column="age"]')).to_have_text(re.compile(r"^1\d:\d\d$"))


@pytest.mark.browser
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_rescued_call_names_the_arm_that_serves_it(desk: Desk) -> None:
    fields = {"arm": "ga-next", "rescued_by": "ga"}
    async with desk.with_call("c_rescued", **fields), desk.opens("calls#c_rescued") as page:
        await expect(page.locator("#drawer")).to_contain_text("arm ga-next, rescued by ga")


@pytest.mark.browser
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_history_counts_no_call_that_broke_off_as_ended_well(desk: Desk) -> None:
    async with desk.opens("history", "supervisor") as page:
        ends = page.locator('#list td[data-column="outcome"] .badge')
        await expect(ends.nth(5)).to_be_visible()
        found = await ends.all_inner_texts()
        well = sum(each in ("completed", "transferred") for each in found)
        assert 0 < well < len(found)
        share = f"{100 * well / len(found):.0f}%"
        await expect(page.locator("#count")).to_have_text(f"{len(found)} calls, {share} ended well")


def _summary() -> CallSummary:
    return CallSummary("c_1", "support", "ga", "ga", "100")


def _filler_is_heard() -> Iterator[bool]:
    call = Call()
    call.vitals.on_sound(SoundStarted(0))
    call.vitals.on_sound(SoundStopped(0))
    since = call.fields["silent_since_at"]
    call.now_ms += 500
    call.vitals.on_playout(started(FILLER_ITEM))
    yield call.fields["silent_since_at"] == since != 0
    call.vitals.on_playout(started())
    yield call.fields["silent_since_at"] == 0


def _silence_with_a_person() -> Iterator[bool]:
    fields = {"silent_since_at": "1", "health": "100"}
    yield live_row({**fields, "state": "human"}, 60_000)["health"] == 100
    yield live_row({**fields, "state": "listening"}, 60_000)["health"] != 100
    yield live_row({**fields, "state": "listening"}, 7_999)["health"] == 100


def _same_state_goes_on() -> Iterator[bool]:
    call = Call()
    call.phase("listening")
    since = call.fields["state_since_at"]
    call.now_ms += 500
    call.phase("listening")
    yield call.fields["state_since_at"] == since
    call.phase("thinking")
    yield call.fields["state_since_at"] == call.now_ms


def _turn_without_an_answer() -> Iterator[bool]:
    call = Call()
    call.vitals.take("measured", {"response_ms": "675.4"})
    call.vitals.take("measured", {"capture_ms": "30.0"})
    yield call.fields["last_turn_ms"] == 675


def _supervisor_cuts_the_agent() -> Iterator[bool]:
    call = Call()
    call.vitals.take("agent_cut", {"by": "supervisor", "played_ms": 10})
    yield call.fields["interruptions_caller"] == 0
    call.vitals.take("interrupted", {"played_ms": 10})
    yield call.fields["interruptions_caller"] == 1


def _filler_over_the_caller() -> Iterator[bool]:
    call = Call()
    call.vitals.on_sound(SoundStarted(0))
    call.vitals.on_playout(started(FILLER_ITEM))
    yield call.fields["interruptions_agent"] == 0
    call.vitals.on_playout(started())
    call.phase("speaking")
    yield call.fields["interruptions_agent"] == 1


def _tool_that_was_stopped() -> Iterator[bool]:
    call = Call()
    for fault in ("none", "tool"):
        call.vitals.take("tool_called", {})
        call.vitals.take("tool_ended", {"fault": fault})
    yield call.fields["tool_failures"] == 1
    summary = _summary()
    summary.tools = [
        ToolRun("a", ok=True, took_ms=1),
        ToolRun("b", ok=False, took_ms=1, fault="tool"),
    ]
    rate = summary.tool_success_rate
    summary.tools.append(ToolRun("c", ok=False, took_ms=1, fault="none"))
    yield rate == summary.tool_success_rate == 0.5


def _private_listener() -> Iterator[bool]:
    row = live_row({"watchers": "1", "watched_by": '{"ann": "listens"}'}, 1)
    yield row["watchers"] == 1
    yield "watchers" not in live_row({"watchers": "0", "watched_by": ""}, 1)


def _bridges_own_words() -> Iterator[bool]:
    summary = _summary()
    summary.turns = [Turn(each, "x") for each in Speaker]
    yield summary.figures()["turns"] == 2


def _answers() -> Iterator[bool]:
    summary = _summary()
    summary.turns = [Turn(Speaker.AGENT, "x", latency_ms=ms) for ms in (400, 600, None)]
    yield summary.figures()["average_response_ms"] == 500
    summary.latency = [TurnLatency(1, 500.0, {}), TurnLatency(2, None, {"model": 9_000.0})]
    yield summary.figures()["response_p95_ms"] == 500


def _cut_by_a_supervisor_in_the_record() -> Iterator[bool]:
    turns = Turns()
    for by in (Speaker.SUPERVISOR, Speaker.CALLER):
        turns.record.effects[Interrupted](Interrupted(ItemId("item_1"), 10, 10, by))
    yield turns.summary.interruptions == 1


def _callers_own_fault() -> Iterator[bool]:
    plan = RolloutSettings(control="a", treatment="b")
    for fault, bad in (("caller", False), ("carrier", False), ("provider", True)):
        seen = Observed(losses=(Loss("x", "connection", fault),))
        yield bool(seen.badness(plan)) == bad
    yield not Observed(set_up=False).says_something  # hung up before there was a session


def _unknown_stays_unknown() -> Iterator[bool]:
    yield _summary().figures()["cost_usd"] is None
    summary = _summary()
    summary.mos = {"in": 4.2, "out": None}
    yield "mos_out" not in summary.figures()


def _silence_that_nobody_owes() -> Iterator[bool]:
    waits = Waits()
    call = thinking()
    for event, after_ms in (
        (HoldChanged(held=True), 300.0),
        (HoldChanged(held=False), 60_000.0),
        (audio(A1, R1), 0.0),
        (PlayoutStarted(A1, 0), 400.0),
        (done(R1), 0.0),
        (PlayoutDrained(), 100.0),
        (SpeechStarted(U2, 0), 60_000.0),  # the caller's own silence
    ):
        waits.tell(*of(SilenceMeasured, call.feed(event, after_ms=after_ms)))
    yield waits.summary.longest_silence_ms == 400


def _rescued_from_the_arm() -> Iterator[bool]:
    dealt = {"arm": "new", "state": "listening"}
    rows = [live_row(each, 1) for each in (dealt, {**dealt, "rescued_by": "old"})]
    yield calls_by_arm(rows) == {"new": 1, "old": 1}


def _dealt_without_a_draw() -> Iterator[bool]:
    plan = RolloutSettings(control="old", treatment="new")
    state = changes.set_share(RolloutState(), 25, 1)
    flag = flag_of("voice", plan, state)
    draws = [decide(flag, CallFacts(f"caller {number}")).arm for number in range(4_000)]
    yield 0.23 < draws.count("new") / len(draws) < 0.27
    state = replace(state, overrides={"caller:+4930*": "new"}, stopped=frozenset({"old"}))
    arms = arms_of(plan, state, calls_by_arm([{"arm": "new"}] * 9))
    yield [arms[arm]["percent"] for arm in ("old", "new")] == [75, 25]


MUST_NOT_COUNT: dict[str, Callable[[], Iterator[bool]]] = {
    "silence": _filler_is_heard,
    "health": _silence_with_a_person,
    "in state": _same_state_goes_on,
    "last answer": _turn_without_an_answer,
    "cuts: caller / ai": _supervisor_cuts_the_agent,
    "cut in by the agent": _filler_over_the_caller,
    "tool failures": _tool_that_was_stopped,
    "tools": _tool_that_was_stopped,
    "watching": _private_listener,
    "turns": _bridges_own_words,
    "answers: mean": _answers,
    "p95": _answers,
    "barge-ins": _cut_by_a_supervisor_in_the_record,
    "cut by the caller": _cut_by_a_supervisor_in_the_record,
    "bad ones": _callers_own_fault,
    "calls judged in this step": _callers_own_fault,
    "longest silence": _silence_that_nobody_owes,
    "calls now": _rescued_from_the_arm,
    "share of new calls": _dealt_without_a_draw,
    "voice quality (mos)": _unknown_stays_unknown,
    "cost": _unknown_stays_unknown,
}


@pytest.mark.parametrize("figure", MUST_NOT_COUNT)
def test_figure_does_not_count_what_it_must_not(figure: str) -> None:
    assert figure in DEFINED
    assert all(list(MUST_NOT_COUNT[figure]()))
