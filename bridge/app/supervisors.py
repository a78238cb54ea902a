"""The desk of one node: a supervisor's command finds its call."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from pydantic import ValidationError

from bridge.live.call import CallRunner
from bridge.live.supervision.supervisors import Supervision
from bridge.recordings.wrap_up import add_wrap_up
from bridge.routing.supervisor_verbs import WrapUpOrder
from bridge.store.control import Answer, Command

log = structlog.get_logger(__name__)


class SupervisorDesk:
    """Gives commands to the calls of this node.

    Args:
        calls: gives them.
        recordings_dir: where the records of calls that are over are.
    """

    def __init__(self, calls: Callable[[], Iterable[CallRunner]], recordings_dir: Path) -> None:
        self._calls = calls
        self._recordings_dir = recordings_dir

    def find(self, call_id: str) -> CallRunner | None:
        """Return a call that goes on here."""
        return next((each for each in self._calls() if each.call_id == call_id), None)

    def audio_of(self, call_id: str) -> Supervision | None:
        """Return a call's audio, as the console knows it."""
        call = self.find(call_id)
        return None if call is None else call.supervision

    async def __call__(self, command: Command) -> Answer:
        """Carry a command out, or refuse it."""
        call = self.find(command.call_id)
        if call is not None:
            return call.supervision.act(command)
        if command.action == "wrap_up":
            return await self._wrap_up(command)
        return Answer.refused("unknown_call")

    async def _wrap_up(self, command: Command) -> Answer:
        """Put what came of a call that is over into its record."""
        try:
            order = WrapUpOrder.model_validate(command.params)
            made = {**order.model_dump(), "by": command.by}
            found = await asyncio.to_thread(
                add_wrap_up, self._recordings_dir, command.call_id, made
            )
        except ValidationError:
            return Answer.refused("bad_params")
        except OSError as error:
            log.warning("wrap_up_not_recorded", error=str(error))
            return Answer.refused("disk")
        return Answer(True) if found else Answer.refused("unknown_call")
