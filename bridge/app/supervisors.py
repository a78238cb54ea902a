"""The desk of one node: a supervisor's command finds its call."""

from collections.abc import Callable, Iterable

from bridge.live.call import CallRunner
from bridge.live.supervision import Supervision
from bridge.store.control import Answer, Command


class SupervisorDesk:
    """Gives commands to the calls of this node.

    Args:
        calls: gives them.
    """

    def __init__(self, calls: Callable[[], Iterable[CallRunner]]) -> None:
        self._calls = calls

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
        return Answer.refused("unknown_call") if call is None else call.supervision.act(command)
