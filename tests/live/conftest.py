"""A gateway in the test's own loop, against a peer that the test plays."""

from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from bridge.app.dialplans.arms import resolve_tool_secrets
from bridge.app.dialplans.plans import Dialplans
from bridge.app.gateway import Gateway
from bridge.clock import SystemClock
from bridge.config.settings import Settings
from bridge.routing.models import Dialplan
from bridge.session.access_reader import read_access
from bridge.store.local import LocalRedis


class StartGateway(Protocol):
    """Start a gateway with one arm called ``peer``."""

    def __call__(
        self,
        url: str,
        *,
        environ: dict[str, str] | None = None,
        dialplan: Mapping[str, object] | None = None,
        sip: Mapping[str, object] | None = None,
        tracing: Mapping[str, object] | None = None,
        **arm: object,
    ) -> Awaitable[tuple[Gateway, int]]: ...


@pytest.fixture
async def start_gateway(redis: LocalRedis, tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Give a function: Realtime URL, parts of the dialplan, of the settings of SIP and traces, and
    of the arm -> started gateway, its SIP port. To start another one stops the one before.
    """
    async with AsyncExitStack() as stack:

        async def start(
            url: str,
            *,
            environ: dict[str, str] | None = None,
            dialplan: Mapping[str, object] | None = None,
            sip: Mapping[str, object] | None = None,
            tracing: Mapping[str, object] | None = None,
            **arm: object,
        ) -> tuple[Gateway, int]:
            await stack.aclose()
            settings = Settings.model_validate(
                {
                    "arms": {"peer": {"url": url, **arm}},
                    "sip": {"host": "127.0.0.1", "port": 0, **(sip or {})},
                    "http": {"port": 0},
                    "tracing": tracing or {},
                    "media": {"recordings_dir": tmp_path},
                }
            )
            plan = Dialplan.model_validate(
                {
                    "schema": "dialplan/v1",
                    "name": "test",
                    "match": [{"called": "*"}],
                    "arm": "peer",
                    "agent": {"instructions": "Be a test.", "greeting": "Hello."},
                    **(dialplan or {}),
                }
            )
            gateway = Gateway(
                settings,
                Dialplans((plan,), resolve_tool_secrets([plan], environ or {})),
                read_access(settings.realtime_arms, environ or {}),
                redis.url,
                SystemClock(),
                version="test",
            )
            stack.push_async_callback(gateway.stop)
            addresses = await gateway.start(preflight=False)
            return gateway, int(addresses.sip.rsplit(":", 1)[1])

        yield start
