"""`bridge demo --rollout`: four rollouts from real calls, as a table."""

import json
import os
import signal
import sys
from functools import partial

import click

from bridge.bench.rollout_demo import run_rollout_demo
from bridge.bench.rollout_stories import RolloutPlan, RolloutResult
from bridge.bench.view import BenchScreen, print_rollout
from bridge.cli.running import STOPPING, run, until_done_or_told
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
    with start_local_redis() as redis, BenchScreen() as screen:
        work = run_rollout_demo(plan, redis.url, os.environ, screen)
        found = run(until_done_or_told(work, "demo", partial(screen.doing, STOPPING)))
    if not isinstance(found, RolloutResult):
        click.echo(f"stopped by {found}; nothing is left running", err=True)
        raise SystemExit(128 + signal.Signals[found])
    if as_json:
        click.echo(json.dumps(found.to_json()))
    else:
        print_rollout(found, None if sys.stdout.isatty() else _PIPE_CHARS)
    if not found.ok:
        raise SystemExit(_FAILED)
