"""A seat: a caller's process, and the scene that answers its calls, one after the other."""

from contextlib import AsyncExitStack

from bridge.errors import BridgeError
from bridge.processes.child import Child
from bridge.replay.call.process import ANSWERS, CallAnswer, CallOrder, encode_order
from bridge.replay.environment.arms import ReplayArm
from bridge.replay.environment.cpu_waits import CpuWaits
from bridge.replay.environment.environment import OwnScene, RunningGateway, Scene, ScriptFile
from bridge.replay.environment.startup import Stagehands
from bridge.replay.runs.agenda import SceneKey

_PREPARED_WITHIN_S = 90.0
"""Beyond the call's own longest duration: engines start, the answer is awaited, speech is heard."""


class Seat:
    """A caller's process, and the scene that answers its calls. Use ``async with``.

    Args:
        target: another's gateway; None: scenes are opened.

    Attributes:
        scene_key: the scene that is open; None while there is none.
    """

    def __init__(self, stagehands: Stagehands, target: RunningGateway | None) -> None:
        self.scene_key: SceneKey | None = None
        self._stagehands = stagehands
        self._target = target
        self._scene: OwnScene | None = None
        self._stack = AsyncExitStack()
        self._caller: Child | None = None

    async def __aenter__(self) -> "Seat":
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._stack.aclose()
        finally:
            if self._caller is not None:
                await self._caller.__aexit__()

    async def scene(self, file: ScriptFile, arm: ReplayArm) -> Scene:
        """Return what answers a script's calls on an arm; another scene is closed before.

        Raises:
            BridgeError: it could not be opened.
        """
        if self._target is not None:
            return self._target
        key = self._stagehands.key_of(file, arm)
        if self._scene is None or self.scene_key != key:
            await self.close_scene()
            self._scene = await self._stagehands.open_scene(file, arm, self._stack)
            self.scene_key = key
        return self._scene

    async def close_scene(self) -> None:
        """End what is open; the next call has another."""
        self.scene_key = self._scene = None
        await self._stack.aclose()

    async def call(self, order: CallOrder, file: ScriptFile) -> tuple[CallAnswer, CpuWaits]:
        """Have a call placed, and wait for its end.

        Returns:
            What came of it, and how long everybody waited for a CPU meanwhile.

        Raises:
            BridgeError: the caller's process can't be had, ended, or took too long.
        """
        if self._caller is None or self._caller.has_ended:
            self._caller = await self._stagehands.start_caller()
        end = file.script.end
        longest_s = (end.after_s or end.max_duration_s) + _PREPARED_WITHIN_S
        parts = [self._caller, *(self._scene.parts if self._scene is not None else ())]
        await self._caller.tell(encode_order(order))
        try:
            async with CpuWaits({part.name: part.pid for part in parts}) as waits:
                return ANSWERS.validate_python(await self._caller.report(longest_s)), waits
        except BridgeError:
            await self._caller.stop()  # what it says later would answer another order
            raise
