"""INVITEs that became no call: what the API says of them, and the page that shows them."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect

from bridge.clock import Clock, SystemClock
from bridge.sip.trace import CallTrace, TracedMessage, encode_trace
from bridge.store.client import RedisLink
from bridge.store.control import Answer
from bridge.store.local import LocalRedis
from bridge.store.sip_messages import REFUSED
from tests.console.conftest import Browser, Console
from tests.console.desk import Desk
from tests.console.floor import EVIL
from tests.console.live import KEYS, Node, a_node
from tests.console.looks import faults_of_looks

pytestmark = pytest.mark.redis

_HEAD = "Call-ID: r1\r\nCSeq: 7 INVITE\r\n"
_INVITE = f"INVITE sip:+15550123@bridge.example SIP/2.0\r\nFrom: <sip:+15550177@c>\r\n{_HEAD}\r\n"
_BUSY = f'SIP/2.0 404 No Dialplan\r\nReason: Q.850;cause=1;text="no +15550123"\r\n{_HEAD}\r\n'


def message(text: str, *, sent: bool, after_ms: int) -> TracedMessage:
    at_ns = (1_790_000_000_000 + after_ms) * 1_000_000
    return TracedMessage(at_ns, sent, "caller", "192.0.2.7:5066", "10.0.0.1:5060", "UDP", text)


def group(trunk: str, answer: str, refused: int, last_s: int) -> dict[str, object]:
    times = {"first_at_ms": 1_790_000_000_000, "last_at_ms": 1_790_000_000_000 + 1000 * last_s}
    return {"trunk": trunk, "answer": answer, "refused": refused, "kept": 1, **times}


def refused() -> Answer:
    about = {"trunk": "carrier", "answer": "404 No Dialplan", "left_out": 0}
    said = (message(_INVITE, sent=False, after_ms=0), message(_BUSY, sent=True, after_ms=3))
    trace = encode_trace(CallTrace(about, said)).decode()
    groups = [group("", f"403 {EVIL}", 900, 1), group("carrier", "404 No Dialplan", 2, 60)]
    return Answer(True, result={"groups": groups, "traces": [trace]})


@asynccontextmanager
async def refusing(url: str, clock: Clock, *mute: str) -> AsyncIterator[Node]:
    """Have `node-a` answer, beside nodes that have a heartbeat and nothing to say."""
    link, names = RedisLink(url, timeout_s=2), ("node-a", *mute)
    async with aclosing(link):
        for name in names:
            await link.ask(["HSET", KEYS.node(name), "http", ""])
            await link.ask(["ZADD", KEYS.nodes, "1", name])
        async with a_node(url, link, clock) as node:
            node.answer = refused()
            yield node
        for name in names:
            await link.ask(["DEL", KEYS.node(name)])
            await link.ask(["ZREM", KEYS.nodes, name])


async def test_they_are_listed_by_trunk_and_answer_and_a_mute_node_is_named(
    console: Console, browser: Browser, redis_server: LocalRedis
) -> None:
    await console.add_user("sue", "supervisor", routes=("support",))
    await console.sign_in(browser, "sue")
    async with refusing(redis_server.url, console.clock, "node-b") as node:
        status, found = await browser.get("/api/v1/refusals")
        assert (status, found["mute"]) == (200, ["node-b"])
        assert [(each["node"], each["answer"]) for each in found["groups"]] == [
            ("node-a", "404 No Dialplan"),
            ("node-a", f"403 {EVIL}"),
        ]
        (command,) = node.commands
        assert (command.action, command.by, command.params) == (REFUSED, "sue", {"most": 0})


async def test_messages_are_those_of_the_group_and_name_no_number(
    console: Console, browser: Browser, redis_server: LocalRedis
) -> None:
    await console.add_user("sue", "supervisor")
    await console.sign_in(browser, "sue")
    async with refusing(redis_server.url, console.clock) as node:
        asked = "/api/v1/refusals/messages?trunk=carrier&answer=404%20No%20Dialplan"
        status, found = await browser.get(asked)
        assert status == 200
        (command,) = node.commands
        assert command.params == {"trunk": "carrier", "answer": "404 No Dialplan", "most": 3}
        ((invite, answer),) = [each["messages"] for each in found["refusals"]]
        assert (invite["what"], invite["sent"]) == ("INVITE", False)
        assert (answer["what"], answer["after_ms"]) == ("404 No Dialplan (INVITE)", 3.0)
        assert "***23" in answer["reason"]
        assert "5550" not in str(found)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_page_shows_them_and_what_was_said(desk: Desk, tmp_path: Path) -> None:
    async with (
        refusing(desk.floor.redis_url, SystemClock()) as node,
        desk.opens("refusals", "supervisor") as page,
    ):
        rows = page.locator("#list tbody tr")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("404 No Dialplan")
        await expect(rows.nth(1).locator("td").first).to_have_text(f"403 {EVIL}")
        await expect(rows.nth(1)).to_contain_text("no trunk")
        await expect(page.locator("#count")).to_have_text("902 refused")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        said = page.locator("#said-there")
        await expect(said).to_be_focused()
        heading = said.get_by_role("heading")
        await expect(heading).to_have_text("404 No Dialplan, carrier: the latest")
        await expect(said.locator("tbody tr")).to_have_count(2)
        await expect(said.locator("tr.refused .what")).to_have_text("404 No Dialplan (INVITE)")
        wanted = {"trunk": "carrier", "answer": "404 No Dialplan", "most": 3}
        assert wanted in [each.params for each in node.commands]
        assert await page.locator("#main script, #main img").count() == 0
        asked = ("#main .head", "#list tbody tr:first-child", "#said-there")
        assert await faults_of_looks(page, "refusals", tmp_path, *asked) == []
        await page.locator("#search").fill("carrier")
        await expect(rows).to_have_count(1)
        await page.locator("#search").fill("nothing of that")
        await expect(page.locator("#none")).to_contain_text("Nothing matches")
        await page.keyboard.press("Escape")
        await expect(said).to_be_hidden()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_page_says_that_nothing_was_refused_and_whose_answer_is_missing(desk: Desk) -> None:
    async with refusing(desk.floor.redis_url, SystemClock(), "node-b") as node:
        node.answer = Answer(True, result={"groups": [], "traces": []})
        async with desk.opens("refusals", "operator") as page:
            await expect(page.locator("#none")).to_contain_text("No call was refused")
            await expect(page.locator("#mute")).to_have_text(
                "No answer from node-b: theirs are missing."
            )
