"""`bridge serve` with several workers: runs a machine's site, or prints what would be run."""

import asyncio
import json
import os
import shlex
import tempfile
import textwrap
from pathlib import Path

import click
import structlog

from bridge.app.workers.kamailio import CONFIGURATION
from bridge.app.workers.site import Site, SitePlan, plan_site
from bridge.cli.running import StopSignals, on_hangup, run, until_drained
from bridge.cli.serve import announce
from bridge.clock import SystemClock
from bridge.config.settings import Settings
from bridge.processes.notify import READY, STOPPING, keep_watchdog_quiet, notify

log = structlog.get_logger(__name__)


def serve_workers(
    settings: Settings,
    count: int,
    config: Path | None,
    *,
    preflight: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run several workers until a signal, or print what would be run.

    Raises:
        ConfigError: the settings don't fit several workers.
        InfrastructureError: Kamailio is not installed, a port is taken, or no worker starts.
    """
    if count == 1:
        what = {"kamailio": None, "workers": 1}
        click.echo(json.dumps(what) if as_json else "one worker: this process alone, no Kamailio")
        return
    with tempfile.TemporaryDirectory(prefix="bridge-", dir="/tmp") as name:  # a socket's short path
        plan = plan_site(settings, count, Path(name), config, preflight=preflight)
        if dry_run:
            _show(plan, count, as_json=as_json)
        else:
            run(_serve(settings, plan, config, as_json=as_json))


async def _serve(settings: Settings, plan: SitePlan, config: Path | None, *, as_json: bool) -> None:
    signals = StopSignals()
    site = Site(settings, plan, config, os.environ, SystemClock())
    stopping = asyncio.create_task(signals.came.wait(), name="signals")
    watchdog = asyncio.create_task(keep_watchdog_quiet(), name="watchdog")
    running = asyncio.create_task(_run(site, signals, as_json=as_json), name="site")
    try:
        await asyncio.wait({stopping, running}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done() and not site.crew.serving:
            running.cancel()  # a start that is cut short takes down what had come up
        await asyncio.gather(running, return_exceptions=stopping.done())
    finally:
        for task in (stopping, watchdog):
            task.cancel()
        await asyncio.gather(stopping, watchdog, return_exceptions=True)


async def _run(site: Site, signals: StopSignals, *, as_json: bool) -> None:
    renewals: set[asyncio.Task[None]] = set()

    def renew() -> None:
        if signals.came.is_set():
            log.warning("renewal_refused", error="all workers drain")
            return
        task = asyncio.create_task(site.renew(), name="renewal")
        renewals.add(task)
        task.add_done_callback(renewals.discard)

    on_hangup(renew)
    async with site.run() as addresses:
        announce(addresses, as_json=as_json)
        notify(READY)
        await signals.came.wait()
        notify(STOPPING)
        for task in renewals:
            task.cancel()
        await until_drained(site.crew.drain(), signals)


def _show(plan: SitePlan, count: int, *, as_json: bool) -> None:
    """Print what would be run: commands and what each has of its own."""
    workers = [
        {
            "name": worker.name,
            "is_spare": worker.slot > count,
            "command": plan.commands[worker.name],
            "variables": dict(worker.variables),
        }
        for worker in plan.workers
    ]
    edge = {
        "command": list(plan.edge.command),
        "configuration": str(CONFIGURATION),
        "address_list": plan.edge.trunks,
    }
    redis = {"url": plan.redis_url, "is_ours": plan.own_redis is not None}
    if as_json:
        click.echo(json.dumps({"kamailio": edge, "redis": redis, "workers": workers}))
        return
    click.echo(f"Redis: {plan.redis_url}{' (a private one)' if plan.own_redis else ''}")
    click.echo(f"Kamailio, with {CONFIGURATION}:\n  {shlex.join(plan.edge.command)}")
    click.echo("  address.list:\n" + textwrap.indent(plan.edge.trunks, "    "), nl=False)
    for worker in plan.workers:
        spare = "" if worker.slot <= count else ", while another drains"
        click.echo(f"worker {worker.name}{spare}:\n  {shlex.join(plan.commands[worker.name])}")
        for name, value in worker.variables.items():
            click.echo(f"    {name}={value}")
