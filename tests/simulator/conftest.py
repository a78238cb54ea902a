"""Simulators with no time to think: one a module, so modules run on one loop each."""

from collections.abc import AsyncIterator

import pytest_asyncio

from bridge.simulator.scenario import Pacing, Scenario, default_scenario
from bridge.simulator.server import SimulatorServer


def paced(**pacing: float) -> Scenario:
    """Return the default scenario at another pace."""
    return default_scenario().model_copy(
        update={"pacing": Pacing.model_validate({"think_ms": 0, "speedup": 1000, **pacing})}
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    """A simulator whose answers come at once."""
    server = SimulatorServer(paced())
    yield await server.start()
    await server.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slow_url() -> AsyncIterator[str]:
    """A simulator whose answers come as slowly as they are spoken."""
    server = SimulatorServer(paced(speedup=1))
    yield await server.start()
    await server.aclose()
