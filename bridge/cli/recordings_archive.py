"""`bridge recordings archive`, `status`, `decrypt`: recordings at rest."""

import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import click

from bridge.cli.errors import exits_cleanly
from bridge.cli.options import IN_DIRECTORY, JSON, directory_of
from bridge.config.loading import load_settings
from bridge.errors import ConfigError, InfrastructureError
from bridge.recordings.age_keys import check_keys
from bridge.recordings.archive import Archive, ArchiveReport
from bridge.recordings.files import find_call
from bridge.recordings.playback import opened_recording

_LEFT = 1
"""Exit code where something that was to be done could not be."""

_NICENESS = 10
"""Behind the gateway, which has calls."""


@click.command("archive")
@click.option(
    "--every", type=click.FloatRange(min=0.1), metavar="S", help="Again and again; as JSON lines."
)
@IN_DIRECTORY
@JSON
@exits_cleanly
def archive_recordings(
    every: float | None, config: Path | None, directory: Path | None, as_json: bool
) -> None:
    """Encrypt the recordings of calls that are over (recordings.recipients_file).

    `bridge serve` does it all the time where the setting is there. By hand it takes what was
    recorded before. The plain file goes once the encrypted one is on the disk. Exit code 1: some
    could not be encrypted; they are as they were.

    \b
    Example:
      age-keygen -o identities.txt            # stays where recordings are played
      age-keygen -y identities.txt > recipients.txt
      BRIDGE_RECORDINGS_RECIPIENTS_FILE=recipients.txt bridge recordings archive
    """
    settings = load_settings(config, os.environ)
    recipients = settings.recordings.recipients_file
    if recipients is None:
        raise ConfigError(
            "no recordings.recipients_file is set: there is nobody to encrypt to",
            remedy="write the public keys of `age-keygen` to a file and name it there",
        )
    check_keys(recipients, settings.recordings.identities_file)
    archive = Archive(directory_of(settings, directory), recipients)
    if every is not None:
        os.nice(_NICENESS)
        while True:
            click.echo(json.dumps(asdict(_run(archive))))
            time.sleep(every)
    report = _run(archive)
    _print(report, as_json=as_json)
    if report.error is not None or report.busy:
        raise SystemExit(_LEFT)


@click.command("status")
@IN_DIRECTORY
@JSON
@exits_cleanly
def show_status(config: Path | None, directory: Path | None, as_json: bool) -> None:
    """Count the recordings in each state, and those that each key opens.

    A key that opens none any more can be retired.
    """
    settings = load_settings(config, os.environ)
    archive = Archive(directory_of(settings, directory), settings.recordings.recipients_file)
    report, keys = archive.look(time.time()), archive.keys_in_use()
    if as_json:
        click.echo(json.dumps({**asdict(report), "keys": keys}))
        return
    _print(report, as_json=False)
    for name, count in keys.items():
        click.echo(f"{count:>8}  opened by {name or 'unknown keys: their notes are gone'}")


@click.command("decrypt")
@click.argument("call_id")
@click.option(
    "--identities",
    type=click.Path(path_type=Path),
    help="File of secret keys; else recordings.identities_file of the settings.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="WAV to write."
)
@IN_DIRECTORY
@exits_cleanly
def decrypt(
    call_id: str, identities: Path | None, out: Path, config: Path | None, directory: Path | None
) -> None:
    """Write a call's recording as a plain WAV file. The id's beginning will do.

    age's own tool does the same: `age -d -i IDENTITIES -o FILE.wav ID.wav.age`.
    """
    settings = load_settings(config, os.environ)
    call = find_call(directory_of(settings, directory), call_id)
    keys = identities or settings.recordings.identities_file
    try:
        with opened_recording(call.files, keys) as path, path.open("rb") as plain:
            _write_new(out, plain)
    except FileExistsError as error:
        raise ConfigError("is there already", path=str(out), remedy="name another") from error
    except OSError as error:
        raise InfrastructureError(
            f"the recording of {call.files.call_id} can't be written to {out}: {error.strerror}",
            remedy="check that the call has one, and the room on the disk",
        ) from error
    click.echo(f"{out}: the recording of {call.files.call_id}, plain: delete it when it was used")


def _run(archive: Archive) -> ArchiveReport:
    try:
        return archive.run(time.time())
    except OSError as error:
        raise InfrastructureError(
            f"{archive.directory} can't be looked through: {error.strerror}",
            remedy="mend that; nothing is lost, and the next run goes on",
        ) from error


def _print(report: ArchiveReport, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    shown = {state: count for state, count in report.counts.items() if count}
    for state, count in shown.items():
        click.echo(f"{count:>8}  {state}, the oldest {report.oldest_s[state]} s")
    if not shown:
        click.echo("no finished recordings")
    if report.busy:
        click.echo("another process is at it (a gateway?): nothing was done here", err=True)
    if report.error is not None:
        click.echo(f"left: {report.error}", err=True)


def _write_new(path: Path, plain: BinaryIO) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(file, "wb") as output:
            shutil.copyfileobj(plain, output)
    except OSError:
        path.unlink(missing_ok=True)
        raise
