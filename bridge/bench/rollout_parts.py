"""The rollout demo's processes: a gateway with two arms, a Realtime server behind each, callers."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bridge.bench.parts import CallersProcess
from bridge.config.models import load_models
from bridge.processes.simulator import SimulatorAdmin
from bridge.processes.starter import Starter, write_yaml

OLD, NEW = "old", "new"
_DIALECTS = {OLD: "beta", NEW: "ga"}
_KEY_VARIABLE = "DEMO_REALTIME_KEY"
_SECRET_VARIABLE = "DEMO_ROLLOUT_KEY"
_READY_WITHIN_S = 30.0

_SCENARIO: Mapping[str, object] = {
    "name": "rollout",
    "greeting": "Hello.",
    "fallback": "Sorry?",
    "rules": [{"hears": ["Where is my order?"], "say": "On its way."}],
    "pacing": {"think_ms": 20},
}

Faults = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class RolloutParts:
    """The running processes of the rollout demo.

    Attributes:
        servers: by arm.
        callers: by flag.
        recordings: where the gateway's call records are.
    """

    servers: Mapping[str, SimulatorAdmin]
    callers: Mapping[str, CallersProcess]
    recordings: Path


async def start_parts(
    flags: Mapping[str, Mapping[str, object]],
    redis_url: str,
    environ: Mapping[str, str],
    stack: AsyncExitStack,
) -> RolloutParts:
    """Start everything; the stack stops it.

    Args:
        flags: settings of the rollouts. Each has a dialplan, which is called by the flag's name.
        environ: for the processes; they don't get its ``BRIDGE_*``.

    Raises:
        InfrastructureError: a part did not start.
    """
    start = Starter(environ, stack)
    place = start.directory("bridge-rollout-")
    scenario = write_yaml(place / "scenario.yaml", _SCENARIO)
    servers = {
        arm: await start.simulator(f"the Realtime server of arm {arm}", "--scenario", str(scenario))
        for arm in (OLD, NEW)
    }
    for flag in flags:
        write_yaml(place / "dialplans" / f"{flag}.yaml", _dialplan(flag))
    urls = {arm: server.url for arm, server in servers.items()}
    settings = write_yaml(place / "bridge.yaml", _settings(flags, urls, redis_url, place))
    _, ready = await start.gateway(
        {},
        *("--config", str(settings)),
        variables={_KEY_VARIABLE: "sk-sim-demo", _SECRET_VARIABLE: secrets.token_hex(16)},
    )
    sip = str(ready["sip"]).removeprefix("sip:")
    callers = {}
    for flag in flags:
        arguments = ("bench", "callers", sip, "--called", flag, "--each-another")
        callers[flag] = CallersProcess(
            await start.start("the callers", *arguments, takes_orders=True)
        )
    admins = {arm: server.admin for arm, server in servers.items()}
    return RolloutParts(admins, callers, place / "recordings")


def _settings(
    flags: Mapping[str, Mapping[str, object]],
    urls: Mapping[str, str],
    redis_url: str,
    place: Path,
) -> Mapping[str, object]:
    """Return the gateway's settings."""
    table = load_models()
    return {
        "node": "demo",
        "dialplans_dir": str(place / "dialplans"),
        "state_dir": str(place / "state"),
        "drain_s": 0,
        "arms": {
            arm: {
                "dialect": dialect,
                "model": table.newest(dialect),
                "url": urls[arm],
                "api_key_env": _KEY_VARIABLE,
            }
            for arm, dialect in _DIALECTS.items()
        },
        "rollouts": {flag: dict(settings) for flag, settings in flags.items()},
        "rollout_key_env": _SECRET_VARIABLE,
        "sip": {"host": "127.0.0.1", "port": 0},
        "http": {"port": 0},
        "console": {"enabled": False},
        "media": {"recordings_dir": str(place / "recordings")},
        "redis": {"url": redis_url},
        "telemetry": {"log_format": "json"},
    }


def _dialplan(flag: str) -> Mapping[str, object]:
    return {
        "schema": "dialplan/v1",
        "name": flag,
        "match": [{"called": flag}],
        "rollout": flag,
        "agent": {"instructions": "Be brief.", "greeting": "Hello.", "language": "en"},
        "limits": {"session_ready_s": 1.5},
        "fallback": {"say": "We call you back.", "before_answer": "answer"},
        "recording": {"enabled": False},
    }
