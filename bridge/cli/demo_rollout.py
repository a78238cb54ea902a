"""`bridge demo --rollout`: four rollouts from real calls, as a table."""

import asyncio
import json
import os
import signal
import sys

import click

from bridge.bench.rollout_demo import RolloutPlan, RolloutResult, run_rollout_demo
from bridge.bench.rollout_view import print_rollout
from bridge.bench.view import Screen
from bridge.cli.running import run, until_told_to_stop
from bridge.errors import InfrastructureError
from bridge.store.local import start_local_redis

_FAILED = 1
_PIPE_CHARS = 150


def show_rollouts(plan: RolloutPlan, *, as_json: bool) -> None:
    """Run the demo and print its table; exits with 1 where a rollout went wrong.

    Raises:
        InfrastructureError: a part did not start, or this is no Linux.
    """
    if sys.platform != "linux":
        raise InfrastructureError(
            "the callers of the rollout demo need Linux", remedy="run it in a container"
        )
    # Its own Redis, whatever BRIDGE_REDIS_URL says: the demo's flags are nobody else's.
    with start_local_redis() as redis, Screen() as screen:
        found = run(_until_done_or_told(plan, redis.url, screen))
    if not isinstance(found, RolloutResult):
        click.echo(f"stopped by {found}; nothing is left running", err=True)
        raise SystemExit(128 + signal.Signals[found])
    if as_json:
        click.echo(json.dumps(found.to_json()))
    else:
        print_rollout(found, None if sys.stdout.isatty() else _PIPE_CHARS)
    if not found.ok:
        raise SystemExit(_FAILED)


async def _until_done_or_told(
    plan: RolloutPlan, redis_url: str, screen: Screen
) -> RolloutResult | str:
    """Run it; at a signal end it in order and return the signal's name."""
    work = asyncio.create_task(run_rollout_demo(plan, redis_url, os.environ, screen), name="demo")
    told = asyncio.create_task(until_told_to_stop(), name="signals")
    await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
    if told.done() and not work.done():
        screen.doing("stopping everything, in order")
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return told.result()
    told.cancel()
    await asyncio.gather(told, return_exceptions=True)
    return work.result()
