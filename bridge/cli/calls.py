"""`bridge calls`: lists and shows the calls of every node, as Redis has them."""

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console

from bridge.cli.calls_audit import begin_of, read_audit
from bridge.cli.calls_list import CallFilter, clock_time, find_calls, find_troubles, print_calls
from bridge.cli.calls_show import CallStory, plot_waterfall, print_story
from bridge.cli.calls_sip import print_refused, print_sip, read_sip, write_pcap
from bridge.cli.errors import exits_cleanly
from bridge.cli.options import JSON, REDIS, config_option, together
from bridge.cli.running import run
from bridge.clock import NS_PER_MS, SystemClock
from bridge.config.loading import load_settings
from bridge.config.settings import RedisSettings
from bridge.console.access.audit_head import HeadFile
from bridge.errors import ConfigError, InfrastructureError
from bridge.sip.trace import CallTrace
from bridge.store.control import ControlSender
from bridge.store.reader import CallReader
from bridge.store.sip_messages import RefusedOfNode, ask_call_sip, ask_refused

_FOLLOW_MS = 1000
_LOOK_S = 0.5

_from_redis = together(config_option("YAML settings with redis.url."), REDIS, JSON)
"""Adds the options that say which Redis is read."""


@click.group()
def calls() -> None:
    """List, show and follow calls, of every node that shares a Redis.

    \b
    bridge calls list                  calls now, then the latest that ended
    bridge calls show CALL_ID          one call: conversation, waterfall, timeline
    bridge calls refused               INVITEs that became no call, and why
    bridge calls tail                  what happens, as it happens
    bridge calls audit                 who did what; --verify: is all of it still there

    The Redis is --redis, BRIDGE_REDIS_URL or redis.url of --config. Transcripts are redacted.
    """


@calls.command("list")
@click.option("--active", is_flag=True, help="Only calls that go on.")
@click.option("--limit", default=20, show_default=True, help="Ended calls at most.")
@click.option("--outcome", help="Only calls that ended so: completed, session_lost, ...")
@click.option("--fault", help="Only calls that ended by this one's fault: provider, carrier, ...")
@click.option("--arm", help="Only calls of this arm.")
@click.option("--slower-than", type=float, metavar="MS", help="The p95 of its answers is over MS.")
@click.option("--silence-over", type=float, metavar="MS", help="Its longest silence is over MS.")
@_from_redis
@exits_cleanly
def list_calls(
    active: bool,
    limit: int,
    outcome: str | None,
    fault: str | None,
    arm: str | None,
    slower_than: float | None,
    silence_over: float | None,
    config: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """List the calls that go on, and the latest that ended.

    Filters look at the latest 1000 that ended. A call that goes on has no outcome, fault, p95 or
    silence yet. Nodes with which something is wrong are named on standard error.

    \b
    bridge calls list --fault provider --slower-than 1500
    """
    wanted = CallFilter(outcome, fault, arm, slower_than, silence_over)
    found = run(find_calls(_reader(config, url), 0 if active else limit, wanted))
    for line in run(find_troubles(_reader(config, url))):
        click.echo(f"node {line}", err=True)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        print_calls(found)


@calls.command("show")
@click.argument("call_id")
@click.option("--png", type=click.Path(path_type=Path), help="Draw the waterfall into this file.")
@click.option("--sip", is_flag=True, help="Show its SIP messages as a ladder instead.")
@click.option("--raw", is_flag=True, help="With --sip: the whole messages.")
@click.option(
    "--pcap", type=click.Path(path_type=Path), help="Write its SIP messages to this file."
)
@click.option(
    "--directory", type=click.Path(path_type=Path), help="Of its files; else that of the settings."
)
@_from_redis
@exits_cleanly
def show_call(
    call_id: str,
    png: Path | None,
    sip: bool,
    raw: bool,
    pcap: Path | None,
    directory: Path | None,
    config: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Show one call: how it ended, what was said, where each turn's time went, what happened.

    CALL_ID is as `bridge calls list` prints it; the beginning will do. --png needs matplotlib (the
    extra `bench`).

    --sip and --pcap read the call's file on this node (media.recordings_dir); of a call that goes
    on, or that another node took, they ask its node through Redis. Exit code 3: that node is gone,
    or has none. Credentials, keys and pressed digits are taken out. A capture has every message as
    a UDP datagram, those that went by TCP, too.

    \b
    bridge calls show c_5d1f --sip
    bridge calls show c_5d1f --pcap call.pcap
    """
    if sip or raw or pcap is not None:
        trace = _sip_of(call_id, directory, config, url)
        if pcap is None:
            print_sip(trace, Console(), raw=raw, as_json=as_json)
        else:
            write_pcap(trace, pcap)
            click.echo(f"{len(trace.messages)} messages in {pcap}")
        return
    story = run(_story(_reader(config, url), call_id))
    if png is not None:
        plot_waterfall(story.fields.get("call_id", call_id), story.latency(), png)
    if as_json:
        click.echo(json.dumps(story.as_json(), indent=2))
    else:
        print_story(story, Console())


def _sip_of(
    call_id: str, directory: Path | None, config: Path | None, url: str | None
) -> CallTrace:
    """Return a call's SIP messages from its file here, or from its node, if a Redis is named."""
    settings = load_settings(config, os.environ)
    try:
        return read_sip(directory or settings.media.recordings_dir, call_id)
    except ConfigError:
        if directory is not None or (url or settings.redis.url) is None:
            raise
    return run(_ask_sip(*_place(config, url), call_id))


async def _ask_sip(settings: RedisSettings, url: str, beginning: str) -> CallTrace:
    control = ControlSender(settings, url, clock=SystemClock())
    async with CallReader(settings, url) as reader, contextlib.aclosing(control):
        call_id = await _find(reader, beginning)
        node = (await reader.call(call_id) or {}).get("node", "")
        return await ask_call_sip(control, reader, node, call_id, "bridge calls show")


@calls.command("refused")
@click.option("--trunk", help="Only of this trunk; '' for whoever is of none.")
@click.option("--answer", default="", help="Only those answered so: 403, '503 Line Full'.")
@click.option("--sip", is_flag=True, help="Show the messages of the latest ones, too.")
@click.option("--raw", is_flag=True, help="With --sip: the whole messages.")
@click.option("--most", default=3, show_default=True, help="With --sip: of each trunk and answer.")
@_from_redis
@exits_cleanly
def refused_calls(
    trunk: str | None,
    answer: str,
    sip: bool,
    raw: bool,
    most: int,
    config: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """List the INVITEs that became no call, of every node: by trunk and answer, the latest first.

    Nodes keep them in memory for 24 hours at most, and where there is no room leave out the oldest
    of the largest group. Credentials and keys are taken out. Exit code 3: a node gave no answer.

    \b
    bridge calls refused --trunk twilio --sip
    """
    wanted: dict[str, object] = {"answer": answer, "most": most if sip or raw else 0}
    if trunk is not None:
        wanted["trunk"] = trunk
    found, mute = run(_ask_refused(*_place(config, url), wanted))
    print_refused(found, Console(), raw=raw, as_json=as_json)
    for node in mute:
        click.echo(f"node {node} gave no answer", err=True)
    if mute:
        raise SystemExit(InfrastructureError.exit_code)


async def _ask_refused(
    settings: RedisSettings, url: str, wanted: Mapping[str, object]
) -> tuple[list[RefusedOfNode], list[str]]:
    control = ControlSender(settings, url, clock=SystemClock())
    async with CallReader(settings, url) as reader, contextlib.aclosing(control):
        return await ask_refused(control, reader, "bridge calls refused", wanted)


@calls.command("tail")
@click.argument("call_id", required=False)
@_from_redis
@exits_cleanly
def tail_calls(call_id: str | None, config: Path | None, url: str | None, as_json: bool) -> None:
    """Follow what happens in a call, or in all of them, until Ctrl-C.

    With CALL_ID it ends when the call does.
    """
    run(_tail(_reader(config, url), call_id, as_json=as_json))


@calls.command("audit")
@click.option("--verify", is_flag=True, help="Check the chain of hashes instead of printing it.")
@click.option("--since", metavar="WHEN", help="30m, 24h, 7d, or a date or time (UTC).")
@_from_redis
@exits_cleanly
def audit_calls(
    verify: bool, since: str | None, config: Path | None, url: str | None, as_json: bool
) -> None:
    """Print what people and the bridge itself decided, the oldest first.

    Each entry holds the hash of the one before. --verify says whether one was changed, taken out or
    put in between; exit code 1 if so. With the --config of a node that writes the audit it also
    sees a chain that was made anew: the node keeps the last entry that it wrote in its state_dir,
    out of reach of whoever can write Redis. With --since the first entry from then on is believed.

    \b
    bridge calls audit --since 24h --json | jq 'select(.action == "unmask")'
    """
    since_ms = begin_of(since, SystemClock().wall_ns() // NS_PER_MS)
    head = HeadFile(load_settings(config, os.environ).state_dir)
    if not run(read_audit(*_place(config, url), head, since_ms, verifies=verify, as_json=as_json)):
        raise SystemExit(1)


def _reader(config: Path | None, url: str | None) -> CallReader:
    return CallReader(*_place(config, url))


def _place(config: Path | None, url: str | None) -> tuple[RedisSettings, str]:
    settings = load_settings(config, os.environ).redis
    address = url or settings.url
    if address is None:
        raise ConfigError(
            "no Redis is named, and a gateway without one keeps its own",
            remedy="pass --redis, or set BRIDGE_REDIS_URL to the one that the gateway uses",
        )
    return settings, address


async def _story(reader: CallReader, call_id: str) -> CallStory:
    async with reader:
        found = await reader.history(await _find(reader, call_id))
    return CallStory(found.fields, found.events)


async def _find(reader: CallReader, beginning: str) -> str:
    if await reader.call(beginning) is not None:
        return beginning
    known = [*await reader.active(), *await reader.ended(10_000)]
    found = [call_id for call_id in known if call_id.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    raise ConfigError(
        f"{len(found) or 'no'} call{'s' if len(found) > 1 else ''} known by '{beginning}'",
        remedy="`bridge calls list` names those that are kept (24 hours after their end)",
    )


async def _tail(reader: CallReader, call_id: str | None, *, as_json: bool) -> None:
    async with reader:
        if call_id is not None:
            await _follow(reader, await _find(reader, call_id), as_json=as_json)
            return
        followed: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                for each in await reader.active():
                    if each not in followed:
                        followed[each] = group.create_task(_follow(reader, each, as_json=as_json))
                await asyncio.sleep(_LOOK_S)


async def _follow(reader: CallReader, call_id: str, *, as_json: bool) -> None:
    after = "0"
    while True:
        for event_id, fields in await reader.events(call_id, after, _FOLLOW_MS):
            after = event_id
            _print_event(call_id, event_id, fields, as_json=as_json)
            if fields.get("kind") == "ended":
                return


def _print_event(call_id: str, event_id: str, fields: dict[str, str], *, as_json: bool) -> None:
    at_ms = int(event_id.split("-", maxsplit=1)[0])
    if as_json:
        click.echo(json.dumps({"call_id": call_id, "at_ms": at_ms, **fields}))
        return
    rest = "  ".join(f"{name}={value}" for name, value in fields.items() if name != "kind")
    click.echo(f"{clock_time(at_ms)}  {call_id}  {fields.get('kind', '?'):<18}{rest}")
