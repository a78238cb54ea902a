"""Counts the cost of live calls, and holds it under a cap. Pure.

A call's cost is known at its end, from the usage that the service billed and the table of prices.
Before it, the dearest call so far stands for it, or at first what its audio would cost if both
sides spoke all the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeGuard

from pydantic import JsonValue

from bridge.config.models import Model
from bridge.errors import ConfigError, Fault
from bridge.telemetry.costs import cost_usd
from bridge.telemetry.labels import Modality, TokenKind

_CALLER_TOKENS_PER_S, _AGENT_TOKENS_PER_S = 10, 20
"""Audio: 1 token for 100 ms of the caller's, and for 50 ms of the agent's (`PROTOCOL.md` section
5)."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a call cost and what its tools came to, by the gateway's record.

    Attributes:
        cost_usd: None where the record has none.
        tools_ok, tools_failed: tool calls; those that nobody waited for any more are neither.
    """

    cost_usd: float | None = None
    tools_ok: int = 0
    tools_failed: int = 0

    @classmethod
    def of(cls, record: Mapping[str, JsonValue] | None) -> Self:
        """Read a record; without one nothing is known."""
        found = record or {}
        cost, listed = found.get("cost_usd"), found.get("tools")
        tools = [each for each in listed if isinstance(each, dict)] if _is_list(listed) else []
        return cls(
            float(cost) if isinstance(cost, int | float) else None,
            sum(each.get("ok") is True for each in tools),
            sum(each.get("fault", Fault.NONE) != Fault.NONE for each in tools),
        )


def _is_list(value: JsonValue) -> TypeGuard[list[JsonValue]]:
    return isinstance(value, list)


class CostMeter:
    """Counts what live calls cost.

    Args:
        cap_usd: None: there is none.

    Attributes:
        spent_usd: by the calls that are over.
    """

    def __init__(self, cap_usd: float | None) -> None:
        self.spent_usd = 0.0
        self.cap_usd = cap_usd
        self._reserved: dict[str, float] = {}
        self._dearest_usd: float | None = None

    @property
    def going_on(self) -> bool:
        """Whether a call holds a share of the cap."""
        return bool(self._reserved)

    def begin(self, run: str, longest_s: float, model_name: str, model: Model | None) -> bool:
        """Reserve what a call may cost; False if that would pass the cap.

        Args:
            run: names the call.
            longest_s: how long it may last.
            model_name, model: of its arm; None where the table of models lacks it.

        Raises:
            ConfigError: there is a cap, and the model has no price.
        """
        if self.cap_usd is None:
            self._reserved[run] = 0.0
            return True
        audio = {
            (TokenKind.IN, Modality.AUDIO): round(longest_s * _CALLER_TOKENS_PER_S),
            (TokenKind.OUT, Modality.AUDIO): round(longest_s * _AGENT_TOKENS_PER_S),
        }
        at_first_usd = cost_usd(audio, model)
        if at_first_usd is None:
            raise ConfigError(
                f"the table of models has no price of '{model_name}', so no cost cap can be kept",
                remedy="add it to bridge/config/models.yaml, or leave --cost-cap out",
            )
        wanted_usd = at_first_usd if self._dearest_usd is None else self._dearest_usd
        if self.spent_usd + sum(self._reserved.values()) + wanted_usd > self.cap_usd:
            return False
        self._reserved[run] = wanted_usd
        return True

    def end(self, run: str, usd: float | None) -> None:
        """Count what a call has cost; where that is not known, what was reserved for it."""
        reserved_usd = self._reserved.pop(run, 0.0)
        self.spent_usd += reserved_usd if usd is None else usd
        if usd is not None:
            self._dearest_usd = max(usd, self._dearest_usd or 0.0)
