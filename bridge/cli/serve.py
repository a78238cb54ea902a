"""`bridge serve`: the gateway."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import click
import structlog

from bridge.app.dialplans.plans import read_dialplans
from bridge.app.dialplans.reload import DialplanReloader
from bridge.app.gateway import Gateway
from bridge.app.rollouts.secret import read_secret
from bridge.app.start.addresses import Addresses, node_name
from bridge.app.workers.plan import count_of
from bridge.cli.errors import exits_cleanly
from bridge.cli.options import WorkerCount
from bridge.cli.running import StopSignals, on_hangup, run, until_drained
from bridge.clock import SystemClock
from bridge.config.loading import load_settings, resolve_trunk_secrets
from bridge.config.settings import Settings
from bridge.processes.last_words import keeping_last_words, log_deaths
from bridge.processes.notify import READY, STOPPING, keep_watchdog_quiet, notify
from bridge.recordings.shipping import check_archive
from bridge.session.access_reader import read_access
from bridge.store.local import start_local_redis
from bridge.telemetry.logs import configure

log = structlog.get_logger(__name__)


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="YAML settings; BRIDGE_CONFIG names it too. BRIDGE_* variables win over it.",
)
@click.option("--no-preflight", is_flag=True, help="Don't open a session on each arm first.")
@click.option(
    "--workers",
    type=WorkerCount(),
    help="So many gateways behind one address; auto: one a core but for one. Default: the"
    " settings' workers, 1.",
)
@click.option("--dry-run", is_flag=True, help="Print what several workers would run, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as one JSON line.")
@click.option("--held", is_flag=True, hidden=True, help="Wait to be made a worker (JSON, stdin).")
@exits_cleanly
def serve(
    config: Path | None,
    no_preflight: bool,
    workers: int | Literal["auto"] | None,
    dry_run: bool,
    as_json: bool,
    held: bool,
) -> None:
    """Run the gateway until SIGINT or SIGTERM.

    SIGTERM drains it: no new calls, and the end comes with the last call or after `drain_s`.
    SIGINT (Ctrl-C), or a second SIGTERM, ends the calls in order now; one more ends the process.

    Dialplans are read anew on SIGHUP and when a file changes, trunks of the settings on SIGHUP;
    calls that go on keep theirs, and bad files change nothing.

    With --workers N, N gateways share this machine's cores: one SIP address (Kamailio's, Debian's
    package), one console, one /metrics with the label `worker`, one /readyz. A worker that dies is
    started again. SIGTERM drains all. SIGHUP renews them one after another, with the settings as
    they are then: each one's replacement takes calls before it drains, so no call is refused.

    Settings come from a YAML file and from BRIDGE_* variables: BRIDGE_SIP_PORT,
    BRIDGE_DIALPLANS_DIR, BRIDGE_REDIS_URL, ... Without a Redis URL it starts a private one.

    \b
    Example:
      bridge simulate --port 9090 &
      export BRIDGE_ARMS='{"local": {"url": "ws://127.0.0.1:9090/v1/realtime",
                                     "api_key_env": "SIM_KEY"}}' SIM_KEY=sk-sim-1
      bridge serve
      bridge serve --workers auto --dry-run
    """
    worker = ""
    if held:
        worker, no_preflight = _become_worker()
    settings = load_settings(config, os.environ)
    count = count_of(workers or settings.workers)
    if dry_run or count > 1:
        from bridge.cli.workers import serve_workers  # Kamailio and the rest: not for one process

        configure(settings.telemetry)
        serve_workers(
            settings, count, config, preflight=not no_preflight, dry_run=dry_run, as_json=as_json
        )
        return
    with contextlib.ExitStack() as stack:
        _configure_logs(settings, worker, stack)
        reloader = DialplanReloader(settings, os.environ, config)
        dialplans = read_dialplans(settings, os.environ)
        access = read_access(settings.realtime_arms, os.environ)
        trunk_secrets = resolve_trunk_secrets(settings.sip, os.environ)
        check_archive(settings.recordings, os.environ)
        secret = read_secret(settings.rollout_key_env, os.environ) if settings.rollouts else b""
        redis_url = settings.redis.url or stack.enter_context(start_local_redis()).url
        gateway = Gateway(
            settings,
            dialplans,
            access,
            redis_url,
            SystemClock(),
            version=version("telephony-bridge"),
            rollout_secret=secret,
            trunk_secrets=trunk_secrets,
            is_worker=bool(worker),
        )
        starting = partial(gateway.start, preflight=not no_preflight)
        run(_serve(gateway, reloader, starting, as_json=as_json))


def _become_worker() -> tuple[str, bool]:
    """Wait until this process is given a worker's place; return its name, and `no_preflight`."""
    line = sys.stdin.readline()
    if not line:  # the supervisor is gone
        raise SystemExit(0)
    order = json.loads(line)
    os.environ.update(order["variables"])
    return order["worker"], not order["preflight"]


def _configure_logs(settings: Settings, worker: str, stack: contextlib.ExitStack) -> None:
    """Send logs to stderr and this process's last words to a file, until the stack is closed."""
    node = settings.node or node_name(settings.sip.port)
    directory = settings.state_dir / "last_words"
    try:
        deaths = stack.enter_context(keeping_last_words(directory, node))
    except OSError as error:
        configure(settings.telemetry, worker)
        log.warning("last_words_not_kept", directory=str(directory), error=error.strerror)
        return
    configure(settings.telemetry, worker)
    log_deaths(deaths)


async def _serve(
    gateway: Gateway,
    reloader: DialplanReloader,
    start: Callable[[], Coroutine[Any, Any, Addresses]],
    *,
    as_json: bool,
) -> None:
    signals = StopSignals()
    on_hangup(reloader.reload_soon)
    stopping = asyncio.create_task(signals.came.wait(), name="signals")
    starting = asyncio.create_task(start(), name="start")
    watchdog = asyncio.create_task(keep_watchdog_quiet(), name="watchdog")
    reloading: asyncio.Task[None] | None = None
    try:
        await asyncio.wait({stopping, starting}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            return
        announce(await starting, as_json=as_json)
        notify(READY)
        reloading = asyncio.create_task(reloader.keep(gateway), name="dialplans")
        await stopping
        notify(STOPPING)
        await until_drained(gateway.drain(), signals)
    finally:
        tasks = [stopping, starting, watchdog]
        tasks += [] if reloading is None else [reloading]
        for task in tasks:  # a start that is cut short takes down what had come up
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await gateway.stop()


def announce(addresses: Addresses, *, as_json: bool) -> None:
    """Print where calls are taken."""
    if as_json:
        click.echo(json.dumps(asdict(addresses)))
    else:
        places = " and ".join(each for each in (addresses.sip, addresses.sip_tls) if each)
        click.echo(
            f"taking calls at {places} (up to {addresses.max_calls}), "
            f"console at {addresses.http}, metrics at {addresses.probes}/metrics; stop with Ctrl-C"
        )
        if addresses.admin_link is not None:
            click.echo(
                "the console has no admin yet; this link makes one, once, within the hour:\n"
                f"  {addresses.admin_link}",
                err=True,
            )
