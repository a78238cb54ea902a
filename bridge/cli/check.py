"""`bridge check`: validates what people write, before it meets a call."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from bridge.cli.check_session import print_converted
from bridge.cli.errors import exits_cleanly
from bridge.config.loading import load_settings
from bridge.config.yaml_source import load_yaml
from bridge.engine.event_map import event_map, to_json, to_markdown
from bridge.errors import ConfigError
from bridge.replay.script import load_script
from bridge.routing.matching import check_arms, load_dialplans
from bridge.routing.models import Dialplan
from bridge.simulator.scenario import load_scenario

_KINDS: dict[str, Callable[[Path], object]] = {
    "callscript/v1": load_script,
    "dialplan/v1": lambda path: Dialplan.from_source(load_yaml(path)),
}


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="YAML settings to check against.")
@click.option("--event-map", "show_map", is_flag=True, help="Print every event in each dialect.")
@click.option(
    "--convert-session",
    "beta_session",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Print a beta session's JSON in the GA form.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@exits_cleanly
def check(
    paths: tuple[Path, ...],
    config: Path | None,
    show_map: bool,
    beta_session: Path | None,
    as_json: bool,
) -> None:
    """Check dialplans, call scripts and scenarios; errors name file and line.

    PATHS are files, or directories that hold them. Without any, the settings and the dialplans
    that `bridge serve` would use are checked.

    `--convert-session beta.json` reads the `session` of a beta client, or its `session.update`,
    writes what a GA server takes to stdout, and says on stderr what moved and what was dropped.
    """
    if beta_session is not None:
        print_converted(beta_session, as_json=as_json)
        return
    if show_map:
        rows = event_map()
        click.echo(to_json(rows) if as_json else to_markdown(rows), nl=as_json)
        return
    errors = [str(error) for error in (_problems(paths) if paths else _serve_problems(config))]
    if as_json:
        click.echo(json.dumps({"ok": not errors, "errors": errors}))
    else:
        for error in errors:
            click.echo(error, err=True)
        if not errors:
            click.echo("all good")
    if errors:
        raise SystemExit(2)


def _serve_problems(config: Path | None) -> Iterator[ConfigError]:
    try:
        settings = load_settings(config, os.environ)
        check_arms(load_dialplans(settings.dialplans_dir), settings.arms)
    except ConfigError as error:
        yield error


def _problems(paths: tuple[Path, ...]) -> Iterator[ConfigError]:
    for path in paths:
        files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not files:
            yield ConfigError("no .yaml file in this directory", path=str(path))
        for file in files:
            try:
                _check_file(file)
            except ConfigError as error:
                yield error


def _check_file(path: Path) -> None:
    data = load_yaml(path).data
    schema = data.get("schema") if isinstance(data, dict) else None
    _KINDS.get(str(schema), load_scenario)(path)
