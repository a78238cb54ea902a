"""`bridge simulate`: the local Realtime server alone."""

import json
import os
import ssl
from contextlib import aclosing
from pathlib import Path

import click

from bridge.cli.errors import exits_cleanly
from bridge.cli.running import run, until_signalled
from bridge.config.settings import TelemetrySettings
from bridge.errors import ConfigError
from bridge.simulator.door import live_path
from bridge.simulator.flavours import SERVERS
from bridge.simulator.scenario import BetaSwitch, ServerName, default_scenario, load_scenario
from bridge.simulator.server import SimulatorServer
from bridge.simulator.tape import read_tape
from bridge.simulator.tape_server import TapeServer
from bridge.telemetry.logs import configure


@click.command()
@click.option("--scenario", type=click.Path(path_type=Path), help="YAML; default: a support line.")
@click.option(
    "--tape",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A call's wire log, whose server events are served again, in the place of a scenario.",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 takes a free one.")
@click.option(
    "--beta",
    type=click.Choice(["enabled", "disabled"]),
    help="Whether the beta dialect is still spoken; disabled refuses it as the real service does."
    "  [default: as the scenario says]",
)
@click.option(
    "--flavour",
    type=click.Choice(sorted(SERVERS)),
    help="The server that it speaks as, in handshake and events.  [default: as the scenario says]",
)
@click.option(
    "--cert",
    type=click.Path(dir_okay=False, path_type=Path),
    help="PEM with a certificate and its key: wss:// in the place of ws://.",
)
@click.option(
    "--client-ca",
    type=click.Path(dir_okay=False, path_type=Path),
    help="PEM of whoever signs clients' certificates: others are refused (mTLS).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the URL as one JSON line.")
@exits_cleanly
def simulate(
    scenario: Path | None,
    tape: Path | None,
    host: str,
    port: int,
    beta: BetaSwitch | None,
    flavour: ServerName | None,
    cert: Path | None,
    client_ca: Path | None,
    as_json: bool,
) -> None:
    """Run a Realtime server that hears and speaks, without a paid endpoint.

    It prints its WebSocket URLs and runs until SIGINT or SIGTERM. Any key that begins with
    `sk-sim` is taken, unless the scenario says otherwise. All dialects are on the one port: beta
    and GA at /v1/realtime, where a client chooses by header or subprotocol, and GPT-Live at
    /v1/live/sessions, the second line (`live_url` with --json). `door:` of a scenario demands
    headers and a query, and has the key come another way, as Azure has it.

    With SIMULATOR_ADMIN_SECRET in the environment, faults can be asked for while it runs: POST
    them to /admin/faults, with the secret in the header X-Simulator-Admin. The scenario's
    `faults:` does the same from the start. PUT /admin/scenario has another scenario played.

    With --tape, the service of a recorded call speaks again: its events come in their order, each
    once the client has sent what it had sent before it. Words are spoken anew, for a wire log
    (session.wire_log_dir) has no audio. POST /admin/rewind begins the next call.

    \b
    Drop the connection at the third piece of audio:
      curl -H "X-Simulator-Admin: $SIMULATOR_ADMIN_SECRET" http://127.0.0.1:9090/admin/faults \\
           -d '{"at": "audio", "kind": "drop", "nth": 3}'
    """
    configure(TelemetrySettings(log_level="warning"))
    secret = os.environ.get("SIMULATOR_ADMIN_SECRET") or None
    server: SimulatorServer | TapeServer
    if tape is not None:
        if scenario is not None or beta is not None or cert is not None:
            raise ConfigError(
                "--tape goes without --scenario, --beta and --cert: it has its own words"
            )
        server = TapeServer(read_tape(tape), host=host, port=port, admin_secret=secret)
    else:
        chosen = default_scenario() if scenario is None else load_scenario(scenario)
        tls = _tls(cert, client_ca)
        server = SimulatorServer(
            chosen,
            host=host,
            port=port,
            beta=beta,
            admin_secret=secret,
            tls=tls,
            flavour=flavour,
        )
    run(_simulate(server, as_json=as_json))


def _tls(cert: Path | None, client_ca: Path | None) -> ssl.SSLContext | None:
    if cert is None:
        if client_ca is not None:
            raise ConfigError("--client-ca needs TLS: give --cert, too")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, password=lambda: "")
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        what = f"--cert or --client-ca can't be used: {error.strerror or error.args}"
        raise ConfigError(what, remedy="name PEM files, with no password") from None
    return context


async def _simulate(server: SimulatorServer | TapeServer, *, as_json: bool) -> None:
    urls = {"url": await server.start()}
    if isinstance(server, SimulatorServer):
        urls["live_url"] = live_path(urls["url"])
    click.echo(json.dumps(urls) if as_json else "\n".join(urls.values()))
    async with aclosing(server):
        await until_signalled()
