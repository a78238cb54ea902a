"""Other calls on the gateway under test while a script is played (`bridge replay --load N`).

They are real SIP calls with RTP both ways, whose callers speak and whose agent answers with tones:
a service of their own, so that they cost nothing and disturb no fault of a script's. They are up
before the script's call, and what has been dropped is called again before the next one.
"""

from collections.abc import Mapping

from bridge.errors import ConfigError, InfrastructureError, Outcome
from bridge.processes.child import Child
from bridge.processes.http import get
from bridge.replay.environment.arms import KEY_VARIABLE
from bridge.replay.environment.dialplans import ARM
from bridge.replay.results.run import LoadFigures
from bridge.replay.script import CallScript
from bridge.telemetry.scrape import Scrape

LOAD_ARM, LOAD_CALLED = "replay-load", "replay-load"
_RATE = 10.0
"""Calls a second, as they are placed."""
_WITHIN_S = 60.0
_LONGEST_LAG_MS = 10_000.0
"""Stands for what is beyond the histogram's last bound: infinity is no JSON."""
_CALLS_OF_A_TRANSFER = 3
"""The caller's own, and both ends of the person's."""


def load_arm(url: str, dialect: str) -> dict[str, object]:
    """Return the settings of the arm that answers the other calls."""
    return {"dialect": dialect, "url": url, "api_key_env": KEY_VARIABLE}


def calls_of(script: CallScript) -> int:
    """Return how many of the gateway's calls a script takes at most, as far as it says so."""
    transfers = script.end.state is Outcome.TRANSFERRED or any(
        step.expect is not None and step.expect.transfer is not None for step in script.caller
    )
    return _CALLS_OF_A_TRANSFER if transfers else 1


def check_room(load: int, max_calls: int, script: CallScript) -> None:
    """Make sure that a gateway holds the other calls beside a script's.

    Raises:
        ConfigError: it does not.
    """
    needed = calls_of(script)
    if load + needed > max_calls:
        most = max(0, max_calls - needed)
        raise ConfigError(
            f"--load {load}: the gateway holds {max_calls} calls, and '{script.id}' needs"
            f" {needed} of them",
            remedy=f"take --load {most} at most, or a PJSIP that holds more (deploy/pjsip/build)",
        )


class Load:
    """The other calls of one environment.

    Args:
        talkers: place them, see :mod:`bridge.bench.callers`.
        calls: how many.
        http: where the gateway's metrics are.
    """

    def __init__(self, talkers: Child, calls: int, http: str) -> None:
        self._talkers = talkers
        self._calls = calls
        self._http = http
        self._before = Scrape({})

    async def begin(self) -> None:
        """Have all of them up, and count from here on.

        Raises:
            InfrastructureError: they can't be had.
        """
        answer = await self._order(do="hold", calls=self._calls, rate=_RATE)
        if answer["up"] != self._calls:
            raise InfrastructureError(
                f"--load: {answer['up']} of {self._calls} other calls were answered, refused:"
                f" {answer['refused']}",
                remedy="take fewer, or a machine with more CPUs",
            )
        self._before = await self._scrape()

    async def figures(self) -> LoadFigures:
        """Return what the machine counted since :meth:`begin`.

        Raises:
            InfrastructureError: gateway or callers give no figures.
        """
        answer = await self._order(do="measure", s=0)
        counted = (await self._scrape()).since(self._before)

        def count(name: str, **labels: str) -> int:
            return round(counted.value(f"bridge_{name}_total", **labels))

        def lag_ms(share: float) -> float | None:
            if not counted.value("bridge_loop_lag_seconds_count"):
                return None
            bound_s = counted.quantile_s("bridge_loop_lag_seconds", share)
            return round(min(bound_s * 1000, _LONGEST_LAG_MS), 1)

        up = int(str(answer["calls"]))
        return LoadFigures(
            calls=up,
            dropped=self._calls - up,
            underruns=count("playout_underruns"),
            own_underruns=count("playout_underruns", arm=ARM),
            late_blocks=count("playout_late_blocks"),
            long_ticks=count("long_ticks"),
            tick_lag_p99_ms=lag_ms(0.99),
            tick_lag_max_ms=lag_ms(1.0),
            stalls=count("audio_thread_overruns"),
        )

    async def _order(self, **order: object) -> Mapping[str, object]:
        await self._talkers.send_order(order)
        return await self._talkers.report(self._calls / _RATE + _WITHIN_S)

    async def _scrape(self) -> Scrape:
        try:
            return Scrape.parse(await get(f"{self._http}/metrics"))
        except (OSError, TimeoutError) as error:
            raise InfrastructureError(f"the gateway gives no metrics: {error!r}") from error
