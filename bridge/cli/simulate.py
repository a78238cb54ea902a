"""`bridge simulate`: the local Realtime server alone."""

import json
import os
from contextlib import aclosing
from pathlib import Path

import click

from bridge.cli.errors import exits_cleanly
from bridge.cli.running import run, until_signalled
from bridge.config.settings import TelemetrySettings
from bridge.errors import ConfigError
from bridge.simulator.scenario import BetaSwitch, default_scenario, load_scenario
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
@click.option("--json", "as_json", is_flag=True, help="Print the URL as one JSON line.")
@exits_cleanly
def simulate(
    scenario: Path | None,
    tape: Path | None,
    host: str,
    port: int,
    beta: BetaSwitch | None,
    as_json: bool,
) -> None:
    """Run a Realtime server that hears and speaks, without a paid endpoint.

    It prints its WebSocket URL and runs until SIGINT or SIGTERM. Any key that begins with
    `sk-sim` is taken, unless the scenario says otherwise. Both dialects are on the one port: a
    client chooses by header or subprotocol.

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
        if scenario is not None or beta is not None:
            raise ConfigError(
                "--tape goes with neither --scenario nor --beta: it has its own words"
            )
        server = TapeServer(read_tape(tape), host=host, port=port, admin_secret=secret)
    else:
        chosen = default_scenario() if scenario is None else load_scenario(scenario)
        server = SimulatorServer(chosen, host=host, port=port, beta=beta, admin_secret=secret)
    run(_simulate(server, as_json=as_json))


async def _simulate(server: SimulatorServer | TapeServer, *, as_json: bool) -> None:
    url = await server.start()
    click.echo(json.dumps({"url": url}) if as_json else url)
    async with aclosing(server):
        await until_signalled()
