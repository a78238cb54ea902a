"""The models of an arm: the settings that a connection needs, and the order in which to try them.

One memory of refusals serves all calls of an arm. A refused model comes last until its time is
over; then one call at a time tries it first again. Each refusal in a row doubles the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.clock import NS_PER_S
from bridge.session.realtime import Endpoint
from bridge.session.tokens import CredentialSource

_FIRST_S = 30
_LONGEST_S = 600


@dataclass(frozen=True, slots=True)
class ArmModel:
    """A model to connect with.

    Attributes:
        endpoint: without a key: each connection gets its own.
        credentials: where the connections' bearers come from.
        voice: for the session's settings; None for the server's default.
    """

    endpoint: Endpoint
    credentials: CredentialSource
    voice: str | None = None


class RefusedModels:
    """The models that lately refused a session, of one arm, by name and monotonic ns."""

    def __init__(self) -> None:
        self._refusals: dict[str, int] = {}
        self._until_ns: dict[str, int] = {}
        self._probed: set[str] = set()

    def in_order(self, choices: Sequence[ArmModel], now_ns: int) -> tuple[ArmModel, ...]:
        """Return the choices in the order to try them; claim those that are due to be probed.

        :meth:`gave_up` or one of the others must follow for each of them.
        """
        first, last = [], []
        for choice in choices:
            model = choice.endpoint.model
            until_ns = self._until_ns.get(model)
            if until_ns is None:
                first.append(choice)
            elif now_ns >= until_ns and model not in self._probed:
                self._probed.add(model)
                first.append(choice)
            else:
                last.append(choice)
        # A probe keeps its place, so that the model that is wanted most is noticed to be back.
        return tuple(first + last)

    def refused(self, model: str, now_ns: int) -> None:
        """Note that a model gave no session where another one of the arm did."""
        times = self._refusals.get(model, 0)
        self._refusals[model] = times + 1
        wait_s = min(_FIRST_S << min(times, 10), _LONGEST_S)
        self._until_ns[model] = now_ns + wait_s * NS_PER_S
        self._probed.discard(model)

    def works(self, model: str) -> None:
        """Note that a model gave a session: it is tried in its place again."""
        self._refusals.pop(model, None)
        self._until_ns.pop(model, None)
        self._probed.discard(model)

    def gave_up(self, choices: Sequence[ArmModel]) -> None:
        """Note that a call stopped trying: whatever it had claimed may be probed by another one."""
        self._probed.difference_update(choice.endpoint.model for choice in choices)
