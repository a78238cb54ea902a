"""`bridge simulate`: the local Realtime server alone."""

import json
from pathlib import Path

import click

from bridge.cli.errors import exits_cleanly
from bridge.cli.running import run, until_told_to_stop
from bridge.config.settings import TelemetrySettings
from bridge.simulator.scenario import default_scenario, load_scenario
from bridge.simulator.server import SimulatorServer
from bridge.telemetry.logs import configure


@click.command()
@click.option("--scenario", type=click.Path(path_type=Path), help="YAML; default: a support line.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 takes a free one.")
@click.option("--json", "as_json", is_flag=True, help="Print the URL as one JSON line.")
@exits_cleanly
def simulate(scenario: Path | None, host: str, port: int, as_json: bool) -> None:
    """Run a Realtime server that hears and speaks, without a paid endpoint.

    It prints its WebSocket URL and runs until SIGINT or SIGTERM. Any key that begins with
    `sk-sim` is taken, unless the scenario says otherwise.
    """
    configure(TelemetrySettings(log_level="warning"))
    chosen = default_scenario() if scenario is None else load_scenario(scenario)
    run(_simulate(SimulatorServer(chosen, host=host, port=port), as_json=as_json))


async def _simulate(server: SimulatorServer, *, as_json: bool) -> None:
    url = await server.start()
    click.echo(json.dumps({"url": url}) if as_json else url)
    try:
        await until_told_to_stop()
    finally:
        await server.aclose()
