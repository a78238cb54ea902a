"""Reads the report of the demo's caller: the JSON object that `bridge call --script` prints."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bridge.errors import InfrastructureError
from bridge.processes.child import Child

_REPORTED = (0, 1, 2)
"""Exit codes of a caller that could call: all went well, something expected did not happen, or it
can't tell."""
_BAD_INPUT = 2
"""This, too, and then there is no report."""


class _HeardTurn(BaseModel):
    model_config = ConfigDict(frozen=True)

    speaker: Literal["caller", "agent"]
    text: str | None


class CallerReport(BaseModel):
    """The part of the caller's report that the demo reads.

    Attributes:
        outcome: of the INVITE, as the caller saw it.
        turns: the agent's as the caller's recogniser heard them.
        agent_heard_ms: how long the agent was to be heard.
        broken: expectations of the script that did not hold, in words.
        undecided: those that what was heard can't decide.
    """

    model_config = ConfigDict(frozen=True)

    outcome: str
    turns: tuple[_HeardTurn, ...]
    agent_heard_ms: int
    broken: tuple[str, ...]
    undecided: tuple[str, ...] = ()

    @property
    def unmet(self) -> tuple[str, ...]:
        """All that was expected and not seen to hold."""
        return (*self.broken, *self.undecided)

    @property
    def heard(self) -> tuple[str, ...]:
        """The agent's turns, "" for one that was not understood."""
        return tuple(turn.text or "" for turn in self.turns if turn.speaker == "agent")


async def caller_report(caller: Child) -> CallerReport:
    """Read all that a caller prints, to its end.

    Raises:
        ConfigError, InfrastructureError: it could not do its work.
    """
    last = ""
    while line := await caller.line():
        last = line
    exit_code = await caller.wait()
    if exit_code not in _REPORTED:
        raise caller.failure()
    try:
        return CallerReport.model_validate_json(last)
    except ValidationError:
        if exit_code == _BAD_INPUT:
            raise caller.failure() from None
        # Not chained: pydantic's text repeats what was heard.
        raise InfrastructureError(f"{caller.name} left no report") from None
