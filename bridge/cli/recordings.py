"""`bridge recordings`: keeps, holds and deletes the files of calls that are over; the group."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import click

from bridge.app.rollouts.secret import read_secret
from bridge.audio.markers import HEADER_SCHEMA, MARKER_SCHEMA
from bridge.cli.errors import exits_cleanly
from bridge.cli.options import IN_DIRECTORY, JSON, REDIS, directory_of, together
from bridge.cli.recordings_archive import (
    archive_recordings,
    decrypt,
    fetch,
    show_status,
    verify_shipped,
)
from bridge.config.loading import load_settings
from bridge.config.settings import Settings
from bridge.errors import ConfigError, InfrastructureError
from bridge.recordings.deletion import Deletion, audit, delete_of_caller, hold, release, sweep
from bridge.recordings.files import DELETIONS_FILE, find_call
from bridge.recordings.retention import is_of
from bridge.routing.numbers import shown_number
from bridge.routing.rollout.draw import logged_caller, targeting_key
from bridge.store.client import RedisLink
from bridge.store.ended_calls import CallEraser
from bridge.store.rollouts import RolloutStore

_LEFT = 1
"""Exit code where something that was to go is still there."""

_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would go.")
_deleting = together(IN_DIRECTORY, _dry_run, REDIS, JSON)
"""Adds the options of what deletes."""


@click.group()
def recordings() -> None:
    """Keep, hold, encrypt and delete recordings, transcripts and records of calls that are over.

    \b
    bridge recordings sweep                     delete what is over its time
    bridge recordings delete --caller +1555...  delete all that is kept of a caller
    bridge recordings hold CALL_ID              keep a call whatever comes (legal hold)
    bridge recordings release CALL_ID           end that
    bridge recordings archive                   encrypt recordings, and ship them
    bridge recordings status                    count them, by state and by key
    bridge recordings verify                    compare the bucket with what was shipped
    bridge recordings fetch CALL_ID             bring a shipped one back
    bridge recordings decrypt CALL_ID --out F   write one as a plain WAV file
    bridge recordings schema                    print the JSON Schemas of the markers

    How long a call is kept is the dialplan's to say (`recording.keep_days`), and fixed when the
    call begins. `bridge serve` sweeps at its start and every hour. What was deleted, when, why and
    by whom is added to deletions.jsonl beside the recordings.
    """


@recordings.command("sweep")
@_deleting
@exits_cleanly
def sweep_recordings(
    dry_run: bool, config: Path | None, directory: Path | None, url: str | None, as_json: bool
) -> None:
    """Delete what is over its time: audio, transcripts, and calls as a whole.

    Held calls and those that go on are left. Exit code 0.
    """
    settings = load_settings(config, os.environ)
    done = _on_disk(lambda where: sweep(where, _now_ms(), dry_run=dry_run), settings, directory)
    address = url or settings.redis.url
    if address is not None and not dry_run:
        asyncio.run(_erase(done, settings, address))
    _finish(done, as_json=as_json)


@recordings.command("delete")
@click.option("--caller", required=True, metavar="NUMBER", help="As your trunk sends it.")
@_deleting
@exits_cleanly
def delete_recordings(
    caller: str,
    dry_run: bool,
    config: Path | None,
    directory: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Delete all that is kept of a caller: audio, markers, transcripts, records, state in Redis.

    Their calls in the logs that rollouts are judged by go, too: those are found by the key that
    callers are drawn with (ROLLOUT_KEY).

    It deletes in this directory: run it wherever gateways record to one of their own. Exit code 1:
    calls are left, held ones or such as go on (run it again when those are over).

    \b
    Example:
      bridge recordings delete --caller "+1 555 0100" --dry-run
    """
    if not is_of(caller, caller):
        raise ConfigError(f"'{caller}' is no number", remedy="give it as your trunk sends it")
    settings = load_settings(config, os.environ)
    done = _on_disk(
        lambda where: delete_of_caller(where, caller, dry_run=dry_run), settings, directory
    )
    address = url or settings.redis.url
    if address is not None:
        asyncio.run(_erase(done, settings, address, caller))
        asyncio.run(_erase_logged(done, settings, address, caller))
    else:
        click.echo("no Redis is named (--redis, BRIDGE_REDIS_URL): none was looked at", err=True)
    _finish(done, as_json=as_json)
    if done.left:
        raise SystemExit(_LEFT)


@recordings.command("hold")
@click.argument("call_id")
@click.option("--reason", default="", help="Why; it is kept with the hold.")
@IN_DIRECTORY
@exits_cleanly
def hold_recording(call_id: str, reason: str, config: Path | None, directory: Path | None) -> None:
    """Keep a call from being deleted, by sweeps and by `delete`. The id's beginning will do."""
    call = find_call(directory_of(load_settings(config, os.environ), directory), call_id)
    hold(call, reason)
    click.echo(f"{call.files.call_id} is held")


@recordings.command("release")
@click.argument("call_id")
@IN_DIRECTORY
@exits_cleanly
def release_recording(call_id: str, config: Path | None, directory: Path | None) -> None:
    """End a hold: the call may be deleted again."""
    call = find_call(directory_of(load_settings(config, os.environ), directory), call_id)
    release(call)
    click.echo(f"{call.files.call_id} is not held")


@recordings.command("schema")
def print_schema() -> None:
    """Print the JSON Schemas of a markers file: of its first line, and of every other one."""
    click.echo(json.dumps({"header": HEADER_SCHEMA, "marker": MARKER_SCHEMA}, indent=2))


for _command in (archive_recordings, show_status, verify_shipped, fetch, decrypt):
    recordings.add_command(_command)


def _on_disk(
    delete: Callable[[Path], Deletion], settings: Settings, directory: Path | None
) -> Deletion:
    where = directory_of(settings, directory)
    try:
        return delete(where)
    except OSError as error:
        raise InfrastructureError(
            f"{error.filename or where} can't be deleted: {error.strerror}",
            remedy="mend that and run it again; what is gone is gone",
        ) from error


async def _erase(done: Deletion, settings: Settings, url: str, caller: str | None = None) -> None:
    """Erase in Redis what is gone from the disk, and what a caller has there alone."""
    async with aclosing(CallEraser(settings.redis, url)) as eraser:
        gone = {*done.events, *done.transcripts}
        if caller is not None:
            kept = {*done.held, *done.going_on}
            done.going_on += sorted({*await eraser.active_of(lambda c: is_of(c, caller))} - kept)
            gone |= {*await eraser.ended_of(lambda c: is_of(c, caller))} - kept
        found = sorted(gone)
        done.redis += found if done.dry_run else await eraser.erase(found)


async def _erase_logged(done: Deletion, settings: Settings, url: str, caller: str) -> None:
    """Erase a caller's calls from the logs that rollouts are judged by.

    They hold no number but the key that callers are drawn by, so that is asked for; calls that are
    deleted here are found by their ids, too.
    """
    keys: set[str] = set()
    try:
        secret = read_secret(settings.rollout_key_env, os.environ)
        number = shown_number(caller)
        spelt = {number, number.removeprefix("+"), f"+{number.removeprefix('+')}"}
        keys = {logged_caller(targeting_key(secret, each, "")) for each in spelt}
    except ConfigError as error:
        if settings.rollouts:
            click.echo(f"in the logs of rollouts only these calls are found: {error}", err=True)
    gone, kept = {*done.events, *done.redis}, {*done.held, *done.going_on}
    async with aclosing(RedisLink(url, timeout_s=settings.redis.connect_timeout_s)) as link:
        store = RolloutStore(link, settings.redis)
        found = await store.logged(
            lambda call: call.call_id not in kept and (call.call_id in gone or call.caller in keys)
        )
        if not done.dry_run:
            await store.erase_logged(found)
        done.rollout_log = sum(map(len, found.values()))


def _finish(done: Deletion, *, as_json: bool) -> None:
    try:
        audit(done)
    except OSError as error:
        raise InfrastructureError(
            f"the deletion can't be put down in {done.directory / DELETIONS_FILE}:"
            f" {error.strerror}",
            remedy="make room there; what was deleted is: " + json.dumps(done.as_json()),
        ) from error
    if as_json:
        click.echo(json.dumps(done.as_json()))
        return
    would = "would be " if done.dry_run else ""
    click.echo(
        f"{would}deleted: {len(done.events)} calls whole, {len(done.audio)} recordings and"
        f" {len(done.transcripts)} transcripts of others, {len(done.redis)} calls in Redis,"
        f" {done.rollout_log} in the logs of rollouts"
    )
    for why, calls in (("held", done.held), ("still going on", done.going_on)):
        if calls:
            click.echo(f"left, {why}: {', '.join(calls)}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
