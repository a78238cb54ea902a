"""The rollout demo's processes: a gateway with two arms, a Realtime server behind each, callers."""

import json
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from bridge.bench.parts import CallersProcess
from bridge.config.loading import PREFIX
from bridge.config.models import load_models
from bridge.errors import InfrastructureError
from bridge.processes.child import Child, start_child
from bridge.processes.http import ask

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
class ArmServer:
    """A Realtime server, which fails on demand."""

    url: str
    secret: str

    async def fail(self, faults: Faults) -> None:
        """Let everything go wrong that ``faults`` says (`bridge/simulator/faults.py`)."""
        await self._ask("POST", json.dumps(list(faults)).encode())

    async def recover(self) -> None:
        """Let nothing go wrong any more."""
        await self._ask("DELETE")

    async def _ask(self, method: str, body: bytes = b"") -> None:
        url = f"http://{urlsplit(self.url).netloc}/admin/faults"
        try:
            await ask(method, url, {"X-Simulator-Admin": self.secret}, body)
        except (OSError, TimeoutError) as error:
            raise InfrastructureError("a Realtime server takes no faults") from error


@dataclass(frozen=True, slots=True)
class RolloutParts:
    """The running processes of the rollout demo.

    Attributes:
        servers: by arm.
        callers: by flag.
        recordings: where the gateway's call records are.
    """

    servers: Mapping[str, ArmServer]
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
    place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-rollout-")))
    start = _Starter({k: v for k, v in environ.items() if not k.startswith(PREFIX)}, place, stack)
    servers = {arm: await start.server(arm) for arm in (OLD, NEW)}
    sip = await start.gateway(flags, servers, redis_url)
    callers = {flag: await start.callers(flag, sip) for flag in flags}
    return RolloutParts(servers, callers, place / "recordings")


class _Starter:
    def __init__(self, environ: Mapping[str, str], place: Path, stack: AsyncExitStack) -> None:
        self._environ = environ
        self._place = place
        self._stack = stack

    async def server(self, arm: str) -> ArmServer:
        scenario = self._place / "scenario.yaml"
        _write(scenario, _SCENARIO)
        secret = secrets.token_hex(8)
        child = await self._start(
            f"the Realtime server of arm {arm}",
            ["simulate", "--json", "--scenario", str(scenario)],
            {"SIMULATOR_ADMIN_SECRET": secret},
        )
        return ArmServer(str((await child.report(_READY_WITHIN_S))["url"]), secret)

    async def gateway(
        self,
        flags: Mapping[str, Mapping[str, object]],
        servers: Mapping[str, ArmServer],
        redis_url: str,
    ) -> str:
        for flag in flags:
            _write(self._place / "dialplans" / f"{flag}.yaml", _dialplan(flag))
        table = load_models()
        settings = {
            "node": "demo",
            "dialplans_dir": str(self._place / "dialplans"),
            "state_dir": str(self._place / "state"),
            "drain_s": 0,
            "arms": {
                arm: {
                    "dialect": dialect,
                    "model": table.newest(dialect),
                    "url": servers[arm].url,
                    "api_key_env": _KEY_VARIABLE,
                }
                for arm, dialect in _DIALECTS.items()
            },
            "rollouts": {flag: dict(told) for flag, told in flags.items()},
            "rollout_key_env": _SECRET_VARIABLE,
            "sip": {"host": "127.0.0.1", "port": 0},
            "http": {"port": 0},
            "console": {"enabled": False},
            "media": {"recordings_dir": str(self._place / "recordings")},
            "redis": {"url": redis_url},
            "telemetry": {"log_format": "json"},
        }
        _write(self._place / "bridge.yaml", settings)
        child = await self._start(
            "the gateway",
            ["serve", "--json", "--config", str(self._place / "bridge.yaml")],
            {_KEY_VARIABLE: "sk-sim-demo", _SECRET_VARIABLE: secrets.token_hex(16)},
        )
        return str((await child.report(_READY_WITHIN_S))["sip"]).removeprefix("sip:")

    async def callers(self, flag: str, sip: str) -> CallersProcess:
        arguments = ["bench", "callers", sip, "--called", flag, "--each-another"]
        return CallersProcess(await self._start("the callers", arguments, {}, takes_orders=True))

    async def _start(
        self,
        name: str,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        *,
        takes_orders: bool = False,
    ) -> Child:
        child = await start_child(
            name, arguments, {**self._environ, **variables}, takes_orders=takes_orders
        )
        return await self._stack.enter_async_context(child)


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


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
