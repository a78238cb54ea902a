"""A scene: what answers calls on one arm, one after the other; every part a process of its own.

Before each call it is set for the call's script: the simulator plays the script's scenario, with
its faults and no others, and the tools have its mocks; the tape of a recorded arm is rewound. A
live arm has only the gateway. Callers who are put through need three of the gateway's calls (their
own, and both ends of the person's), which is why a scene answers one call at a time: the pip wheel
of pjsua2 holds four. With ``--target`` another's gateway answers, and nothing is started.
"""

import json
import secrets
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import yaml

from bridge.config.loading import PREFIX
from bridge.errors import ConfigError, InfrastructureError
from bridge.processes.child import Child, start_child
from bridge.processes.simulator import SimulatorAdmin, SimulatorTape
from bridge.replay.agenda import SceneKey
from bridge.replay.arms import KEY, KEY_VARIABLE, ReplayArm
from bridge.replay.script import CallScript, ToolMock
from bridge.replay.staging import ARM, stage, trunks_of
from bridge.replay.tapes import Tapes
from bridge.replay.target_arm import ArmSigner
from bridge.replay.tool_mocks import ToolMocks
from bridge.simulator.scenario import Scenario

_HOST = "127.0.0.1"
_READY_WITHIN_S = 60.0
_PORTS, _PORTS_TRIED = range(20_000, 32_000), 50


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """A script, and where it is."""

    path: Path
    script: CallScript
    sha256: str

    def scenario(self) -> Scenario:
        """Return what the simulator plays in its calls.

        Raises:
            ConfigError: the scenario's file is no good.
        """
        return self.script.realtime.build(self.path.parent)


@dataclass(frozen=True, slots=True)
class GatewayTraces:
    """Where a gateway leaves what it knows of its calls.

    Attributes:
        recordings: its ``media.recordings_dir``; wire: its ``session.wire_log_dir``; None: we can't
            look there.
        redis_url: the Redis that it writes to.
    """

    recordings: Path | None
    wire: Path | None
    redis_url: str | None


class Scene(Protocol):
    """What answers calls."""

    @property
    def traces(self) -> GatewayTraces:
        """Where the gateway's evidence is."""
        ...

    def uri(self, script: CallScript) -> str:
        """Return what a script's caller dials."""
        ...

    def check_alive(self) -> None:
        """Make sure that its processes live."""
        ...

    async def set_for(self, file: ScriptFile) -> None:
        """Make everything as the next call's script has it."""
        ...

    async def faults_struck(self) -> Mapping[str, int] | None:
        """Return how often the script's faults have struck; None where there is no simulator."""
        ...


class OwnScene:
    """A scene of our own; :meth:`Stagehands.open_scene` makes it.

    Attributes:
        parts: its processes.
    """

    def __init__(
        self,
        sip: str,
        traces: GatewayTraces,
        simulator: SimulatorAdmin | None,
        set_tools: Callable[[Sequence[ToolMock]], object],
        parts: Sequence[Child],
        tape: SimulatorTape | None = None,
    ) -> None:
        self.traces = traces
        self.parts = parts
        self._sip = sip
        self._simulator = simulator
        self._set_tools = set_tools
        self._tape = tape

    def uri(self, script: CallScript) -> str:
        """Return what a script's caller dials."""
        user = quote("".join(script.called.split()), safe="+*")
        return f"sip:{user}@{self._sip.removeprefix('sip:')}"

    def check_alive(self) -> None:
        """Make sure that its processes live.

        Raises:
            BridgeError: one has ended.
        """
        for part in self.parts:
            if part.has_ended:
                raise part.failure()

    async def set_for(self, file: ScriptFile) -> None:
        """Make everything as the next call's script has it.

        Raises:
            ConfigError: the scenario can't be played.
            InfrastructureError: the simulator does not answer.
        """
        self._set_tools(file.script.tools)
        try:
            if self._tape is not None:
                await self._tape.rewind()
            if self._simulator is not None:
                await self._simulator.play(file.scenario().model_dump(mode="json"))
        except (OSError, TimeoutError) as error:
            raise InfrastructureError(f"the simulator takes no orders: {error!r}") from error

    async def faults_struck(self) -> Mapping[str, int] | None:
        """Return how often the script's faults have struck; None where there is no simulator.

        Raises:
            InfrastructureError: the simulator does not answer.
        """
        if self._simulator is None:
            return None
        try:
            return await self._simulator.struck()
        except (OSError, TimeoutError) as error:
            raise InfrastructureError(f"the simulator tells no faults: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Target:
    """Another's gateway, which runs already.

    Attributes:
        to: SIP URI; where it has no user, scripts say whom they call.
        signer: asks for an arm; None: the gateway chooses it.
    """

    to: str
    traces: GatewayTraces
    signer: ArmSigner | None = None

    def headers(self, arm: str) -> Mapping[str, str]:
        """Return the headers of an INVITE that is to be taken on an arm."""
        return {} if self.signer is None else self.signer.headers(arm)

    def uri(self, script: CallScript) -> str:
        """Return what a script's caller dials."""
        rest = self.to.removeprefix("sip:")
        if "@" in rest:
            return self.to
        user = quote("".join(script.called.split()), safe="+*")
        return f"sip:{user}@{rest}"

    def check_alive(self) -> None:
        """Nothing of it is ours."""

    async def set_for(self, file: ScriptFile) -> None:
        """Nothing of it is ours."""

    async def faults_struck(self) -> None:
        """Nothing is known of the Realtime service here."""


@dataclass(frozen=True, slots=True)
class Stagehands:
    """What scenes need to be opened.

    Attributes:
        environ: of the processes; they don't get its ``BRIDGE_*``.
        place: directory for records and wire logs, which outlives the scenes.
        dialplans: their directory, for every script; None: beside the script, or the project's.
    """

    environ: Mapping[str, str]
    redis_url: str
    place: Path
    mocks: ToolMocks
    dialplans: Path | None = None

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
        settings = self._settings(file, arm, url, node, place, traces)
        variables = {PREFIX + name: value for name, value in settings.items()}
        preflight = [] if arm.is_live else ["--no-preflight"]
        gateway = await self._start(
            "the gateway",
            ["serve", "--json", *preflight],
            {**variables, **({} if arm.is_live else {KEY_VARIABLE: KEY})},
            stack,
        )
        sip = str((await gateway.report(_READY_WITHIN_S))["sip"])
        set_tools = partial(self.mocks.set, node)
        return OwnScene(sip, traces, simulator, set_tools, [*parts, gateway], tape)

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
        """Start a caller's process (:mod:`bridge.replay.calling`)."""
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
    ) -> dict[str, str]:
        """Return the gateway's settings, without their prefix."""
        mocks_url = self.mocks.url_of(node)
        port = _free_port()
        directory, trunks = self._stage_dialplans(file, place, mocks_url, f"{_HOST}:{port}")
        now = file.script.setup.now
        return {
            "NODE": node,
            "DIALPLANS_DIR": str(directory),
            "ARMS": json.dumps({ARM: arm.settings_at(url, file.script.realtime.credentials)}),
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
    places = [Path(__file__).resolve().parent.parent.parent, Path.cwd()]
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
