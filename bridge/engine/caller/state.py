"""The state of a caller's turn: their sounds, their turn as the service hears it, their silence.

Plain state. The fields of :class:`HeardTurn` are written by its methods alone. Times are monotonic
ns.
"""

import enum
from dataclasses import dataclass, field

from bridge.clock import NS_PER_MS
from bridge.engine.news import Speaker
from bridge.realtime.ids import ItemId, ResponseId


@dataclass(frozen=True, slots=True)
class Cut:
    """An interruption whose flush was not reported yet.

    Attributes:
        since_ns: when its cause was fed.
        response_id: the response cancelled by it, if one was running.
        by: whose doing it is.
        spoken: the caller's speech is its cause.
    """

    since_ns: int
    response_id: ResponseId | None
    by: Speaker = Speaker.CALLER
    spoken: bool = False


REMEMBERED_TURNS = 8
"""Turns whose words are awaited; a transcript comes within seconds of its turn."""


REPORTED_LATE_NS = 1_500 * NS_PER_MS
"""A service that heard speech says so well within this time of its end, a slow network included."""


class OverAgent(enum.Enum):
    """The action taken on a turn that the caller took over the agent."""

    STOPPED = enum.auto()
    IGNORED = enum.auto()


@dataclass(slots=True)
class CallerSound:
    """The caller's sound by its level, as it is heard here before any service has an opinion.

    Attributes:
        began_ns: begin of the present sound, or of the last one.
        since_ns: begin of the present sound; None in silence.
        long: it has lasted the minimum that stops the agent.
        over_agent: the agent had the floor when it began.
        stopped_agent: it did stop the agent.
        ended_ns, ended_long: of the sound before.
        silent_since_ns: its last loud moment; it is known to be over a while after that.
        reported_ns: when the service said last that a turn of the caller's was over.
        turn_heard: a sound was heard since the service's turn began.
        turn_long: a long one was.
        unexplained: the agent was stopped, and no turn of the caller's has come of it yet.
        lowered_db: by how much the agent's audio is lowered; infinite where it is silenced.
        turns: the latest turns over the agent whose words are awaited.
    """

    began_ns: int = 0
    since_ns: int | None = None
    long: bool = False
    over_agent: bool = False
    stopped_agent: bool = False
    ended_ns: int | None = None
    silent_since_ns: int | None = None
    ended_long: bool = False
    reported_ns: int = 0
    turn_heard: bool = False
    turn_long: bool = False
    unexplained: bool = False
    lowered_db: float = 0.0
    turns: dict[ItemId, OverAgent] = field(default_factory=dict)

    @property
    def heard(self) -> bool:
        """Whether the caller makes a sound now."""
        return self.since_ns is not None

    def begin(self, at_ns: int, *, over_agent: bool) -> None:
        """Note that a sound began."""
        self.began_ns = self.since_ns = at_ns
        self.over_agent = over_agent
        self.long = self.stopped_agent = False
        self.turn_heard = True

    def last_long(self) -> None:
        """Note that it has lasted the minimum that stops the agent."""
        self.long = self.turn_long = True

    def stop_agent(self) -> None:
        """Note that it stopped the agent, whose audio is not lowered but gone."""
        self.stopped_agent = self.unexplained = True
        self.lowered_db = 0.0

    def explain(self) -> None:
        """Note that it is known why the agent was stopped, or does not matter any more."""
        self.unexplained = False

    def end(self, at_ns: int, now_ns: int) -> None:
        """Note that it was over at ``at_ns``, as is known now."""
        self.silent_since_ns = at_ns
        self.ended_ns, self.ended_long = now_ns, self.long
        self.since_ns = None
        self.long = self.over_agent = self.stopped_agent = False

    def since_ns_unreported(self, now_ns: int) -> int | None:
        """Return when the latest sound began, if its turn is unreported and may still come."""
        over = self.since_ns is None
        if over and (self.ended_ns is None or now_ns - self.ended_ns > REPORTED_LATE_NS):
            return None
        return self.began_ns if self.began_ns > self.reported_ns else None

    def begin_turn(self, now_ns: int, *, kept: bool) -> None:
        """Note that the service hears the caller speak: now, or a little while ago.

        Args:
            now_ns: monotonic.
            kept: in audio that a session before had, which was kept for what was heard in it.
        """
        reported_late = self.ended_ns is not None and now_ns - self.ended_ns <= REPORTED_LATE_NS
        self.turn_heard = self.heard or reported_late or kept
        self.turn_long = self.long or (reported_late and self.ended_long)

    def await_words(self, item_id: ItemId, done: OverAgent) -> None:
        """Remember a turn until its words are known."""
        self.turns[item_id] = done
        if len(self.turns) > REMEMBERED_TURNS:
            del self.turns[next(iter(self.turns))]


@dataclass(slots=True)
class HeardTurn:
    """The caller's turn as the service hears it.

    Attributes:
        speaking: the service hears the caller speak.
        uncommitted: it has heard them speak, and has not committed that turn.
        commit_asked: the bridge has ended that turn, and the service has not answered to it.
    """

    speaking: bool = False
    uncommitted: bool = False
    commit_asked: bool = False

    def begin(self) -> None:
        """Note that the caller speaks."""
        self.speaking = self.uncommitted = True

    def stop(self) -> bool:
        """Note that they stopped; return whether they were said to speak."""
        was_speaking, self.speaking = self.speaking, False
        return was_speaking

    def ask_commit(self) -> None:
        """Note that the bridge has ended the turn."""
        self.commit_asked = True

    def leave_commit(self) -> None:
        """Await no answer to a commit any more."""
        self.commit_asked = False

    def close(self) -> None:
        """Note that nothing was left to commit; whether the caller speaks is another matter."""
        self.uncommitted = self.commit_asked = False

    def drop(self) -> None:
        """Note that the end of it won't be heard; a commit is still answered."""
        self.speaking = self.uncommitted = False

    def clear(self) -> None:
        """Note that it is over: committed, or dropped with all that was asked about it."""
        self.drop()
        self.leave_commit()


@dataclass(slots=True)
class CallerSilenceState:
    """The caller's own silence.

    Attributes:
        since_ns: begin of it; None while they speak or were just heard.
        prompts: how often they were asked.
    """

    since_ns: int | None = None
    prompts: int = 0
