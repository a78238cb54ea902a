"""`bridge replay fix`: makes an ordinary script of a persona's words."""

import json
from pathlib import Path

import click

from bridge.cli.errors import exits_cleanly
from bridge.errors import ConfigError
from bridge.replay.persona.fixing import fix

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("fix")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=_FILE, help="The script to write.")
@click.option("--script", type=_FILE, help="The persona's script, if the report can't tell it.")
@click.option("--replace", is_flag=True, help="Write over a script that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@exits_cleanly
def fix_persona(run: Path, out: Path, script: Path | None, replace: bool, as_json: bool) -> None:
    """Make an ordinary script of what the persona said in RUN.

    A persona says something else on each arm, for it answers what it hears. To compare arms, let
    it call once, and have its very words, keys and pauses replayed on all of them.

    RUN is the folder of one call in a report: OUT/runs/SCRIPT/ARM/1.

    \b
    Example:
      bridge replay call_scripts/persona.yaml --arm ga --report out
      bridge replay fix out/runs/persona/ga/1 --out call_scripts/coat.yaml
      bridge replay call_scripts/coat.yaml --arm beta --arm ga

    \b
    Exit codes:
      0  written
      2  no persona spoke in that call, or its script is gone
      3  the disk refused
    """
    if out.exists() and not replace:
        raise ConfigError(
            "is there already", path=str(out), remedy="pass --replace to write over it"
        )
    fixed = fix(run, out, script)
    if as_json:
        steps = len(fixed.script.caller)
        told = {"script": str(out), "id": fixed.script.id, "steps": steps, "notes": fixed.notes}
        click.echo(json.dumps(told))
        return
    click.echo(f"{out}: {len(fixed.script.caller)} steps")
    for note in fixed.notes:
        click.echo(f"  {note}")
    click.echo(f"sharpen it, then: bridge check {out} && bridge replay {out}")
