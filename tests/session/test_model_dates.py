"""`GET /v1/models`, over real HTTP, from services of every kind."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from bridge.config.settings import ArmSettings
from bridge.errors import UpstreamError
from bridge.session.access import Access
from bridge.session.model_dates import MAX_BODY_BYTES, shutdown_dates

KEY = "sk-SENTINEL-key-0123456789"
LISTED = {
    "object": "list",
    "data": [
        {"id": "gpt-realtime", "object": "model", "shutdown_date": "2027-01-20"},
        {"id": "gpt-realtime-2.1", "object": "model", "shutdown_date": None},
        {"id": "elsewhere", "object": "model"},
        {"id": "odd", "object": "model", "shutdown_date": "soon"},
    ],
}
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def service(answer: Answer) -> AsyncIterator[str]:
    """Give the URL of a service that answers so."""
    app = web.Application()
    app.router.add_get("/v1/models", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.port}/v1/models"


def answers(status: int = 200, text: str = "", **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return answer


async def test_models_that_end_are_told_with_their_day() -> None:
    asked: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.json_response(LISTED)

    async with service(answer) as url:
        assert await shutdown_dates(url, Access(KEY)) == {"gpt-realtime": date(2027, 1, 20)}
    assert asked == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answers(401), "models_http_401"),
        (answers(307, Location="http://127.0.0.1:9/v1/models"), "models_http_307"),
        (answers(text="no JSON"), "models_malformed"),
        (answers(text="[]"), "models_malformed"),
        (answers(text='{"data": [7]}'), "models_malformed"),
        (answers(text=" " * (MAX_BODY_BYTES + 1_000_000)), "models_malformed"),
    ],
)
async def test_what_is_no_list_is_an_error_that_holds_no_secret(answer: Answer, code: str) -> None:
    async with service(answer) as url:
        with pytest.raises(UpstreamError) as caught:
            await shutdown_dates(url, Access(KEY))
    assert caught.value.code == code
    assert caught.value.__context__ is None
    assert KEY not in f"{caught.value!r} {caught.value}"


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(UpstreamError) as caught:
        await shutdown_dates(f"http://127.0.0.1:{unused_port()}/v1/models", Access(KEY))
    assert caught.value.code == "models_unavailable"


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("wss://api.openai.com/v1/realtime", "https://api.openai.com/v1/models"),
        ("ws://u:password@127.0.0.1:8/v1/realtime/", "http://127.0.0.1:8/v1/models"),
        (
            "wss://x.openai.azure.com/openai/v1/realtime?api-version=1",
            "https://x.openai.azure.com/openai/v1/models?api-version=1",
        ),
        ("wss://speech.example/talk", None),
        ("wss://speech.example/realtime/talk", None),
    ],
)
def test_models_are_listed_beside_the_realtime_api(url: str, listed: str | None) -> None:
    assert ArmSettings(url=url).models_endpoint == listed


@pytest.mark.parametrize(
    ("token_url", "asked"),
    [(None, True), ("https://api.example/tokens", True), ("https://tokens.example/", False)],
)
def test_a_key_for_a_token_service_goes_nowhere_else(token_url: str | None, asked: bool) -> None:
    arm = ArmSettings(
        url="wss://api.example/v1/realtime",
        credentials="token",
        api_key_env="KEY",
        token_url=token_url,
    )
    assert (arm.models_endpoint is not None) is asked
