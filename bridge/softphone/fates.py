"""Draws the fate of each packet on an impaired network. Pure: same seed, same fates.

Losses follow Gilbert and Elliott: a path is good or bad, in the bad state every packet is lost, and
the chances of going over are such that the mean loss and the mean length of a run of losses are
those that were asked for.
"""

import math

import numpy as np

from bridge.softphone.settings import Network

OVERTAKEN_BY_MS = 50.0
"""How much longer a reordered packet takes: the next two of 20 ms overtake it."""


class FateStream:
    """The fates of one direction's packets, in the order in which they are sent.

    Four numbers are drawn for each packet, whatever becomes of it, so the fate of packet n hangs on
    the seed, the lane and n, but for an outage, which hangs on its time.

    Args:
        network: what is asked for.
        lane: tells streams with one seed apart.
    """

    def __init__(self, network: Network, lane: int) -> None:
        self._network = network
        self._random = np.random.default_rng([network.seed, lane])
        loss = network.loss_pct / 100
        # From bad to good once in `burst` packets; packets that are lost each by itself come in
        # runs, too, of 1 / (1 - loss), and a run can't be shorter than that.
        self._recovers = min(1 / network.burst, 1 - loss)
        self._fails = 1.0 if loss == 1 else self._recovers * loss / (1 - loss)
        self._bad = False
        self._last_ms: float = -math.inf
        self._begun = False
        self._answered_ms: float | None = None

    def answered(self, at_ms: float) -> None:
        """Count the times of outages from here; only the first answer counts."""
        if self._answered_ms is None:
            self._answered_ms = at_ms

    def next(self, at_ms: float) -> float | None:
        """Decide about the next packet.

        Args:
            at_ms: when it is sent, ms on a clock that never goes back.

        Returns:
            When it arrives on that clock; None for a packet that is lost.
        """
        network = self._network
        turns, jitters, reorders, starts = (float(each) for each in self._random.random(4))
        if self._begun:
            self._bad = turns >= self._recovers if self._bad else turns < self._fails
        else:  # in the long run a path is bad for as much of the time as packets are lost
            self._begun, self._bad = True, starts < network.loss_pct / 100
        if self._bad or self._is_out(at_ms):
            return None
        arrives_ms = at_ms + network.delay_ms + jitters * network.jitter_ms
        if reorders < network.reorder_pct / 100:
            return arrives_ms + OVERTAKEN_BY_MS
        self._last_ms = max(self._last_ms, arrives_ms)  # in order
        return self._last_ms

    def _is_out(self, at_ms: float) -> bool:
        if self._answered_ms is None:
            return False
        call_ms = at_ms - self._answered_ms
        return any(0 <= call_ms - outage.at_ms < outage.ms for outage in self._network.outage)
