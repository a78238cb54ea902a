"""An environment: the processes that answer calls on one arm, one call after the other.

Before each call it is set for the call's script: the simulator plays the script's scenario, with
its faults and no others, and the tools have its mocks; the tape of a recorded arm is rewound. A
live arm has only the gateway. Callers who are put through need three of the gateway's calls (their
own, and both ends of the person's), which is why an environment answers one call at a time: the
pip wheel of pjsua2 holds four. With ``--target`` another's gateway answers, and nothing is started.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bridge.errors import InfrastructureError
from bridge.processes.child import Child
from bridge.processes.simulator import SimulatorAdmin
from bridge.replay.environment.load import Load
from bridge.replay.environment.target_arm import ArmSigner
from bridge.replay.results.run import LoadFigures
from bridge.replay.script import CallScript, ToolMock
from bridge.replay.script.files import ScriptFile


@dataclass(frozen=True, slots=True)
class EnvironmentKey:
    """The settings that an environment's gateway keeps from its start to its end.

    Attributes:
        arm: name of the arm under test.
        dialplans: directory of its lines.
        now: its date and time, ISO 8601; None for the machine's.
        script: the only one that it answers, where its service or its keys are that script's own.
    """

    arm: str
    dialplans: str = ""
    now: str | None = None
    script: str = ""


@dataclass(frozen=True, slots=True)
class GatewayTraces:
    """The places where a gateway leaves records, wire logs and state of its calls.

    Attributes:
        recordings: its ``media.recordings_dir``; wire: its ``session.wire_log_dir``; None: we can't
            look there.
        redis_url: the Redis that it writes to.
    """

    recordings: Path | None
    wire: Path | None
    redis_url: str | None


class Environment:
    """Answers calls. By itself it has no processes, and knows nothing of a Realtime service."""

    traces: GatewayTraces
    """Where the gateway's evidence is."""

    to: str
    """SIP URI; where it has no user, scripts say whom they call."""

    def uri(self, script: CallScript) -> str:
        """Return what a script's caller dials."""
        rest = self.to.removeprefix("sip:")
        if "@" in rest:
            return self.to
        user = quote("".join(script.called.split()), safe="+*")
        return f"sip:{user}@{rest}"

    def check_alive(self) -> None:
        """Make sure that its processes live."""

    async def set_for(self, file: ScriptFile) -> None:
        """Make everything as the next call's script has it."""

    async def faults_struck(self) -> Mapping[str, int] | None:
        """Return how often the script's faults have struck; None where there is no simulator."""
        return None

    async def load_figures(self) -> LoadFigures | None:
        """Return what the machine counted since :meth:`set_for`; None without other calls."""
        return None


class OwnEnvironment(Environment):
    """An environment of processes of our own; :meth:`Startup.start_environment` makes it.

    Args:
        plays_tape: the simulator's answers are a tape's.

    Attributes:
        parts: its processes.
    """

    def __init__(
        self,
        to: str,
        traces: GatewayTraces,
        simulator: SimulatorAdmin | None,
        set_tools: Callable[[Sequence[ToolMock]], object],
        parts: Sequence[Child],
        *,
        plays_tape: bool = False,
        load: Load | None = None,
    ) -> None:
        self.traces = traces
        self.parts = parts
        self.to = to
        self._simulator = simulator
        self._set_tools = set_tools
        self._plays_tape = plays_tape
        self._load = load

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
            if self._simulator is not None and self._plays_tape:
                await self._simulator.rewind()
            elif self._simulator is not None:
                await self._simulator.play(file.scenario().model_dump(mode="json"))
        except (OSError, TimeoutError) as error:
            raise InfrastructureError(f"the simulator takes no orders: {error!r}") from error
        if self._load is not None:
            await self._load.begin()

    async def faults_struck(self) -> Mapping[str, int] | None:
        """Return how often the script's faults have struck; None where there is no simulator.

        Raises:
            InfrastructureError: the simulator does not answer.
        """
        if self._simulator is None or self._plays_tape:
            return None
        try:
            return await self._simulator.struck()
        except (OSError, TimeoutError) as error:
            raise InfrastructureError(f"the simulator tells no faults: {error!r}") from error

    async def load_figures(self) -> LoadFigures | None:
        """Return what the machine counted since :meth:`set_for`; None without other calls.

        Raises:
            InfrastructureError: gateway or callers give no figures.
        """
        return None if self._load is None else await self._load.figures()


@dataclass(frozen=True, slots=True)
class RunningGateway(Environment):
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
