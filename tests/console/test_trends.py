"""Figures by hour and route, and the calls that each must not count."""

import pytest

from bridge.console.tally import HOUR_MS, SERVICE_LEVEL_MS, by_hour, by_route, shift_hours
from bridge.store.client import RedisLink
from tests.console.conftest import Browser, Console
from tests.console.live import begin_call

GOOD = {
    "dialplan": "support",
    "started_at": HOUR_MS + 5,
    "answered_at": HOUR_MS + 10,
    "outcome": "completed",
    "fault": "none",
    "duration_ms": 60_000,
    "average_response_ms": 800,
}

WAITED = {"handoff_result": "accepted", "handoff_wait_ms": SERVICE_LEVEL_MS}


def test_calls_are_of_the_hour_and_the_route_in_which_they_began() -> None:
    later = {**GOOD, "started_at": 2 * HOUR_MS, "duration_ms": 30_000}
    other = {**GOOD, "dialplan": "billing", "started_at": 2 * HOUR_MS - 1}
    found = [(row["hour_at"], row["route"], row["calls"]) for row in by_route([later, GOOD, other])]
    assert found == [(HOUR_MS, "billing", 1), (HOUR_MS, "support", 1), (2 * HOUR_MS, "support", 1)]


@pytest.mark.parametrize(
    ("figure", "counted", "not_counted"),
    [
        ("answered", {}, {"answered_at": 0}),
        ("contained", {}, {"outcome": "node_lost"}),
        ("contained", {}, {"handled_by": "eve"}),
        ("contained", {}, {"handoff_target": "billing"}),
        ("contained", {}, {"answered_at": 0}),
        ("with_person", {"handled_by": "eve"}, {}),
        ("with_person", {"handoff_result": "accepted"}, {"handoff_result": "caller_left"}),
        ("abandoned", {"handoff_result": "caller_left"}, {"handoff_result": "no_answer"}),
        ("broken", {"fault": "provider"}, {"fault": "caller"}),
        ("broken", {"fault": "bridge"}, {"fault": "none"}),
        ("offered", {"handoff_result": "no_answer"}, {"handoff_result": "waiting"}),
        ("offered", {"handoff_result": "no_answer"}, {}),
        ("in_time", WAITED, {**WAITED, "handoff_wait_ms": SERVICE_LEVEL_MS + 1}),
        ("in_time", WAITED, {**WAITED, "handoff_result": "caller_left"}),
    ],
)
def test_figure_counts_this_call_and_not_that_one(
    figure: str, counted: dict[str, object], not_counted: dict[str, object]
) -> None:
    (row,) = by_route([{**GOOD, **counted}, {**GOOD, **not_counted}])
    assert row[figure] == 1


def test_averages_leave_out_calls_that_were_not_answered_or_have_no_figure() -> None:
    unanswered = {**GOOD, "answered_at": 0, "duration_ms": 5}
    mute = {**GOOD, "average_response_ms": None, "duration_ms": 20_000}
    (row,) = by_route([GOOD, unanswered, mute])
    assert (row["average_duration_ms"], row["average_response_ms"]) == (40_000, 800)


def test_hour_of_all_routes_is_no_mean_of_means() -> None:
    calls = [GOOD, GOOD, {**GOOD, "dialplan": "billing", "duration_ms": 30_000}]
    (hour,) = by_hour(calls)
    assert (hour["calls"], hour["average_duration_ms"]) == (3, 50_000)
    assert [row["average_duration_ms"] for row in by_route(calls)] == [30_000, 60_000]


def test_wallboard_and_trends_say_the_same_of_an_hour() -> None:
    calls = [
        {**GOOD, **more}
        for more in (
            {},
            {"outcome": "node_lost"},
            WAITED,
            {"handoff_result": "caller_left"},
            {"answered_at": 0},
        )
    ]
    (trend,), wall = by_hour(calls), shift_hours(calls, 2 * HOUR_MS - 1)[-1]
    assert wall == {
        "service_level": trend["service_level"],
        "abandoned": trend["abandonment"],
        "containment": trend["containment"],
        "ended_last_hour": trend["calls"],
    }
    assert (trend["service_level"], trend["containment"]) == (0.5, 0.75)


@pytest.mark.redis
async def test_trends_are_of_the_hours_asked_for_and_of_ones_own_routes(
    console: Console, browser: Browser, redis: RedisLink
) -> None:
    now_ms = console.clock.wall_ns() // 1_000_000
    hour_at = now_ms // HOUR_MS * HOUR_MS
    for call_id, route, began_ms in (
        ("c_now", "support", hour_at),
        ("c_vip", "vip", hour_at),
        ("c_old", "support", hour_at - 30 * HOUR_MS),
    ):
        ended = {"started_at": str(began_ms), "answered_at": str(began_ms + 1)}
        await begin_call(redis, call_id, route, **ended, ended_at=str(began_ms + 9))
        await redis.ask(["ZADD", "bridge:calls:ended", str(began_ms + 9), call_id])
    await console.add_user("vic", "viewer", routes=("support",))
    await console.sign_in(browser, "vic")
    _, found = await browser.get("/api/v1/trends")
    assert [(row["hour_at"], row["route"], row["calls"]) for row in found["rows"]] == [
        (hour_at, "support", 1)
    ]
    assert (found["known_since_at"], found["routes"]) == (hour_at, ["support"])
    assert [(hour["hour_at"], hour["calls"]) for hour in found["hours"]] == [(hour_at, 1)]
    _, other = await browser.get("/api/v1/trends?route=vip")
    assert (other["rows"], other["hours"], other["routes"]) == ([], [], ["support"])
