"""`bridge pjsip`: prints the capabilities of the loaded PJSIP."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from bridge.cli.errors import exits_cleanly
from bridge.telephony.capabilities import Capabilities, examine

_CAPACITY_BUILD = "deploy/pjsip/build installs a PJSIP that holds hundreds"
_FEW_CALLS = 32


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@exits_cleanly
def pjsip(as_json: bool) -> None:
    """Say what the loaded PJSIP can do: calls, sockets, TLS, SRTP, media, codecs; and its faults.

    PJSIP is brought up without opening a port, and asked. Only the faults that were published for
    its release are told from its version, each with what keeps it from a gateway.
    The pip wheel of PJSIP holds 4 calls; `deploy/pjsip/build` puts one that holds hundreds in its
    place.
    """
    found = examine()
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    click.echo(f"PJSIP {found.version} ({found.distribution or 'not installed by pip'})")
    for name, value, remark in _rows(found):
        click.echo(f"  {name:<18}{value}")
        if remark:
            click.echo(f"  {'':<18}  {remark}")
    for fault in found.known_faults:
        click.echo(f"    {fault.name}, up to {'.'.join(map(str, fault.last))}: {fault.what}")
        click.echo(f"      {'guard: ' + fault.guard if fault.guard else 'NO GUARD STANDS'}")


def _rows(found: Capabilities) -> Iterator[tuple[str, str, str]]:
    """Yield each line's name, its value, and what there is to say about it."""
    few = found.call_limit < _FEW_CALLS
    yield "calls", f"{found.call_limit} in one process", _CAPACITY_BUILD if few else ""
    yield "conference ports", str(found.conference_ports), ""
    yield "ioqueue", found.ioqueue, ""
    yield (
        "TLS library",
        found.tls_library or "none",
        f"SIP over TLS is not offered: {found.tls_problem}"
        if found.tls_problem
        else "SIP over TLS is offered",
    )
    yield (
        "SRTP",
        "not offered" if found.srtp_problem else "offered, keys by SDES",
        found.srtp_problem or "",
    )
    yield "IPv6", "not offered" if found.ipv6_problem else "offered", found.ipv6_problem or ""
    yield (
        "memory ports",
        "not usable; audio goes by callbacks" if found.memory_ports_problem else "usable",
        found.memory_ports_problem or "",
    )
    yield "codecs", " ".join(found.codecs), ""
    open_faults = sum(fault.guard is None for fault in found.known_faults)
    yield (
        "known faults",
        f"{len(found.known_faults)}, {open_faults} without a guard",
        "keep this PJSIP on this machine, or install deploy/pjsip/build's" if open_faults else "",
    )
