"""A worker: a caller's process and the environment that answers its calls, one after the other."""

from contextlib import AsyncExitStack

from bridge.errors import BridgeError
from bridge.processes.child import Child
from bridge.replay.call.process import ANSWERS, CallAnswer, CallOrder, encode_order
from bridge.replay.environment.arms import ReplayArm
from bridge.replay.environment.cpu_waits import CpuWaits
from bridge.replay.environment.environment import (
    Environment,
    EnvironmentKey,
    OwnEnvironment,
    RunningGateway,
)
from bridge.replay.environment.startup import Startup
from bridge.replay.script.files import ScriptFile

_PREPARED_WITHIN_S = 90.0
"""Beyond the call's own longest duration: engines start, the answer is awaited, speech is heard."""


class Worker:
    """Places calls one after the other, with a caller and an environment. Use ``async with``.

    Args:
        target: another's gateway; None: environments are started.

    Attributes:
        environment_key: of the environment that runs; None while there is none.
    """

    def __init__(self, startup: Startup, target: RunningGateway | None) -> None:
        self.environment_key: EnvironmentKey | None = None
        self._startup = startup
        self._target = target
        self._environment: OwnEnvironment | None = None
        self._stack = AsyncExitStack()
        self._caller: Child | None = None

    async def __aenter__(self) -> "Worker":
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._stack.aclose()
        finally:
            if self._caller is not None:
                await self._caller.__aexit__()

    async def environment(self, file: ScriptFile, arm: ReplayArm) -> Environment:
        """Return what answers a script's calls on an arm; another environment is stopped before.

        Raises:
            BridgeError: it could not be opened.
        """
        if self._target is not None:
            return self._target
        key = self._startup.key_of(file, arm)
        if self._environment is None or self.environment_key != key:
            await self.close_environment()
            self._environment = await self._startup.start_environment(file, arm, self._stack)
            self.environment_key = key
        return self._environment

    async def close_environment(self) -> None:
        """End what is open; the next call has another."""
        self.environment_key = self._environment = None
        await self._stack.aclose()

    async def call(self, order: CallOrder, file: ScriptFile) -> tuple[CallAnswer, CpuWaits]:
        """Have a call placed, and wait for its end.

        Returns:
            What came of it, and how long everybody waited for a CPU meanwhile.

        Raises:
            BridgeError: the caller's process can't be had, ended, or took too long.
        """
        if self._caller is None or self._caller.has_ended:
            self._caller = await self._startup.start_caller()
        end = file.script.end
        longest_s = (end.after_s or end.max_duration_s) + _PREPARED_WITHIN_S
        parts = [self._caller, *(self._environment.parts if self._environment is not None else ())]
        await self._caller.send_order(encode_order(order))
        try:
            async with CpuWaits({part.name: part.pid for part in parts}) as waits:
                return ANSWERS.validate_python(await self._caller.report(longest_s)), waits
        except BridgeError:
            await self._caller.stop()  # what it says later would answer another order
            raise
