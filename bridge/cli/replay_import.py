"""`bridge replay import` and `fix`: make a call script of a recorded call, of a persona's words."""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import click

from bridge.cli.errors import exits_cleanly
from bridge.cli.options import directory_of
from bridge.config.loading import load_settings
from bridge.config.settings import Settings
from bridge.errors import ConfigError
from bridge.recordings.files import StoredCall, find_call
from bridge.replay.importing.caller_call import read_caller_call
from bridge.replay.importing.gateway_call import read_gateway_call
from bridge.replay.importing.importing import Imported, import_call
from bridge.replay.importing.recorded import RecordedCall
from bridge.replay.persona.fixing import fix
from bridge.store.reader import CallReader, History

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("import")
@click.argument("call", metavar="CALL_ID|RECORDING.wav")
@click.argument("events", required=False, type=_FILE, metavar="[EVENTS.jsonl]")
@click.option("--out", required=True, type=_FILE, help="The script; its audio lies beside it.")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="WORD",
    help="A name to take out, too. Repeatable: nothing recognises names by itself.",
)
@click.option("--revoice", is_flag=True, help="Keep none of the caller's own voice.")
@click.option("--replace", is_flag=True, help="Write over a script that is there.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="The gateway's recordings; else media.recordings_dir of the settings.",
)
@click.option("--config", type=click.Path(path_type=Path), help="YAML settings; BRIDGE_CONFIG too.")
@click.option("--redis", "url", help="Redis URL; else that of the settings.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@exits_cleanly
def import_recorded(
    call: str,
    events: Path | None,
    out: Path,
    names: Sequence[str],
    revoice: bool,
    replace: bool,
    directory: Path | None,
    config: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Make a call script of a recorded call, for you to edit.

    CALL_ID is a call that the gateway recorded (the id's beginning will do; `bridge calls list`
    tells them). Its caller must have agreed, by what the call's record says, and it must not be
    over its time (recording.keep_days): otherwise nothing is written, and no option changes that.

    RECORDING.wav and EVENTS.jsonl are a call of your own: record it with

    \b
      bridge call URI --say "Where is my order?" --record c.wav --events --json > c.jsonl

    The caller's words become WAV files beside the script, with the gaps that they had; what was
    said over the agent is anchored to the agent's begin. What tools answered becomes mocks.
    Card and account numbers, dates of birth, phone numbers and addresses are taken out: a turn that
    held one is spoken anew by a voice, with a stand-in. Read what you publish all the same.

    \b
    Examples:
      bridge replay import c_8f2 --out call_scripts/refund.yaml --name Miller
      bridge replay import c.wav c.jsonl --out call_scripts/mine.yaml

    \b
    Exit codes:
      0  written
      2  it may not be used, or can't be
      3  the disk or Redis refused
    """
    if out.exists() and not replace:
        raise ConfigError(
            "is there already", path=str(out), remedy="pass --replace to write over it"
        )
    recorded = _read(call, events, directory, config, url)
    imported = import_call(recorded, out, names=names, revoice=revoice)
    if as_json:
        click.echo(json.dumps(_fields(imported)))
        return
    steps, files = len(imported.script.caller), len(imported.audio)
    click.echo(f"{imported.path}: {steps} steps, {files} of them with the caller's own voice")
    for note in imported.notes:
        click.echo(f"  {note}")
    click.echo(f"edit it, then: bridge check {out} && bridge replay {out}")


def _read(
    call: str, events: Path | None, directory: Path | None, config: Path | None, url: str | None
) -> RecordedCall:
    if call.endswith(".wav"):
        if events is None:
            raise ConfigError(
                "a recording alone does not tell who did what",
                path=call,
                remedy="give the events, too: bridge replay import call.wav call.jsonl --out ...",
            )
        return read_caller_call(Path(call), events)
    if events is not None:
        raise ConfigError(
            f"'{call}' is no recording (.wav), and events go with one",
            remedy="leave them out: the gateway keeps its own",
        )
    settings = load_settings(config, os.environ)
    stored = find_call(directory_of(settings, directory), call)
    now_ms = time.time_ns() // 1_000_000
    keys = settings.recordings.identities_file
    return read_gateway_call(stored, now_ms, _history(stored, settings, url), keys)


def _history(stored: StoredCall, settings: Settings, url: str | None) -> History | None:
    """Read a call's events in Redis, where its markers have none."""
    address = url or settings.redis.url
    if address is None or stored.files.markers.exists():
        return None

    async def read() -> History:
        async with CallReader(settings.redis, address) as reader:
            return await reader.history(stored.files.call_id)

    return asyncio.run(read())


def _fields(imported: Imported) -> dict[str, object]:
    return {
        "script": str(imported.path),
        "id": imported.script.id,
        "steps": len(imported.script.caller),
        "audio": [str(path) for path in imported.audio],
        "notes": list(imported.notes),
    }


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
        found = {"script": str(out), "id": fixed.script.id, "steps": steps, "notes": fixed.notes}
        click.echo(json.dumps(found))
        return
    click.echo(f"{out}: {len(fixed.script.caller)} steps")
    for note in fixed.notes:
        click.echo(f"  {note}")
    click.echo(f"sharpen it, then: bridge check {out} && bridge replay {out}")
