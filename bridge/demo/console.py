"""Runs a live contact centre for the console's demo: gateway, Realtime server, repeated callers.

Every part is a process of its own, as in :mod:`bridge.demo.run`; nothing is checked here, there is
only something to see, to hear and to step into.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from bridge.demo.run import DemoPlan, Parts, StartedGateway, make_directory
from bridge.demo.view import View
from bridge.processes.child import Child

_APART_S = 6.0
"""Between the callers' first calls, and between two calls of one."""


async def run_console_demo(
    plan: DemoPlan,
    redis_url: str,
    environ: Mapping[str, str],
    view: View,
    callers: int,
    on_open: Callable[[StartedGateway], None],
) -> None:
    """Keep the floor alive until cancelled; everything is stopped in order then.

    Args:
        plan: dialplans, the callers' script, the dialect.
        redis_url: a running Redis.
        environ: for the children, which don't get its ``BRIDGE_*``.
        view: where to show it.
        callers: how many call at once.
        on_open: called with the address of the console, once it is there.

    Raises:
        ConfigError: bad dialplans, script or scenario.
        InfrastructureError: a part did not start, or died.
    """
    async with AsyncExitStack() as stack:
        parts = Parts(plan, make_directory(plan.recordings), environ, view, stack)
        simulator, realtime_url = await parts.start_simulator()
        gateway = await parts.start_gateway(realtime_url, redis_url)
        view.step("Callers", f"{callers}, who call again when their call is over")
        if gateway.admin_link is None:
            view.step("Console", f"{gateway.http}/ (it has its users: sign in as one of them)")
        else:
            view.step("Console", f"{gateway.http}/")
            view.step("Open this once", gateway.admin_link)
        on_open(gateway)
        view.doing("calls go on; Ctrl-C ends them and everything else")
        await _keep_alive(parts, (simulator, gateway.child), gateway.sip, callers)


async def _keep_alive(parts: Parts, servers: tuple[Child, ...], sip: str, callers: int) -> None:
    tasks = [
        *(asyncio.create_task(_fail_with(each), name=f"demo-{each.name}") for each in servers),
        *(
            asyncio.create_task(_keep_calling(parts, sip, seat), name=f"demo-caller-{seat}")
            for seat in range(callers)
        ),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _fail_with(server: Child) -> None:
    await server.wait()
    raise server.failure()


async def _keep_calling(parts: Parts, sip: str, seat: int) -> None:
    await asyncio.sleep(seat * _APART_S)
    while True:
        await parts.place_call(sip)
        await asyncio.sleep(_APART_S)
