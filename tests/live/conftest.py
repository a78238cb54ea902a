"""A gateway in the test's own loop, against a peer that the test plays."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bridge.app.gateway import Gateway, make_arms
from bridge.clock import SystemClock
from bridge.config.settings import Settings
from bridge.routing.models import Dialplan
from bridge.store.local import LocalRedis, start_local_redis

StartGateway = Callable[[str], Awaitable[tuple[Gateway, int]]]


@pytest.fixture(scope="module")
def redis() -> Iterator[LocalRedis]:
    with start_local_redis() as server:
        yield server


@pytest.fixture
async def start_gateway(redis: LocalRedis, tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Give a function: Realtime URL -> started gateway and its SIP port."""
    async with AsyncExitStack() as stack:

        async def start(url: str) -> tuple[Gateway, int]:
            settings = Settings.model_validate(
                {
                    "arms": {"peer": {"url": url}},
                    "sip": {"host": "127.0.0.1", "port": 0},
                    "http": {"port": 0},
                    "media": {"recordings_dir": tmp_path},
                }
            )
            dialplan = Dialplan.model_validate(
                {
                    "schema": "dialplan/v1",
                    "name": "test",
                    "match": [{"called": "*"}],
                    "arm": "peer",
                    "agent": {"instructions": "Be a test.", "greeting": "Hello."},
                }
            )
            gateway = Gateway(
                settings,
                [dialplan],
                make_arms(settings.arms, {}),
                redis.url,
                SystemClock(),
                version="test",
            )
            stack.push_async_callback(gateway.stop)
            addresses = await gateway.start(preflight=False)
            return gateway, int(addresses.sip.rsplit(":", 1)[1])

        yield start
