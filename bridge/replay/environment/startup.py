"""Starts environments: the gateway and the Realtime service that answer calls on an arm."""

import json
import secrets
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bridge.errors import ConfigError, InfrastructureError
from bridge.processes.child import Child, start_child
from bridge.processes.load import load_dialplan
from bridge.processes.starter import Simulator, Starter, without_settings, write_yaml
from bridge.replay.environment.arms import KEY, KEY_VARIABLE, ReplayArm
from bridge.replay.environment.dialplans import (
    ARM,
    dialplans_beside,
    find_dialplans,
    write_dialplans,
)
from bridge.replay.environment.environment import EnvironmentKey, GatewayTraces, OwnEnvironment
from bridge.replay.environment.load import (
    LOAD_ARM,
    LOAD_CALLED,
    Load,
    check_room,
    load_arm,
)
from bridge.replay.environment.tool_mocks import ToolMocks
from bridge.replay.script.files import ScriptFile

_HOST = "127.0.0.1"
_READY_WITHIN_S = 60.0
_PORTS, _PORTS_TRIED = range(20_000, 32_000), 50


@dataclass(frozen=True, slots=True)
class Startup:
    """Starts environments and callers with what all of a run's have in common.

    Attributes:
        environ: of the processes; they don't get its ``BRIDGE_*``.
        place: directory for records and wire logs, which outlives the environments.
        dialplans: their directory, for every script; None: beside the script, or the project's.
        load: other calls that each environment's gateway has beside the script's.
    """

    environ: Mapping[str, str]
    redis_url: str
    place: Path
    mocks: ToolMocks
    dialplans: Path | None = None
    load: int = 0

    async def start_environment(
        self, file: ScriptFile, arm: ReplayArm, stack: AsyncExitStack
    ) -> OwnEnvironment:
        """Start the processes that a script's calls on an arm need; the stack stops them.

        Raises:
            ConfigError: dialplans or scenario are no good.
            InfrastructureError: a process did not start.
        """
        start = Starter(self.environ, stack, ready_within_s=_READY_WITHIN_S)
        place = start.directory("bridge-replay-")
        simulator = await self._start_simulator(file, arm, place, start)
        parts = [] if simulator is None else [simulator.child]
        node = f"replay-{secrets.token_hex(3)}"
        traces = GatewayTraces(
            self.place / node / "recordings", self.place / node / "wire", self.redis_url
        )
        service: str | None = None
        if self.load:
            child = await start.start("the other calls' service", "bench", "peer")
            service = str((await start.ready(child))["url"])
            parts.append(child)
        url = None if simulator is None else simulator.url
        gateway, ready = await start.gateway(
            self._settings(file, arm, url, node, place, traces, service),
            *([] if arm.is_live else ["--no-preflight"]),
            variables={} if arm.is_live and not self.load else {KEY_VARIABLE: KEY},
        )
        sip = str(ready["sip"])
        load: Load | None = None
        if self.load:
            check_room(self.load, int(str(ready["max_calls"])), file.script)
            talkers = await start.start(
                "the other calls",
                *("bench", "callers", sip.removeprefix("sip:")),
                *("--called", LOAD_CALLED, "--talking"),
                takes_orders=True,
            )
            load = Load(talkers, self.load, str(ready["probes"]))
            parts.append(talkers)
        return OwnEnvironment(
            sip,
            traces,
            None if simulator is None else simulator.admin,
            partial(self.mocks.set, node),
            [*parts, gateway],
            plays_tape=arm.tapes is not None,
            load=load,
        )

    def key_of(self, file: ScriptFile, arm: ReplayArm) -> EnvironmentKey:
        """Return what a script's calls on an arm need of their gateway."""
        now = file.script.setup.now
        directory = self.dialplans or dialplans_beside(file.path) or ""
        alone = arm.tapes is not None or file.script.realtime.credentials == "token"
        return EnvironmentKey(
            arm.name,
            str(directory),
            None if now is None else now.isoformat(),
            file.script.id if alone else "",
        )

    async def start_caller(self) -> Child:
        """Start a caller's process (:mod:`bridge.replay.call.process`)."""
        return await start_child(
            "a caller", ["replay", "caller"], without_settings(self.environ), takes_orders=True
        )

    async def _start_simulator(
        self, file: ScriptFile, arm: ReplayArm, place: Path, start: Starter
    ) -> Simulator | None:
        """Start the Realtime service of an arm; None where it is another's."""
        if arm.is_live:
            return None
        if arm.tapes is None:
            scenario = file.scenario().model_dump(mode="json", exclude={"faults"})
            path = write_yaml(place / "scenario.yaml", scenario)
            speaks = ("--scenario", str(path), "--flavour", arm.settings.flavour)
            return await start.simulator("the local Realtime server", *speaks)
        tape = arm.tapes.of(file.script.id)
        if tape is None:
            raise ConfigError(f"has no recording of '{file.script.id}'", path=str(arm.tapes.place))
        return await start.simulator("the recorded Realtime server", "--tape", str(tape.absolute()))

    def _settings(
        self,
        file: ScriptFile,
        arm: ReplayArm,
        url: str | None,
        node: str,
        place: Path,
        traces: GatewayTraces,
        load_url: str | None,
    ) -> dict[str, str]:
        """Return the gateway's settings, without their prefix."""
        port = _free_port()
        directory, found = place / "dialplans", find_dialplans(file.path, self.dialplans)
        trunks = write_dialplans(
            found,
            directory,
            self.mocks.url_of(node),
            f"{_HOST}:{port}",
            greets_by_itself=bool(arm.service.flavour.answers_audio_alone),
        )
        arms = {ARM: arm.settings_at(url, file.script.realtime.credentials)}
        if load_url is not None:
            arms[LOAD_ARM] = load_arm(load_url, arm.settings.dialect)
            dialplan = load_dialplan("replay-load", called=LOAD_CALLED, arm=LOAD_ARM)
            write_yaml(directory / "00-load.yaml", dialplan)
        now = file.script.setup.now
        return {
            "NODE": node,
            "DIALPLANS_DIR": str(directory),
            "ARMS": json.dumps(arms),
            "SIP_HOST": _HOST,
            "SIP_PORT": str(port),
            "SIP_MAX_CALLS": "1024",
            "SIP_TRUNKS": json.dumps({trunk: [_HOST] for trunk in trunks}),
            "HTTP_PORT": "0",
            "CONSOLE_ENABLED": "false",
            "REDIS_URL": self.redis_url,
            "MEDIA_RECORDINGS_DIR": str(traces.recordings),
            "SESSION_WIRE_LOG_DIR": str(traces.wire),
            "TELEMETRY_LOG_LEVEL": "warning",
            "DRAIN_S": "0",
            **({} if now is None else {"NOW": now.isoformat()}),
        }


def _free_port() -> int:
    """Find a port that the gateway can have: dialplans that lead back to it must name it.

    It is none of those that systems give away by themselves (from 32768 on), or another process
    could get it before the gateway does.
    """
    for _ in range(_PORTS_TRIED):
        port = secrets.choice(_PORTS)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            suppress(OSError),
        ):
            udp.bind((_HOST, port))
            tcp.bind((_HOST, port))
            return port
    raise InfrastructureError(f"no port between {_PORTS.start} and {_PORTS.stop} is free")
