"""Children that end while they are spoken to."""

import asyncio
import os
from collections.abc import Callable

import pytest
import uvloop

from bridge.errors import InfrastructureError
from bridge.processes.child import start_child


async def order_the_dead() -> None:
    arguments = ["bench", "no-such-command"]
    async with await start_child("the callers", arguments, os.environ, takes_orders=True) as child:
        await child.wait()
        for _ in range(3):
            with pytest.raises(InfrastructureError, match="the callers ended with status 2"):
                await child.send_order({"calls": 1})


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_order_to_a_child_that_has_ended_says_so(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """They raise different errors for its closed pipe."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(order_the_dead())
