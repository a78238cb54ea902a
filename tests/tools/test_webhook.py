"""Webhooks over real HTTP."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from bridge.clock import SystemClock
from bridge.errors import Fault
from bridge.realtime.failures import classify_tool
from bridge.routing.tools import Webhook
from bridge.tools.addresses import is_public
from bridge.tools.webhook import ToolRequest, ToolResult, WebhookClient
from tests.support.no_files import no_descriptor_left
from tests.support.pictures import as_json, bomb, chunk, png
from tests.support.signatures import HEADER, is_signed

REQUEST = ToolRequest(
    "lookup_order", {"order": "4 711"}, "c_1:call_1", {"call_id": "c_1", "from": "+4930123"}
)
SECRETS = {"HOOK_SECRET": "not-for-anybody"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Endpoint:
    """An operator's endpoint: answers as told and remembers what came."""

    url: str
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def webhook(self, **changes: object) -> Webhook:
        hook = Webhook(url=self.url, secret_env="HOOK_SECRET", allow_private=True)
        return hook.model_copy(update=changes)


@asynccontextmanager
async def endpoint(answer: Handler) -> AsyncIterator[Endpoint]:
    found = Endpoint("")

    async def handle(request: web.Request) -> web.StreamResponse:
        found.came.append((dict(request.headers), await request.read()))
        return await answer(request)

    app = web.Application()
    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        found.url = f"http://127.0.0.1:{port}/hook"
        yield found
    finally:
        await runner.cleanup()


async def _no_wait(seconds: float) -> None:
    assert seconds > 0


@pytest.fixture
async def client() -> AsyncIterator[WebhookClient]:
    client = WebhookClient(SystemClock(), SECRETS, sleep=_no_wait)
    yield client
    await client.aclose()


async def test_a_tool_gets_a_signed_request_and_its_answer_is_the_output(
    client: WebhookClient,
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "shipped"})

    async with endpoint(answer) as hook:
        result = await client.call(hook.webhook(), REQUEST, deadline_s=5)
    assert (result.code, json.loads(result.output)) == ("ok", {"status": "shipped"})
    [(headers, body)] = hook.came
    content = json.loads(body)
    assert (content["tool"], content["arguments"]) == ("lookup_order", {"order": "4 711"})
    assert content["call"]["call_id"] == "c_1"
    assert headers["Idempotency-Key"] == "c_1:call_1"
    now_s = SystemClock().wall_ns() // 10**9
    signature = headers[HEADER]
    assert is_signed("not-for-anybody", body, signature, now_s)
    assert not is_signed("not-for-anybody", body + b" ", signature, now_s)
    assert not is_signed("another", body, signature, now_s)
    assert not is_signed("not-for-anybody", body, signature, now_s + 301)
    assert "not-for-anybody" not in str(headers)


async def test_an_attempt_that_fails_is_repeated_with_the_same_key(client: WebhookClient) -> None:
    statuses = iter([503, 429, 200])

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=next(statuses))

    async with endpoint(answer) as hook:
        result = await client.call(hook.webhook(retries=2), REQUEST, deadline_s=5)
    assert result.ok
    assert {headers["Idempotency-Key"] for headers, _ in hook.came} == {"c_1:call_1"}
    assert len(hook.came) == 3


@pytest.mark.parametrize(("status", "attempts"), [(500, 3), (404, 1), (302, 1), (401, 1)])
async def test_a_refusal_is_an_output_and_only_passing_ones_are_repeated(
    client: WebhookClient, status: int, attempts: int
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "http://127.0.0.1:1/"})

    async with endpoint(answer) as hook:
        result = await client.call(hook.webhook(retries=2), REQUEST, deadline_s=5)
    assert result.code == f"http_{status}"
    assert "error" in json.loads(result.output)
    assert len(hook.came) == attempts


async def test_an_answer_that_is_too_long_is_not_read_to_its_end(client: WebhookClient) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:  # until the client goes
            await response.write(b"x" * 10_000)

    async with endpoint(answer) as hook:
        result = await client.call(hook.webhook(max_response_bytes=50_000), REQUEST, deadline_s=5)
    assert result.code == "too_large"


async def test_the_deadline_stands_above_attempts_and_waits(client: WebhookClient) -> None:
    hung = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        await hung.wait()
        return web.Response()

    async with endpoint(answer) as hook:
        late = await client.call(hook.webhook(timeout_s=30), REQUEST, deadline_s=0.2)
        slow = await client.call(hook.webhook(timeout_s=0.1, retries=1), REQUEST, deadline_s=5)
        hung.set()
    assert late.code == "deadline"
    assert slow.code == "timeout"
    assert len(hook.came) == 3


async def test_a_call_can_be_cancelled(client: WebhookClient) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            gone.set()
        return web.Response()

    async with endpoint(answer) as hook:
        call = asyncio.create_task(client.call(hook.webhook(), REQUEST, deadline_s=20))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_nobody_there_is_an_output(client: WebhookClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        hook = Webhook(url=f"http://127.0.0.1:{taken.getsockname()[1]}/", allow_private=True)
        result = await client.call(hook, REQUEST, deadline_s=5)
    assert result.code == "unreachable"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254"])
async def test_a_private_address_is_refused_before_anything_is_sent(
    client: WebhookClient, host: str
) -> None:
    result = await client.call(Webhook(url=f"http://{host}:9/"), REQUEST, deadline_s=5)
    assert result.code == "private_address"


async def test_a_name_that_leads_to_a_private_address_is_refused(client: WebhookClient) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response()

    async with endpoint(answer) as hook:
        url = hook.url.replace("127.0.0.1", "localhost")
        refused = await client.call(Webhook(url=url, retries=0), REQUEST, deadline_s=5)
        taken = await client.call(
            Webhook(url=url, retries=0, allow_private=True), REQUEST, deadline_s=5
        )
    assert refused.code == "unreachable"
    assert taken.ok
    assert len(hook.came) == 1


async def test_bytes_that_are_no_text_are_an_output(client: WebhookClient) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\xff\xfe")

    async with endpoint(answer) as hook:
        assert (await client.call(hook.webhook(), REQUEST, deadline_s=5)).code == "not_text"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2001:4860:4860::8888", True), ("::ffff:10.0.0.1", False),
        ("100.64.0.1", False), ("0.0.0.0", False), ("fe80::1%eth0", False), ("224.0.0.1", False),
    ],
)  # fmt: skip
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_facts_and_arguments_are_told_apart() -> None:
    other = replace(REQUEST, arguments={"call": "x"})
    assert other.facts == REQUEST.facts


async def test_no_descriptor_for_a_tools_request_is_the_bridges_fault(
    client: WebhookClient,
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({})

    async with endpoint(answer) as hook:
        with no_descriptor_left():
            result = await client.call(hook.webhook(retries=1), REQUEST, deadline_s=5)
        assert result.code == "no_descriptors"
        assert hook.came == []
        failure = classify_tool(result.code)
        assert failure is not None
        assert failure.fault is Fault.BRIDGE
        assert (await client.call(hook.webhook(), REQUEST, deadline_s=5)).ok


ROOF = png(64, 48)


async def answered_with(client: WebhookClient, answer: object, **changes: object) -> ToolResult:
    """Return what a tool gives whose endpoint answers so."""

    async def give(request: web.Request) -> web.StreamResponse:
        return web.json_response(answer)

    async with endpoint(give) as hook:
        return await client.call(hook.webhook(**changes), REQUEST, deadline_s=60)


async def test_picture_in_an_answer_is_taken_out_of_the_output(client: WebhookClient) -> None:
    result = await answered_with(client, {"taken": "today", "image": as_json(ROOF)})
    assert result.ok
    assert result.picture is not None
    assert result.picture.data == ROOF
    assert json.loads(result.output) == {"taken": "today", "image": "follows in the next message"}


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (as_json(ROOF, "image/jpeg"), "the picture is image/png, and is called another type"),
        (as_json(b"GIF89a"), "the picture is neither PNG nor JPEG"),
        (as_json(ROOF[:-9]), "the picture is cut off"),
        (as_json(bomb(60_000, 60_000)), "the picture has no side of 1 to 4096 pixels"),
        ({"media_type": "image/png", "data": "***"}, "the picture is not base64"),
        ({"media_type": None, "data": 7}, "the picture has no text 'media_type' and 'data'"),
    ],
)
async def test_model_is_told_why_a_picture_is_not_shown(
    client: WebhookClient, image: object, why: str
) -> None:
    result = await answered_with(client, {"taken": "today", "image": image})
    assert (result.ok, result.picture) == (True, None)
    assert json.loads(result.output) == {"taken": "today", "image": f"not shown: {why}"}


@pytest.mark.parametrize(
    "answer",
    [
        {"image": "https://shop.example/1.png"},
        {"image": {"url": "https://shop.example/1.png"}},
        {"image": None},
        {"order": {"image": as_json(ROOF)}},
        [{"image": as_json(ROOF)}],
        "image",
    ],
)
async def test_image_of_the_operators_own_is_output_like_all_else(
    client: WebhookClient, answer: object
) -> None:
    result = await answered_with(client, answer)
    assert (result.picture, json.loads(result.output)) == (None, answer)


async def test_answer_with_a_picture_has_the_bound_of_every_answer(client: WebhookClient) -> None:
    noise = png(300, 300, more=chunk(b"tEXt", bytes(100_000)))
    refused = await answered_with(client, {"image": as_json(noise)})
    assert refused.code == "too_large"
    taken = await answered_with(client, {"image": as_json(noise)}, max_response_bytes=1_048_576)
    assert taken.picture is not None
