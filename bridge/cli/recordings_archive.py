"""`bridge recordings archive`, `status`, `verify`, `fetch`, `decrypt`: recordings at rest."""

import json
import os
import queue
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO, NoReturn

import click

from bridge.cli.errors import exits_cleanly
from bridge.cli.options import IN_DIRECTORY, JSON, directory_of
from bridge.config.loading import load_settings
from bridge.config.settings import Settings
from bridge.errors import ConfigError, InfrastructureError
from bridge.recordings.archive import Archive, ArchiveReport
from bridge.recordings.bucket import BucketError, RecordingBucket
from bridge.recordings.files import find_call
from bridge.recordings.notes import RecordingNote
from bridge.recordings.playback import opened_recording
from bridge.recordings.shipping import Shipping, check_archive, fetch_recording
from bridge.recordings.states import RecordingState, finished_recordings

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
    """Encrypt the recordings of calls that are over (recordings.recipients_file), and ship them.

    `bridge serve` does it all the time where the setting is there. By hand it takes what was
    recorded before. The plain file goes once the encrypted one is on the disk, and that, where
    recordings.s3 is set, once the bucket's copy was checked and keep_local_s is over. Exit code 1:
    some could not be taken further; they are as they were.

    \b
    Example:
      age-keygen -o identities.txt            # stays where recordings are played
      age-keygen -y identities.txt > recipients.txt
      BRIDGE_RECORDINGS_RECIPIENTS_FILE=recipients.txt bridge recordings archive
    """
    settings = load_settings(config, os.environ)
    kept = settings.recordings
    if kept.recipients_file is None:
        raise ConfigError(
            "no recordings.recipients_file is set: there is nobody to encrypt to",
            remedy="write the public keys of `age-keygen` to a file and name it there",
        )
    check_archive(kept, os.environ)
    where = directory_of(settings, directory)
    archive, shipping = Archive(where, kept.recipients_file), _shipping(settings, where)
    if every is not None:
        _keep_archiving(archive, shipping, every)
    with _explained(where):
        report = archive.run(time.time())
        if shipping is not None:
            done, error = shipping.run(time.time())
            looked = archive.look(time.time())
            report = replace(looked, done=report.done + done, error=report.error or error)
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


@click.command("verify")
@IN_DIRECTORY
@exits_cleanly
def verify_shipped(config: Path | None, directory: Path | None) -> None:
    """Compare the recordings in the bucket with what was shipped, by size and SHA-256.

    Exit code 1: some are not there, or are something else; each is named.
    """
    settings = load_settings(config, os.environ)
    where = directory_of(settings, directory)
    bucket = bucket_of(settings)
    good = bad = 0
    for each in finished_recordings(where):
        note = RecordingNote.read(each.files)
        if each.state not in (RecordingState.SHIPPED, RecordingState.REMOTE) or note is None:
            continue
        try:
            bucket.check(note)
            good += 1
        except BucketError as error:
            bad += 1
            click.echo(f"{each.files.call_id}: {error}")
    click.echo(f"{good} recordings are in {bucket.name} as they were shipped, {bad} are not")
    if bad:
        raise SystemExit(_LEFT)


@click.command("fetch")
@click.argument("call_id")
@IN_DIRECTORY
@exits_cleanly
def fetch(call_id: str, config: Path | None, directory: Path | None) -> None:
    """Bring a shipped recording back to this disk, encrypted, for recordings.s3.keep_local_s."""
    settings = load_settings(config, os.environ)
    call = find_call(directory_of(settings, directory), call_id)
    if not call.files.encrypted.exists():
        try:
            fetch_recording(call.files, bucket_of(settings))
        except OSError as error:
            raise InfrastructureError(
                f"the recording of {call.files.call_id} can't be fetched: {error.strerror}",
                remedy="check that it was shipped, and the room on the disk",
            ) from error
    click.echo(json.dumps({"path": str(call.files.encrypted)}))


def bucket_of(settings: Settings) -> RecordingBucket:
    """Return the bucket of the settings.

    Raises:
        ConfigError: they have none, or it can't be used.
    """
    if settings.recordings.s3 is None:
        raise ConfigError("no recordings.s3 is set", remedy="name the bucket there")
    return RecordingBucket(settings.recordings.s3, os.environ)


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


def _shipping(settings: Settings, directory: Path) -> Shipping | None:
    wanted = settings.recordings.s3
    if wanted is None:
        return None
    return Shipping(directory, RecordingBucket(wanted, os.environ), wanted.keep_local_s)


def _keep_archiving(archive: Archive, shipping: Shipping | None, every_s: float) -> NoReturn:
    """Archive until the process is ended; a slow storage keeps no recording from encryption."""
    os.nice(_NICENESS)
    shipped: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()

    def keep_shipping(shipping: Shipping) -> None:
        while True:
            try:
                shipped.put(shipping.run(time.time()))
            except OSError as error:
                shipped.put((0, f"{archive.directory}: {error.strerror}"))
            time.sleep(every_s)

    shipper = threading.Thread(target=keep_shipping, args=(shipping,), daemon=True)
    if shipping is not None:
        shipper.start()
    waits: str | None = None
    while True:
        if shipping is not None and not shipper.is_alive():
            raise InfrastructureError(
                f"shipping from {archive.directory} ended by a fault",
                remedy="report the traceback before this; a gateway starts it again",
            )
        with _explained(archive.directory):
            report = archive.run(time.time())
        done = report.done
        while not shipped.empty():
            more, waits = shipped.get()
            done += more
        click.echo(json.dumps(asdict(replace(report, done=done, error=report.error or waits))))
        time.sleep(every_s)


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InfrastructureError(
            f"{directory} can't be looked through: {error.strerror}",
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
