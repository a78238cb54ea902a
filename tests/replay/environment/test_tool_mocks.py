"""Tool mocks answer as scripts say, fail as they say, and remember who asked what."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from bridge.clock import SystemClock
from bridge.replay.environment.tool_mocks import ToolMocks
from bridge.replay.script import ToolMock
from bridge.routing.tools import Webhook
from bridge.tools.webhook import ToolRequest, ToolResult, WebhookClient


@pytest.fixture
async def mocks() -> AsyncIterator[ToolMocks]:
    async with ToolMocks() as running:
        yield running


def tools_of(mocks: ToolMocks, environment: str, tools: tuple[ToolMock, ...]) -> str:
    """Set an environment's tools; return the URL below which they are."""
    mocks.set(environment, tools)
    return mocks.url_of(environment)


async def _ask(url: str, name: str, call_id: str = "c_1", *, timeout_s: float = 5.0) -> ToolResult:
    """Ask as a gateway does."""
    client = WebhookClient(SystemClock(), {})
    webhook = Webhook(url=f"{url}/{name}", allow_private=True, timeout_s=timeout_s, retries=0)
    facts = {"call_id": call_id, "route": "r", "from": "a", "to": "b"}
    try:
        return await client.call(
            webhook, ToolRequest(name, {"account": "1234"}, "key", facts), deadline_s=20.0
        )
    finally:
        await client.aclose()


async def test_a_tool_returns_what_its_script_says(mocks: ToolMocks) -> None:
    url = tools_of(mocks, "s", (ToolMock(name="pay", returns={"amount": 42}),))
    result = await _ask(url, "pay")
    assert (result.ok, json.loads(result.output)) == (True, {"amount": 42})


async def test_a_slow_tool_takes_its_time(mocks: ToolMocks) -> None:
    url = tools_of(mocks, "s", (ToolMock(name="pay", returns=1, latency_ms=200),))
    assert (await _ask(url, "pay")).ok
    (seen,) = mocks.seen("c_1", 0)
    assert seen.took_ms >= 200


@pytest.mark.parametrize(
    ("fails", "code"),
    [("http_500", "http_500"), ("error", "unreachable"), ("timeout", "timeout")],
)
async def test_a_tool_fails_as_its_script_says(mocks: ToolMocks, fails: str, code: str) -> None:
    url = tools_of(mocks, "s", (ToolMock.model_validate({"name": "pay", "fails": fails}),))
    assert (await _ask(url, "pay", timeout_s=0.3)).code == code


async def test_a_body_can_be_no_json(mocks: ToolMocks) -> None:
    url = tools_of(mocks, "s", (ToolMock(name="pay", fails="bad_json"),))
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads((await _ask(url, "pay")).output)


async def test_a_tool_without_a_mock_fails_and_nothing_outside_is_asked(mocks: ToolMocks) -> None:
    url = tools_of(mocks, "s", ())
    assert (await _ask(url, "pay")).code == "http_404"


async def test_environments_do_not_share_their_mocks(mocks: ToolMocks) -> None:
    one = tools_of(mocks, "one", (ToolMock(name="pay", returns=1),))
    two = tools_of(mocks, "two", (ToolMock(name="pay", returns=2),))
    found = await asyncio.gather(_ask(one, "pay"), _ask(two, "pay"))
    assert [each.output for each in found] == ["1", "2"]


async def test_the_next_script_has_none_of_the_last_ones_mocks(mocks: ToolMocks) -> None:
    tools_of(mocks, "s", (ToolMock(name="pay", returns=1),))
    url = tools_of(mocks, "s", (ToolMock(name="refund", returns=2),))
    assert (await _ask(url, "pay")).code == "http_404"
    assert (await _ask(url, "refund")).output == "2"


async def test_each_call_has_its_own_requests(mocks: ToolMocks) -> None:
    url = tools_of(mocks, "s", (ToolMock(name="pay", returns={"ok": True}),))
    for call_id in ("c_1", "c_2", "c_1"):
        await _ask(url, "pay", call_id)
    first, second = mocks.seen("c_1", 0)
    assert (first.name, first.arguments, first.status) == ("pay", {"account": "1234"}, 200)
    assert (first.attempt, second.attempt) == (1, 2)
    assert len(mocks.seen("c_2", 0)) == 1
