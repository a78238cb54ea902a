"""Opens scenes: starts the gateway and the Realtime service that answer calls on an arm."""

import json
import secrets
import socket
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from bridge.config.loading import PREFIX
from bridge.errors import ConfigError, InfrastructureError
from bridge.processes.child import Child, start_child
from bridge.processes.load import load_dialplan
from bridge.processes.simulator import SimulatorAdmin, SimulatorTape
from bridge.replay.environment.arms import KEY, KEY_VARIABLE, ReplayArm
from bridge.replay.environment.dialplans import ARM, stage, trunks_of
from bridge.replay.environment.environment import GatewayTraces, OwnScene, ScriptFile
from bridge.replay.environment.load import (
    LOAD_ARM,
    LOAD_CALLED,
    Load,
    check_room,
    load_arm,
)
from bridge.replay.environment.tapes import Tapes
from bridge.replay.environment.tool_mocks import ToolMocks
from bridge.replay.runs.agenda import SceneKey

_HOST = "127.0.0.1"
_READY_WITHIN_S = 60.0
_PORTS, _PORTS_TRIED = range(20_000, 32_000), 50


@dataclass(frozen=True, slots=True)
class Stagehands:
    """What scenes need to be opened.

    Attributes:
        environ: of the processes; they don't get its ``BRIDGE_*``.
        place: directory for records and wire logs, which outlives the scenes.
        dialplans: their directory, for every script; None: beside the script, or the project's.
        load: other calls that each scene's gateway has beside the script's.
    """

    environ: Mapping[str, str]
    redis_url: str
    place: Path
    mocks: ToolMocks
    dialplans: Path | None = None
    load: int = 0

    async def open_scene(self, file: ScriptFile, arm: ReplayArm, stack: AsyncExitStack) -> OwnScene:
        """Start the processes that a script's calls on an arm need; the stack stops them.

        Raises:
            ConfigError: dialplans or scenario are no good.
            InfrastructureError: a process did not start.
        """
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-replay-")))
        simulator: SimulatorAdmin | None = None
        url: str | None = None
        parts: list[Child] = []
        tape: SimulatorTape | None = None
        if arm.tapes is not None:
            child, url, tape = await self._start_tape(file, arm.tapes, stack)
            parts.append(child)
        elif not arm.is_live:
            child, url, simulator = await self._start_simulator(file, place, stack)
            parts.append(child)
        node = f"replay-{secrets.token_hex(3)}"
        traces = GatewayTraces(
            self.place / node / "recordings", self.place / node / "wire", self.redis_url
        )
        service: str | None = None
        if self.load:
            child = await self._start("the other calls' service", ["bench", "peer"], {}, stack)
            service = str((await child.report(_READY_WITHIN_S))["url"])
            parts.append(child)
        settings = self._settings(file, arm, url, node, place, traces, service)
        variables = {PREFIX + name: value for name, value in settings.items()}
        preflight = [] if arm.is_live else ["--no-preflight"]
        gateway = await self._start(
            "the gateway",
            ["serve", "--json", *preflight],
            {**variables, **({} if arm.is_live and not self.load else {KEY_VARIABLE: KEY})},
            stack,
        )
        ready = await gateway.report(_READY_WITHIN_S)
        sip = str(ready["sip"])
        load: Load | None = None
        if self.load:
            check_room(self.load, int(str(ready["max_calls"])), file.script)
            server = sip.removeprefix("sip:")
            arguments = ["bench", "callers", server, "--called", LOAD_CALLED, "--talking"]
            talkers = await stack.enter_async_context(
                await start_child(
                    "the other calls", arguments, self._clean_environ, takes_orders=True
                )
            )
            load = Load(talkers, self.load, str(ready["probes"]))
            parts.append(talkers)
        set_tools = partial(self.mocks.set, node)
        return OwnScene(sip, traces, simulator, set_tools, [*parts, gateway], tape, load)

    def key_of(self, file: ScriptFile, arm: ReplayArm) -> SceneKey:
        """Return what a script's calls on an arm need of their gateway."""
        now = file.script.setup.now
        directory = self.dialplans or _beside(file) or ""
        alone = arm.tapes is not None or file.script.realtime.credentials == "token"
        return SceneKey(
            arm.name,
            str(directory),
            None if now is None else now.isoformat(),
            file.script.id if alone else "",
        )

    async def start_caller(self) -> Child:
        """Start a caller's process (:mod:`bridge.replay.call.process`)."""
        return await start_child(
            "a caller", ["replay", "caller"], self._clean_environ, takes_orders=True
        )

    @property
    def _clean_environ(self) -> dict[str, str]:
        return {k: v for k, v in self.environ.items() if not k.startswith(PREFIX)}

    async def _start(
        self,
        name: str,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        stack: AsyncExitStack,
    ) -> Child:
        child = await start_child(name, arguments, {**self._clean_environ, **variables})
        return await stack.enter_async_context(child)

    async def _start_simulator(
        self, file: ScriptFile, place: Path, stack: AsyncExitStack
    ) -> tuple[Child, str, SimulatorAdmin]:
        path = place / "scenario.yaml"
        without_faults = file.scenario().model_dump(mode="json", exclude={"faults"})
        path.write_text(yaml.safe_dump(without_faults, sort_keys=False), encoding="utf-8")
        secret = secrets.token_hex(8)
        simulator = await self._start(
            "the local Realtime server",
            ["simulate", "--json", "--scenario", str(path)],
            {"SIMULATOR_ADMIN_SECRET": secret},
            stack,
        )
        url = str((await simulator.report(_READY_WITHIN_S))["url"])
        return simulator, url, SimulatorAdmin(url, secret)

    async def _start_tape(
        self, file: ScriptFile, tapes: Tapes, stack: AsyncExitStack
    ) -> tuple[Child, str, SimulatorTape]:
        path = tapes.of(file.script.id)
        if path is None:
            raise ConfigError(f"has no recording of '{file.script.id}'", path=str(tapes.place))
        secret = secrets.token_hex(8)
        server = await self._start(
            "the recorded Realtime server",
            ["simulate", "--json", "--tape", str(path.absolute())],
            {"SIMULATOR_ADMIN_SECRET": secret},
            stack,
        )
        url = str((await server.report(_READY_WITHIN_S))["url"])
        return server, url, SimulatorTape(url, secret)

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
        mocks_url = self.mocks.url_of(node)
        port = _free_port()
        directory, trunks = self._stage_dialplans(file, place, mocks_url, f"{_HOST}:{port}")
        arms = {ARM: arm.settings_at(url, file.script.realtime.credentials)}
        if load_url is not None:
            arms[LOAD_ARM] = load_arm(load_url, arm.settings.dialect)
            dialplan = load_dialplan("replay-load", called=LOAD_CALLED, arm=LOAD_ARM)
            content = yaml.safe_dump(dialplan, sort_keys=False)
            (directory / "00-load.yaml").write_text(content, encoding="utf-8")
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

    def _stage_dialplans(
        self, file: ScriptFile, place: Path, mocks_url: str, sip: str
    ) -> tuple[Path, list[str]]:
        """Write the dialplans for the gateway; return where, and the trunks that they name."""
        staged = place / "dialplans"
        trunks: set[str] = set()
        staged.mkdir()
        found = sorted(self._dialplans_of(file).glob("*.yaml"))
        if not found:
            raise ConfigError(
                "there is no dialplan here", path=str(self._dialplans_of(file)), remedy=_REMEDY
            )
        for path in found:
            document = _read_yaml(path)
            trunks.update(trunks_of(document))
            content = yaml.safe_dump(stage(document, mocks_url, sip), sort_keys=False)
            (staged / path.name).write_text(content, encoding="utf-8")
        return staged, sorted(trunks)

    def _dialplans_of(self, file: ScriptFile) -> Path:
        return self.dialplans or _beside(file) or _project_dialplans()


_REMEDY = "name a directory with --dialplans, or put one called dialplans beside the scripts"


def _beside(file: ScriptFile) -> Path | None:
    directory = file.path.parent / "dialplans"
    return directory if directory.is_dir() else None


def _project_dialplans() -> Path:
    """Find what a clone has at its root: beside the package, or in the working directory."""
    places = [Path(__file__).resolve().parents[3], Path.cwd()]
    for place in places:
        if (place / "dialplans").is_dir():
            return place / "dialplans"
    raise ConfigError("there are no dialplans for the replay's gateway", remedy=_REMEDY)


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


def _read_yaml(path: Path) -> dict[str, object]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be read: {error}", path=str(path)) from error
    if not isinstance(document, dict):
        raise ConfigError("is no dialplan", path=str(path), remedy="see dialplans/README.md")
    return document
