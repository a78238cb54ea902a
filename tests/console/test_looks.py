"""Pages with two hundred rows and long names, in light and dark, on every window."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect

from bridge.clock import NS_PER_MS, SystemClock
from bridge.store.client import RedisLink
from bridge.store.keys import Keys
from tests.console.desk import Desk
from tests.console.looks import LONG, faults_of_looks

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

_ROWS = 200
_CALLER = f"sip:{LONG}@carrier-with-a-long-name.example"
_TARGET = "second_line_for_partners_in_the_north_and_the_south"
_SUMMARY = f"Wants the payment for {'9' * 60} back, and asks for {LONG}. " * 4
_TROUBLE = (
    f"/srv/{'recordings_of_the_north_and_the_south/' * 3} (recordings) takes no files: No space "
    "left on device; 12 records wait in Redis until the disk takes them"
)
_KEYS = Keys("bridge:")


async def test_two_hundred_callers_wait(desk: Desk, tmp_path: Path) -> None:
    now_ms = SystemClock().wall_ns() // NS_PER_MS
    async with AsyncExitStack() as calls:
        for number in range(_ROWS):
            waits = {
                "from": _CALLER,
                "dialplan": _TARGET,
                "state": "transferring",
                "handoff_target": _TARGET,
                "handoff_summary": _SUMMARY if number % 2 else "",
                "handoff_result": "waiting",
                "health_reasons": "3 long silences; a tool failed; the AI was cut off 7 times",
                "held_by": LONG if number % 3 else "",
                "waiting_since_at": now_ms - 3_700_000 + number,
            }
            await calls.enter_async_context(desk.with_call(f"c_wait{number:03}", **waits))
        async with desk.opens("queue", "supervisor") as page:
            cards = page.locator("#list article")
            await expect(cards.nth(_ROWS - 1)).to_be_visible()
            asked = ("#main .head", "#list article:first-child")
            assert await faults_of_looks(page, "queue", tmp_path, *asked) == []


def _long_record(desk: Desk, call_id: str) -> None:
    """Write a record of two hundred turns, tools and failures with long names."""
    folder = desk.floor.directory / "recordings"
    record = json.loads((folder / f"{desk.floor.over}.json").read_text(encoding="utf-8"))
    record |= {"call_id": call_id, "caller": _CALLER, "route": _TARGET, "model": f"gpt-{LONG}"}
    for part in ("turns", "tools", "handoffs", "latency"):
        many = record[part] * (_ROWS // len(record[part]) + 1)
        record[part] = many[:_ROWS] if part == "turns" else many[:20]
    record["turns"][1] |= {"text": _SUMMARY}
    record["tools"][0] |= {"name": _TARGET * 2}
    record["handoffs"][0] |= {"target": _CALLER}
    record["failures"] = [{"code": "session_lost", "at_ms": 9_000, "fault": "provider"}]
    record["wrap_up"] = {"code": "second_parcel", "note": _SUMMARY, "by": LONG}
    (folder / f"{call_id}.json").write_text(json.dumps(record), encoding="utf-8")


async def test_call_of_two_hundred_turns(desk: Desk, tmp_path: Path) -> None:
    call_id, now_ms = "c_long", SystemClock().wall_ns() // NS_PER_MS
    _long_record(desk, call_id)
    began = {"from": _CALLER, "dialplan": _TARGET, "arm": f"ga-{LONG}", "started_at": now_ms}
    desk.floor.begin(call_id, **began)
    for number in range(_ROWS):
        said = {"speaker": "caller", "item_id": f"i{number}", "text": _SUMMARY}
        desk.floor.store.event(call_id, "turn", said)
    noted = {"by": LONG, "text": _SUMMARY, "when": "now"}
    desk.floor.store.event(call_id, "whispered", noted)
    desk.floor.store.end(
        call_id,
        {
            "outcome": "session_lost",
            "fault": "provider",
            "ended_at": now_ms + 95_000,
            "handled_by": LONG,
        },
    )
    await desk.floor.settle()
    async with desk.opens(f"history/{call_id}", "supervisor") as page:
        await expect(page.locator("#call .turn").nth(_ROWS - 1)).to_be_attached()
        await expect(page.locator("#events li").nth(_ROWS - 1)).to_be_attached()
        asked = ("#main .head", "section[aria-label='How it ended']", "section[aria-label=Tools]")
        assert await faults_of_looks(page, "call", tmp_path, *asked) == []


async def test_history_of_two_hundred_calls(desk: Desk, tmp_path: Path) -> None:
    now_ms = SystemClock().wall_ns() // NS_PER_MS
    for number in range(_ROWS):
        call_id = f"c_hist{number:03}"
        began = {"from": _CALLER, "dialplan": _TARGET, "arm": f"ga-{LONG}", "started_at": now_ms}
        desk.floor.begin(call_id, **began)
        desk.floor.store.end(
            call_id,
            {"outcome": "session_lost", "fault": "provider", "ended_at": now_ms + 95_000},
        )
    await desk.floor.settle()
    async with desk.opens("history", "supervisor") as page:
        rows = page.locator("#list tbody tr")
        await expect(rows.nth(40)).to_be_visible()
        asked = ("#main .head", "#list tbody tr:first-child")
        assert await faults_of_looks(page, "history", tmp_path, *asked) == []


@asynccontextmanager
async def _in_trouble(redis_url: str, nodes: Sequence[str]) -> AsyncIterator[None]:
    """Have gateways say that something is wrong with them while the block runs."""
    link = RedisLink(redis_url, timeout_s=2)
    in_an_hour_ms = SystemClock().wall_ns() // NS_PER_MS + 3_600_000
    for node in nodes:
        key = _KEYS.node(node)
        await link.ask(["HSET", key, "updated_at", in_an_hour_ms, "troubles", _TROUBLE])
        await link.ask(["ZADD", _KEYS.nodes, 0, node])
    try:
        yield
    finally:
        for node in nodes:
            await link.ask(["ZREM", _KEYS.nodes, node])
            await link.ask(["DEL", _KEYS.node(node)])
        await link.aclose()


@pytest.mark.parametrize("path", ["calls", "wallboard"])
async def test_gateways_in_trouble(desk: Desk, tmp_path: Path, path: str) -> None:
    nodes = [f"gateway-of-the-north-and-the-south-{number}" for number in range(2)]
    async with _in_trouble(desk.floor.redis_url, nodes), desk.opens(path, "supervisor") as page:
        await expect(page.locator("#troubles")).to_contain_text(f"Gateway {nodes[-1]}: /srv/")
        await expect(page.locator("#troubles > span")).to_have_count(len(nodes))
        assert await faults_of_looks(page, f"troubles-{path}", tmp_path, "#troubles") == []
        if path == "wallboard":  # nobody scrolls a wall
            await expect(page.locator("#wall .tile").last).to_be_in_viewport(ratio=1)
