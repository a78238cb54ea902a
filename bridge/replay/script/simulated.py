"""A script's rules and faults for the simulated Realtime service."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from bridge.config.parts import Name, OneOrMore, Part
from bridge.simulator.faults import FaultSpec
from bridge.simulator.scenario import (
    BetaSwitch,
    Models,
    Pacing,
    Rule,
    Scenario,
    Sentence,
    SessionLimit,
    default_scenario,
    load_scenario,
)
from bridge.speech.words import words_of

_SUPPORT = "support"


class Simulated(Part):
    """The simulated service of this call; nothing of it holds for a live one.

    Attributes:
        scenario: `support`, which comes with the package, or a scenario's file.
        rules: answered before those of the scenario.
        greeting: in place of the scenario's, as all that follow.
        fallback: said when nothing was understood.
        idle: said to a silent caller.
        pronunciations: added to the scenario's.
        pacing: how fast it answers.
        session: how long a session lasts.
        beta: whether the beta dialect is there.
        models: that each dialect has.
        faults: what goes wrong (`bridge/simulator/faults.py`), after the scenario's own.
        credentials: what the gateway connects with: its key (`direct`), or short-lived tokens that
            it fetches with it (`token`).
    """

    scenario: Name | Path = _SUPPORT
    rules: OneOrMore[Rule] = ()
    greeting: Sentence | None = None
    fallback: Sentence | None = None
    idle: Sentence | None = None
    pronunciations: dict[str, str] = Field(default_factory=dict)
    pacing: Pacing | None = None
    session: SessionLimit | None = None
    beta: BetaSwitch | None = None
    models: Models | None = None
    faults: OneOrMore[FaultSpec] = ()
    credentials: Literal["direct", "token"] = "direct"

    def build(self, folder: Path) -> Scenario:
        """Make the scenario. Reads its file, if it has one.

        Args:
            folder: where a relative path begins.

        Raises:
            ConfigError: the scenario's file is no good.
        """
        named = str(self.scenario)
        base = default_scenario() if named == _SUPPORT else load_scenario(folder / named)
        own = self.model_dump(
            include={"greeting", "fallback", "idle", "pacing", "session", "beta", "models"},
            exclude_none=True,
        )
        merged = {
            **base.model_dump(),
            **own,
            "rules": [*self.rules, *_unheard(base.rules, self.rules)],
            "pronunciations": {**base.pronunciations, **self.pronunciations},
            "faults": [*base.faults, *self.faults],
        }
        return Scenario.model_validate(merged)


def _unheard(base: Iterable[Rule], own: Iterable[Rule]) -> Iterator[Rule]:
    """Yield the scenario's rules for what the script's own ones don't hear."""
    taken = {words_of(phrase) for rule in own for phrase in rule.hears}
    for rule in base:
        left = tuple(phrase for phrase in rule.hears if words_of(phrase) not in taken)
        if left:
            yield rule.model_copy(update={"hears": left})
