"""The soak's callers: one process, a few people who call again and again.

Orders are JSON lines on stdin, each answered by one JSON line on stdout:

    {"do": "live", "name": "soak", "people": 20, "s": 1800, "seed": 7, "called": ["ga", "beta"]}

What each of them does, and when, comes from the seed. The answer has a report of every call.
"""

import time
from collections import Counter
from dataclasses import asdict
from random import Random

import numpy as np

from bridge.audio.resample import downsample_whole
from bridge.bench.lanes import Frames, frames_of
from bridge.bench.phones import Answer, Order, Phones, run_phones
from bridge.bench.sip_calls import Ended, Outcomes
from bridge.bench.soak.person import PHRASES, SoakCaller
from bridge.clock import NS_PER_S
from bridge.speech.synthesis import Synthesizer

_WORDS_PER_MINUTE = 150
_LOUD = 500


class Crowd(Phones):
    """People with phones.

    Args:
        server: host and port of the SIP server.

    Attributes:
        speech: what people say, by its text: (n, 160) mu-law.
        people: those that are on the phone, by slot.
        done: how often each thing has been done.
        silences: how long people waited for a sound, ms, and in which call.
        calls: what became of each call.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        super().__init__(server, "nobody")
        self.orders = {"live": self._live}
        self.speech = {phrase: _spoken(phrase) for phrase in PHRASES}
        self.people: dict[int, SoakCaller] = {}
        self.done: Counter[str] = Counter()
        self.silences: list[tuple[int, str]] = []
        self.calls: list[dict[str, object]] = []

    def on_up(self, slot: int, port: int) -> None:
        """Notify the caller that somebody has answered."""
        super().on_up(slot, port)
        self.people[slot].answered()

    def on_over(self, slot: int, ended: Ended) -> None:
        """Notify the caller that the call is over."""
        super().on_over(slot, ended)
        self.people.pop(slot).over(ended)

    def _live(self, order: Order) -> Answer:
        """Let so many people call for ``s`` seconds, and hang up at the end."""
        self.sip.outcomes = Outcomes()
        self.hearing.window()
        self.lags_ns.clear()
        self.done.clear()
        self.calls, self.silences = [], []
        overflowed = self.overflowed()
        until_ns = time.monotonic_ns() + int(float(str(order["s"])) * NS_PER_S)
        called = order["called"]
        assert isinstance(called, list)
        lives = []
        for number in range(int(str(order["people"]))):
            name = f"{order['name']}-{number}"
            random = Random(f"{order['seed']}/{name}")
            person = SoakCaller(self, name, called[number % len(called)], random, until_ns)
            lives.append(person.live())
        while lives:
            lives = [life for life in lives if next(life, lives) is not lives]
            yield None
        yield {
            "calls": self.calls,
            "done": dict(self.done),
            "silences": self.silences,
            "setup_ns": self.sip.outcomes.setup_ns,
            "changes_refused": self.sip.outcomes.changes_refused,
            "gap_ends_ns": self.hearing.gap_ends_ns,
            "heard": asdict(self.hearing.window()),
            "overflowed": self.overflowed() - overflowed,
            **self.lag_report(),
        }


def run_crowd(server: tuple[str, int]) -> None:
    """Be the crowd until stdin ends.

    Raises:
        InfrastructureError: this is no 64-bit Linux, or a socket can't be had.
    """
    run_phones(lambda: Crowd(server))


def _spoken(text: str) -> Frames:
    """Return a sentence as packets: its last sound last."""
    samples = downsample_whole(Synthesizer("en-us", _WORDS_PER_MINUTE).say(text))
    loud = np.flatnonzero(np.abs(samples) > _LOUD)
    return frames_of(samples[: loud[-1] + 1])
