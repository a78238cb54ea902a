"""The count of a machine's workers, and the ports, name and directory of each. Pure.

A worker is `bridge serve` with the same settings and a few variables over them: ports, directory
and name by its slot. There is a slot more than workers, for the replacement that takes calls while
its forerunner drains.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bridge.config.loading import PREFIX
from bridge.config.settings import Settings
from bridge.errors import ConfigError

_KEPT_FREE = 1
"""Cores of `auto` that are Kamailio's and Redis'."""

_FEWEST_PORTS = 4
"""RTP and RTCP with the caller, and with a person whom the call is handed to."""

_THIS_MACHINE = "127.0.0.1"
"""Where a worker's HTTP is heard: the supervisor alone asks for it, and speaks for all."""


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """The part of a worker that no other has.

    Attributes:
        slot: from 1.
        name: as logs and the label `worker` have it.
        variables: of its environment, over the settings of all.
    """

    slot: int
    name: str
    variables: Mapping[str, str]


def count_of(wanted: int | Literal["auto"]) -> int:
    """Return how many workers are meant: of `auto`, one a core but for one core, at least one."""
    if wanted != "auto":
        return wanted
    return max(1, len(os.sched_getaffinity(0)) - _KEPT_FREE)


def plan_workers(settings: Settings, count: int, node: str, redis_url: str) -> list[WorkerPlan]:
    """Return a plan for each slot, one more than ``count``.

    Args:
        settings: of all of them.
        node: the machine's name, which theirs begin with.

    Raises:
        ConfigError: the settings have what only one process can have.
    """
    _refuse_what_is_one_process_s(settings)
    slots = count + 1
    ranges = _share_rtp_ports(settings.sip.rtp_port_min, settings.sip.rtp_port_max, slots)
    return [
        WorkerPlan(
            slot,
            f"w{slot}",
            {
                PREFIX + name: value
                for name, value in {
                    "WORKERS": "1",
                    "NODE": f"{node}-w{slot}",
                    "REDIS_URL": redis_url,
                    "STATE_DIR": str(settings.state_dir / f"w{slot}"),
                    "SIP_PORT": "0",
                    "HTTP_HOST": _THIS_MACHINE,
                    "HTTP_PORT": "0",
                    "HTTP_PROBES_HOST": _THIS_MACHINE,
                    "HTTP_PROBES_PORT": "0",
                    **rtp,
                }.items()
            },
        )
        for slot, rtp in enumerate(ranges, 1)
    ]


def _share_rtp_ports(first: int, last: int, slots: int) -> list[dict[str, str]]:
    """Return the variables that give each slot its own ports; none where any port will do.

    Raises:
        ConfigError: there are too few.
    """
    if not first:
        return [{}] * slots
    first += first % 2
    each = (last - first + 1) // slots // 2 * 2
    if each < _FEWEST_PORTS:
        raise ConfigError(
            f"sip.rtp_port_min to rtp_port_max has too few ports for {slots} workers, one of them"
            " a replacement",
            remedy=f"give each {_FEWEST_PORTS} ports a call: 1,000 of them for 200 calls",
        )
    return [
        {
            "SIP_RTP_PORT_MIN": str(first + slot * each),
            "SIP_RTP_PORT_MAX": str(first + (slot + 1) * each - 1),
        }
        for slot in range(slots)
    ]


def _refuse_what_is_one_process_s(settings: Settings) -> None:
    sip = settings.sip
    registered = sorted(name for name, trunk in sip.trunks.items() if trunk.registration)
    found = {
        "sip.tls": sip.tls is not None,
        "sip.users": bool(sip.users),
        "http.node_url": settings.http.node_url is not None,
        f"sip.trunks.{', '.join(registered)}.registration": bool(registered),
    }
    for setting in (name for name, is_there in found.items() if is_there):
        raise ConfigError(
            f"{setting} belongs to one process, and there are to be several workers",
            remedy="leave it out, or run one worker (workers: 1); TLS outside several: see"
            " deploy/kamailio/README.md",
        )
