"""What a door demands of requests: keys in other places, headers, a query, another path."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bridge.simulator.scenario import DoorSpec
from bridge.simulator.server import SimulatorServer
from tests.simulator.conftest import paced
from tests.simulator.plain_http import request

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

KEY = "sk-sim-1"
HEADERS = {"api-key": KEY, "X-Tenant": "tenant-7"}
QUERY = "api-version=2025-04-01-preview&deployment=gpt-realtime-2.1"
DOOR = DoorSpec(
    path="/openai/realtime",
    auth="header",
    headers={"X-Tenant": "tenant-*"},
    query={"api-version": "*-preview"},
    model_parameter="deployment",
    refuses_at_upgrade=True,
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def azure() -> AsyncIterator[str]:
    """The URL of a server with a door like Azure's."""
    server = SimulatorServer(paced().model_copy(update={"door": DOOR}))
    yield await server.start()
    await server.aclose()


async def first_event(url: str, headers: dict[str, str]) -> str:
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        return str(await socket.recv())


async def test_who_brings_everything_is_let_in(azure: str) -> None:
    assert azure.endswith("/openai/realtime")
    assert '"session.created"' in await first_event(f"{azure}?{QUERY}", HEADERS)


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        (QUERY, {**HEADERS, "X-Tenant": "other"}),
        (QUERY, {"api-key": KEY}),
        ("api-version=2025&deployment=gpt-realtime-2.1", HEADERS),
        ("deployment=gpt-realtime-2.1", HEADERS),
        (QUERY, {**HEADERS, "api-key": "sk-other"}),
        (QUERY, {"X-Tenant": "tenant-7"}),
        (QUERY, {"X-Tenant": "tenant-7", "Authorization": f"Bearer {KEY}"}),
        (f"{QUERY}&api-key={KEY}", {"X-Tenant": "tenant-7"}),
    ],
)
async def test_who_lacks_something_gets_401(
    azure: str, query: str, headers: dict[str, str]
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await first_event(f"{azure}?{query}", headers)
    assert caught.value.response.status_code == 401


async def test_the_model_comes_by_its_own_parameter(azure: str) -> None:
    query = "api-version=2025-04-01-preview&model=gpt-realtime-2.1"
    assert "missing_model" in await first_event(f"{azure}?{query}", HEADERS)


async def test_a_token_comes_as_a_bearer_through_the_same_door(azure: str) -> None:
    url = azure.replace("ws://", "http://")
    body: dict[str, Any] = {"session": {"type": "realtime", "model": "gpt-realtime-2.1"}}
    asked = await request(f"{url}/client_secrets?{QUERY}", body, headers=HEADERS, key=None)
    assert asked.status == 200
    assert (await request(f"{url}/client_secrets", body, headers=HEADERS, key=None)).status == 401
    bearer = {"Authorization": f"Bearer {asked.body['value']}", "X-Tenant": "tenant-7"}
    assert '"session.created"' in await first_event(f"{azure}?{QUERY}", bearer)
    models = url.replace("/realtime", "/models") + f"?{QUERY}"
    assert (await request(models, method="GET", headers=HEADERS, key=None)).status == 200
    assert (await request(models, method="GET", headers=bearer, key=None)).status == 401


async def test_a_key_in_the_query() -> None:
    door = DoorSpec(auth="query", name="api-key")
    server = SimulatorServer(paced().model_copy(update={"door": door}))
    url = await server.start()
    try:
        asked = f"{url}?model=gpt-realtime-2.1&api-key="
        assert '"session.created"' in await first_event(f"{asked}{KEY}", {})
        # As the real service has it, unless its door refuses at the upgrade.
        assert "invalid_api_key" in await first_event(f"{asked}other", {})
    finally:
        await server.aclose()
