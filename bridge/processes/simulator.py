"""A simulator in a process of its own, whose scenario and faults are set over HTTP."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from bridge.errors import ConfigError
from bridge.processes.http import ask
from bridge.realtime.dialects import DIALECTS

Spec = Mapping[str, object]

_TIMEOUT_S = 10.0
_RENDERED_WITHIN_S = 60.0
"""A scenario that is new to it is rendered first, in less than a second of an idle machine."""


_REALTIME = "/v1/realtime"
_PLACES = {"live": "/v1/live/sessions"}
"""Where the simulator speaks a dialect that has a place of its own."""
_BACKEND = "gpt-5.6-luna"


def place_of(url: str, dialect: str) -> str:
    """Return where a simulator that says ``url`` of itself speaks a dialect."""
    return url.replace(_REALTIME, _PLACES.get(dialect, _REALTIME))


def with_backend(dialect: str) -> Mapping[str, object]:
    """Return more settings of an arm at the simulator: a voice that calls no tool has a backend."""
    if DIALECTS[dialect]().capabilities.reports_turns:
        return {}
    return {"session": {"delegation": {"model": _BACKEND}}}


class SimulatorAdmin:
    """The admin endpoint of one `bridge simulate` (`bridge/simulator/endpoints.py`).

    Every method raises OSError or TimeoutError where it does not answer.

    Args:
        url: of its WebSocket; secret: of its admin endpoint.
    """

    def __init__(self, url: str, secret: str) -> None:
        admin = url.replace("ws://", "http://").replace("/v1/realtime", "/admin")
        self._faults_url, self._scenario_url = f"{admin}/faults", f"{admin}/scenario"
        self._rewind_url = f"{admin}/rewind"
        self._headers = {"X-Simulator-Admin": secret, "Content-Type": "application/json"}

    async def play(self, scenario: Mapping[str, object]) -> None:
        """Have another scenario played, with its faults and no others, from now on.

        Raises:
            ConfigError: it is none that can be played.
        """
        body = json.dumps(scenario).encode()
        answer = json.loads(
            await ask("PUT", self._scenario_url, self._headers, body, timeout_s=_RENDERED_WITHIN_S)
        )
        if "error" in answer:
            raise ConfigError(f"the simulator can't play it: {answer['error']['message']}")

    async def set(self, specs: Sequence[Spec]) -> None:
        """Set faults in the place of those that there are."""
        await self.clear()
        body = json.dumps(specs).encode()
        await ask("POST", self._faults_url, self._headers, body, timeout_s=_TIMEOUT_S)

    async def clear(self) -> None:
        """Have nothing go wrong any more."""
        await ask("DELETE", self._faults_url, self._headers, timeout_s=_TIMEOUT_S)

    async def struck(self) -> Counter[str]:
        """Return how often each of the faults that are set has struck, by ``kind at moment``."""
        report = json.loads(await ask("GET", self._faults_url, self._headers, timeout_s=_TIMEOUT_S))
        found: Counter[str] = Counter()
        for fault in report["faults"]:
            found[f"{fault['kind']} at {fault['at']}"] += fault["struck"]
        return found

    async def rewind(self) -> None:
        """Have the next connection be the first of a call, where a tape is played (``--tape``)."""
        await ask("POST", self._rewind_url, self._headers, b"{}", timeout_s=_TIMEOUT_S)
