"""Counts the costs of a replay's calls, and holds them under a cap. Pure.

A call's cost is known at its end: of a live arm from the usage that the service billed and the
table of prices, of a persona's and a judge's text model from the tokens that it counted. Before it,
the dearest live call so far stands for the talk, or at first what its audio would cost if both
sides spoke all the time; the script's own limits stand for the text models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import JsonValue

from bridge.config.models import Model
from bridge.errors import ConfigError, Fault
from bridge.replay.json_fields import number_of, parts_of
from bridge.replay.script.document import CallScript
from bridge.replay.script.text_model import TextModel
from bridge.telemetry.costs import cost_usd
from bridge.telemetry.labels import BilledToken, Modality

_CALLER_TOKENS_PER_S, _AGENT_TOKENS_PER_S = 10, 20
"""Audio: 1 token for 100 ms of the caller's, and for 50 ms of the agent's (`PROTOCOL.md` section
5)."""
_WORD_TOKENS_PER_S = 5
"""Of both sides' words, as a judge reads them: 3 to 4 words a second, 1.3 tokens a word."""
_RULES_TOKENS = 400


@dataclass(frozen=True, slots=True)
class Use:
    """The cost of a call and the ends of its tools, by the gateway's record.

    Attributes:
        cost_usd: None where the record has none.
        tools_ok, tools_failed: tool calls; those that nobody waited for any more are neither.
        texts_usd: of the persona's and the judge's models, as they counted; not in ``cost_usd``.
    """

    cost_usd: float | None = None
    tools_ok: int = 0
    tools_failed: int = 0
    texts_usd: float = 0.0

    @classmethod
    def of(cls, record: Mapping[str, JsonValue] | None, texts_usd: float = 0.0) -> Self:
        """Read a record; without one nothing is known."""
        found = record or {}
        tools = parts_of(found, "tools")
        return cls(
            number_of(found, "cost_usd"),
            sum(each.get("ok") is True for each in tools),
            sum(each.get("fault", Fault.NONE) != Fault.NONE for each in tools),
            texts_usd,
        )


def talk_usd(longest_s: float, model_name: str, model: Model | None) -> float:
    """Return what a call costs in which both sides speak all the time.

    Args:
        longest_s: how long it may last.
        model_name, model: of its arm; None where the table of models lacks it.

    Raises:
        ConfigError: the model has no price.
    """
    audio = {
        (BilledToken.IN, Modality.AUDIO): round(longest_s * _CALLER_TOKENS_PER_S),
        (BilledToken.OUT, Modality.AUDIO): round(longest_s * _AGENT_TOKENS_PER_S),
    }
    usd = cost_usd(audio, model)
    if usd is None:
        raise ConfigError(
            f"the table of models has no price of '{model_name}', so no cost cap can be kept",
            remedy="add it to bridge/config/models.yaml, or leave --cost-cap out",
        )
    return usd


def texts_usd(script: CallScript, longest_s: float) -> float:
    """Return what the text models of a script's persona and judge may cost in one call.

    Raises:
        ConfigError: one of them has no price.
    """
    usd = 0.0
    persona, judge = script.persona, script.judge
    if persona is not None and persona.model is not None:
        limits = persona.limits
        dearest = max(_prices(script, persona.model))
        usd += limits.tokens * dearest if limits.cost_usd is None else limits.cost_usd
    if judge is not None and judge.model is not None:
        read_usd, written_usd = _prices(script, judge.model)
        tokens = _RULES_TOKENS + longest_s * _WORD_TOKENS_PER_S
        a_question_usd = tokens * read_usd + judge.model.max_tokens * written_usd
        usd += len(judge.questions) * a_question_usd
    return usd


def _prices(script: CallScript, model: TextModel) -> tuple[float, float]:
    """Return what a text model costs in USD for a token that it reads, and that it writes."""
    prices = model.usd_per_million
    if prices is None:
        raise ConfigError(
            f"the text model '{model.model}' of the script {script.id} has no price, so no cost cap"
            " can be kept",
            remedy="give it usd_per_million (0 for one of your own), or leave --cost-cap out",
        )
    return prices.input / 1e6, prices.output / 1e6


class CostMeter:
    """Counts what the calls of a replay cost.

    Args:
        cap_usd: None: there is none.

    Attributes:
        spent_usd: by the calls that are over.
    """

    def __init__(self, cap_usd: float | None) -> None:
        self.spent_usd = 0.0
        self.cap_usd = cap_usd
        self._reserved: dict[str, float] = {}
        self._dearest_talk_usd: float | None = None

    @property
    def going_on(self) -> bool:
        """Whether a call holds a share of the cap."""
        return bool(self._reserved)

    def begin(self, run: str, talk_usd: float, texts_usd: float) -> bool:
        """Reserve what a call may cost; False if that would pass the cap.

        Args:
            run: names the call.
            talk_usd: with a live arm, at most; 0 with none.
            texts_usd: of the persona's and the judge's models, at most.
        """
        if talk_usd and self._dearest_talk_usd is not None:
            talk_usd = self._dearest_talk_usd
        wanted_usd = talk_usd + texts_usd
        held_usd = self.spent_usd + sum(self._reserved.values())
        if wanted_usd and self.cap_usd is not None and held_usd + wanted_usd > self.cap_usd:
            return False
        self._reserved[run] = wanted_usd
        return True

    def end(self, run: str, usd: float | None, texts_usd: float = 0.0) -> None:
        """Count what a call has cost; where its talk's cost is not known, what was reserved."""
        reserved_usd = self._reserved.pop(run, 0.0)
        if usd is None:
            self.spent_usd += max(reserved_usd, texts_usd)
            return
        self.spent_usd += usd + texts_usd
        if usd:
            self._dearest_talk_usd = max(usd, self._dearest_talk_usd or 0.0)
