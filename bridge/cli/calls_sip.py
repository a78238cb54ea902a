"""Shows a call's SIP messages for `bridge calls show`: a ladder, whole, JSON, a capture."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bridge.errors import ConfigError
from bridge.recordings.files import find_call
from bridge.sip.ladder import LadderRow, ladder
from bridge.sip.pcap import encode_pcap
from bridge.sip.text import cut, plain
from bridge.sip.trace import CallTrace, TracedMessage, decode_trace
from bridge.store.sip_messages import RefusedOfNode

_NARROWEST, _WIDEST = 60, 140
_CLOCK, _SINCE, _PARTY = 12, 10, 10


def read_sip(directory: Path, beginning: str) -> CallTrace:
    """Return the SIP messages of the one call whose id begins so.

    Raises:
        ConfigError: there is no such call, or nothing is kept of its messages.
    """
    files = find_call(directory, beginning).files
    try:
        return decode_trace(files.sip.read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            f"no SIP messages of {files.call_id} are kept in {directory}",
            remedy="they are written 2 s after a call's end where sip.messages.keep is on; while it"
            " goes on, and on other nodes, they are asked for where --redis names their Redis",
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{files.sip} can't be read: {error}") from error


def print_sip(trace: CallTrace, console: Console, *, raw: bool, as_json: bool) -> None:
    """Print a call's messages.

    Args:
        raw: whole, beside what they are in short.
        as_json: for programs.
    """
    rows = ladder(trace.messages)
    if as_json:
        console.out(json.dumps(_as_json(trace, raw=raw), indent=2), highlight=False)
    elif raw:
        _print_whole(rows, trace.messages, console)
    else:
        _print_ladder(rows, console)


def print_refused(
    nodes: Sequence[RefusedOfNode], console: Console, *, raw: bool, as_json: bool
) -> None:
    """Print the INVITEs that became no call, and the messages of the latest, where asked for.

    Args:
        raw: these whole.
        as_json: for programs.
    """
    if as_json:
        found = [
            {
                "node": each.node,
                "groups": each.groups,
                "traces": [_as_json(trace, raw=raw) for trace in each.traces],
            }
            for each in nodes
        ]
        console.out(json.dumps(found, indent=2), highlight=False)
        return
    rows = [(each.node, group) for each in nodes for group in each.groups]
    if not rows:
        console.print("no INVITE was refused within the last 24 hours")
    for node, group in rows:
        since, until = (_clock(group[name] * 1_000_000) for name in ("first_at_ms", "last_at_ms"))
        answer, trunk = f"{plain(group['answer']):<32}", group["trunk"] or "no trunk"
        counts = f"{group['refused']:>8} refused, {group['kept']} kept of {since} to {until} UTC"
        console.print(Text(f"{answer} {trunk:<16} {counts}  {node}"), soft_wrap=True)
    for trace in (trace for each in nodes for trace in each.traces):
        console.print()
        title = f"{trace.about['answer']}  {trace.about['trunk'] or 'no trunk'}"
        console.print(Text(plain(title), style="bold"), soft_wrap=True)
        print_sip(trace, console, raw=raw, as_json=False)


def _as_json(trace: CallTrace, *, raw: bool) -> Mapping[str, object]:
    texts = [{"text": each.text} if raw else {} for each in trace.messages]
    rows = ladder(trace.messages)
    messages = [row.as_json() | text for row, text in zip(rows, texts, strict=True)]
    return {**trace.about, "messages": messages}


def write_pcap(trace: CallTrace, path: Path) -> None:
    """Write a call's messages as a capture.

    Raises:
        ConfigError: the file can't be written.
    """
    try:
        path.write_bytes(encode_pcap(trace.messages))
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from error


def _print_ladder(rows: Sequence[LadderRow], console: Console) -> None:
    width = min(max(console.width, _NARROWEST), _WIDEST)
    between = width - _CLOCK - _SINCE - _PARTY - 4
    ends = "far end" + "bridge".rjust(between + 2 - len("far end"))
    console.print(Text(f"{'UTC':<{_CLOCK}}{'ms':>{_SINCE}} {'':<{_PARTY}} {ends}", style="bold"))
    named: set[tuple[str, str]] = set()
    for row in rows:
        if row.left_out:
            console.print(Text(f"{'':<{_CLOCK}}{row.left_out:>{_SINCE}} messages not kept"))
        if (row.party, row.far_end) not in named:
            named.add((row.party, row.far_end))
            where = f"{row.party} {row.far_end} <-> {row.local} {row.transport}"
            console.print(Text(cut(where, width), style="dim"))
        style = "dim" if row.repeats else _style(row)
        head = f"{_clock(row.at_ns)}{row.after_ms:>{_SINCE}.1f} {cut(row.party, _PARTY):<{_PARTY}} "
        console.print(Text(f"{head}|{_arrow(row, between)}|", style=style), no_wrap=True)


def _arrow(row: LadderRow, width: int) -> str:
    """Draw a message between the two ends, ``width`` characters long."""
    words = row.what.replace("(", f"({row.cseq} ") if "(" in row.what else f"{row.what} {row.cseq}"
    parts = (words, row.media, row.reason, "again" if row.repeats else "")
    label = cut(" ".join(each for each in parts if each), width - 6)
    dashes = "-" * (width - 5 - len(label))
    return f"<- {label} {dashes}-" if row.sent else f"- {label} {dashes}->"


def _style(row: LadderRow) -> str:
    return "red" if row.what[:1] in {"4", "5", "6"} else ""


def _print_whole(
    rows: Sequence[LadderRow], messages: Sequence[TracedMessage], console: Console
) -> None:
    for row, message in zip(rows, messages, strict=True):
        way = f"{row.local} -> {row.far_end}" if row.sent else f"{row.far_end} -> {row.local}"
        again = " (again)" if row.repeats else ""
        title = f"{_clock(row.at_ns)} +{row.after_ms:.1f} ms  {row.party}  {way} {row.transport}"
        console.print(Text(f"{title}{again}", style="bold"), soft_wrap=True)
        for line in message.text.splitlines():
            console.print(Text(f"    {plain(line)}"), soft_wrap=True)
        console.print()


def _clock(at_ns: int) -> str:
    at = datetime.fromtimestamp(at_ns / 1e9, UTC)
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"
