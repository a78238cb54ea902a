"""One caller of the soak: calls, talks, interrupts, holds, presses keys, hangs up at any moment.

A life is a generator that is run on once round the phones' loop. Every choice comes from the
person's own source of chance, so that a seed gives the same intentions again; what comes of them
is up to the gateway.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING

from bridge.bench.sip_calls import Ended
from bridge.clock import NS_PER_MS, NS_PER_S
from bridge.softphone.sip_message import Direction

if TYPE_CHECKING:
    from bridge.bench.soak.crowd import Crowd

Steps = Iterator[None]

QUESTIONS = ("Where is my order?", "What are your opening hours?")
TOOL_QUESTION = "How much is my invoice?"
LONG_QUESTION = "What is your return policy?"
INTERRUPTION = "Wait a moment, please."
GOODBYE = "That is all, thank you."
PHRASES = (*QUESTIONS, TOOL_QUESTION, LONG_QUESTION, INTERRUPTION, GOODBYE)
"""All that callers say."""

_KEYS = "123456789*#"

_ANSWER_WITHIN_S = 20.0
"""Longer than any silence that a caller should have to bear."""

_TURN_WITHIN_S = 25.0
_QUIET_S = 0.8
_FAR_END_HANGS_UP_WITHIN_S = 15.0
_GONE_S = 45.0
"""More than 64 * T1: until then a 200 that nobody acknowledges is repeated (RFC 3261 13.3.1.4)."""

_HURRIED = 0.5
"""Share of the talks that end at any moment, whatever is going on; the others when all is said."""


class _CallOver(Exception):
    """The call that we were in has ended."""


class SoakCaller:
    """A caller.

    Args:
        crowd: whose phones are used.
        name: the first part of the name of each call.
        called: whom they call.
        random: what decides.
        until_ns: when they stop calling (monotonic).
    """

    def __init__(
        self, crowd: "Crowd", name: str, called: str, random: Random, until_ns: int
    ) -> None:
        self._crowd = crowd
        self._name = name
        self._called = called
        self._random = random
        self._until_ns = until_ns
        self._calls = 0
        self._call_name = ""
        self._slot = -1
        self._up = False
        self._ended: Ended | None = None
        self._hang_up_ns = 0

    def live(self) -> Steps:
        """Call again and again."""
        yield from self._rest(self._random.uniform(0.0, 2.0))
        while time.monotonic_ns() < self._until_ns:
            yield from self._call()
            yield from self._rest(self._random.uniform(0.1, 2.0))

    def answered(self) -> None:
        """Take the answer."""
        self._up = True

    def over(self, ended: Ended) -> None:
        """Take the end of the call."""
        self._ended = ended

    def _call(self) -> Steps:
        """Place a call, with some intention, and see it to its end."""
        (kind,) = self._random.choices(list(_KINDS), [weight for weight, _ in _KINDS.values()])
        crowd, begun_ns = self._crowd, time.monotonic_ns()
        self._calls += 1
        self._call_name = name = f"{self._name}-{self._calls}"
        self._slot = slot = crowd.free.pop()
        crowd.people[slot] = self
        self._up, self._ended = False, None
        hurried = self._random.random() < _HURRIED
        self._hang_up_ns = self._until_ns
        if hurried and kind == "talk":
            at_ns = begun_ns + int(self._random.uniform(0.3, 40.0) * NS_PER_S)
            self._hang_up_ns = min(at_ns, self._until_ns)
        crowd.sip.invite(
            *(slot, crowd.lane_of(slot).wire.port, begun_ns),
            user=self._called,
            caller=name,
            acknowledges=kind != "gone",
        )
        try:
            yield from _KINDS[kind][1](self)
            yield from self._hang_up()
        except _CallOver:
            pass
        ended = self._ended
        assert ended is not None
        crowd.done[kind] += 1
        crowd.calls.append(
            {
                "name": name,
                "called": self._called,
                "kind": kind,
                "answered": self._up,
                "how": ended.how,
                "status": ended.status,
                "s": round((time.monotonic_ns() - begun_ns) / NS_PER_S, 1),
            }
        )

    # Intentions

    def _talk(self) -> Steps:
        yield from self._wait_for_answer()
        asked_ns = time.time_ns()
        yield from self._await_sound(asked_ns)
        yield from self._listen()
        for _ in range(self._random.randint(1, 6)):
            (action,) = self._random.choices(
                list(_ACTIONS), [weight for weight, _ in _ACTIONS.values()]
            )
            self._crowd.done[action] += 1
            yield from _ACTIONS[action][1](self)

    def _say_goodbye(self) -> Steps:
        """Leave it to the agent to hang up."""
        yield from self._wait_for_answer()
        yield from self._listen()
        yield from self._say(GOODBYE)
        yield from self._until(lambda: False, _FAR_END_HANGS_UP_WITHIN_S)

    def _change_mind(self) -> Steps:
        """Hang up while it rings, or while it is being answered."""
        yield from self._until(lambda: self._up, self._random.uniform(0.0, 0.4))
        self._crowd.sip.cancel(self._slot, time.monotonic_ns())
        yield from self._until(lambda: self._up, _ANSWER_WITHIN_S)

    def _hang_up_at_once(self) -> Steps:
        yield from self._wait_for_answer()
        yield from self._until(lambda: False, self._random.choice((0.0, 0.02, 0.1, 0.5)))

    def _be_gone(self) -> Steps:
        """Vanish before the answer comes: no ACK, no BYE, ever."""
        yield from self._until(lambda: False, _GONE_S)
        self._crowd.sip.abandon(self._slot)
        yield from self._until(lambda: False, 1.0)

    def _say_nothing(self) -> Steps:
        yield from self._wait_for_answer()
        yield from self._until(lambda: False, self._random.uniform(3.0, 12.0))

    # Actions within a talk

    def _ask(self) -> Steps:
        yield from self._ask_for(self._random.choice(QUESTIONS))

    def _ask_tool(self) -> Steps:
        yield from self._ask_for(TOOL_QUESTION)

    def _ask_for(self, question: str) -> Steps:
        said_ns = yield from self._say(question)
        yield from self._await_sound(said_ns)
        yield from self._listen()

    def _interrupt(self) -> Steps:
        said_ns = yield from self._say(LONG_QUESTION)
        yield from self._await_sound(said_ns)
        yield from self._until(lambda: False, self._random.uniform(0.3, 2.5))
        yield from self._ask_for(INTERRUPTION)

    def _hold(self) -> Steps:
        """Hold for a while; half of the time in the middle of an answer."""
        if self._random.random() < 0.5:
            said_ns = yield from self._say(LONG_QUESTION)
            yield from self._await_sound(said_ns)
        yield from self._change("sendonly" if self._random.random() < 0.7 else "inactive")
        yield from self._until(lambda: False, self._random.uniform(0.2, 4.0))
        yield from self._change("sendrecv")

    def _press(self) -> Steps:
        for _ in range(self._random.randint(1, 4)):
            self._crowd.lane_of(self._slot).press(self._slot, self._random.choice(_KEYS))
        yield from self._until(self._is_idle, 5.0)

    def _pause(self) -> Steps:
        yield from self._until(lambda: False, self._random.uniform(0.5, 4.0))

    # Steps

    def _wait_for_answer(self) -> Steps:
        yield from self._until(lambda: self._up, 40.0)

    def _say(self, phrase: str) -> Generator[None, None, int]:
        """Say it; return when its last sound was sent, on the wall clock of the stamps."""
        self._crowd.lane_of(self._slot).say(self._slot, self._crowd.speech[phrase])
        yield from self._until(self._is_idle, 30.0)
        return time.time_ns()

    def _await_sound(self, since_ns: int) -> Steps:
        """Wait for something to hear, and note how long that took."""
        hearing, slot = self._crowd.hearing, self._slot
        try:
            yield from self._until(lambda: int(hearing.loud_ns[slot]) > since_ns, _ANSWER_WITHIN_S)
        finally:
            silence_ms = (time.time_ns() - since_ns) / NS_PER_MS
            self._crowd.silences.append((round(silence_ms), self._call_name))

    def _listen(self) -> Steps:
        """Wait until the agent has said what it had to say."""
        hearing, slot = self._crowd.hearing, self._slot
        yield from self._until(
            lambda: time.time_ns() - int(hearing.loud_ns[slot]) > _QUIET_S * NS_PER_S,
            _TURN_WITHIN_S,
        )

    def _change(self, direction: Direction) -> Steps:
        """Send a re-INVITE and wait for its answer."""
        crowd, slot = self._crowd, self._slot
        if crowd.change(slot, direction):
            yield from self._until(lambda: not crowd.sip.is_changing(slot), 35.0)

    def _is_idle(self) -> bool:
        return not self._crowd.lane_of(self._slot).is_busy(self._slot)

    def _hang_up(self) -> Steps:
        """Send BYE and wait for the end of the call."""
        self._hang_up_ns = 0
        self._crowd.sip.bye(self._slot, time.monotonic_ns())
        while self._ended is None:
            yield

    def _until(self, condition: Callable[[], bool], within_s: float) -> Steps:
        """Wait for something; hang up when that is due.

        Raises:
            _CallOver: the call has ended.
        """
        end_ns = time.monotonic_ns() + int(within_s * NS_PER_S)
        while True:
            if self._ended is not None:
                raise _CallOver
            now_ns = time.monotonic_ns()
            if self._up and self._hang_up_ns and now_ns >= self._hang_up_ns:
                yield from self._hang_up()
                raise _CallOver
            if condition() or now_ns >= end_ns:
                return
            yield

    def _rest(self, seconds: float) -> Steps:
        end_ns = time.monotonic_ns() + int(seconds * NS_PER_S)
        while time.monotonic_ns() < end_ns:
            yield


_KINDS: Mapping[str, tuple[float, Callable[[SoakCaller], Steps]]] = {
    "talk": (70, SoakCaller._talk),
    "goodbye": (6, SoakCaller._say_goodbye),
    "change of mind": (9, SoakCaller._change_mind),
    "hang up at once": (6, SoakCaller._hang_up_at_once),
    "gone": (2, SoakCaller._be_gone),
    "silence": (7, SoakCaller._say_nothing),
}
"""What people call for, with weights."""

_ACTIONS: Mapping[str, tuple[float, Callable[[SoakCaller], Steps]]] = {
    "ask": (4, SoakCaller._ask),
    "ask for a tool": (3, SoakCaller._ask_tool),
    "barge in": (4, SoakCaller._interrupt),
    "hold": (3, SoakCaller._hold),
    "press keys": (2, SoakCaller._press),
    "pause": (1, SoakCaller._pause),
}
"""What they do in a talk, with weights."""
