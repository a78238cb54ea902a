"""Sums a run up in one sentence. Pure."""

from collections import Counter
from collections.abc import Sequence

from bridge.replay.report.cards import Card
from bridge.replay.report.comparison import Change
from bridge.replay.results.run import RunVerdict

SEVERITY = (RunVerdict.FAIL, RunVerdict.INFRASTRUCTURE, RunVerdict.INCONCLUSIVE)
"""What is not a pass, the worst first."""


def headline(cards: Sequence[Card], arms: Sequence[str]) -> str:
    """Return the run's result in one sentence."""
    total = _scripts(len(cards))
    for arm in arms[1:]:
        worse = sum(card.change_on(arm) is Change.NEWLY_FAILING for card in cards)
        if worse:
            return f"{arm} breaks {worse} of {total} that {arms[0]} passes"
    count = Counter(card.verdict for card in cards)
    if failing := count[RunVerdict.FAIL]:
        where = [
            arm
            for arm in arms
            if any(
                c.arm == arm and c.row.verdict is RunVerdict.FAIL for k in cards for c in k.calls
            )
        ]
        verb = "fails" if failing == 1 else "fail"
        return f"{failing} of {total} {verb} on {' and '.join(where)}"
    if count[RunVerdict.INFRASTRUCTURE]:
        return f"{count[RunVerdict.INFRASTRUCTURE]} of {total} could not be played"
    if count[RunVerdict.INCONCLUSIVE]:
        return f"Nothing fails; {count[RunVerdict.INCONCLUSIVE]} of {total} could not be judged"
    return f"Everything passes: {total} on {' and '.join(arms)}" if cards else "Nothing was played"


def _scripts(count: int) -> str:
    return f"{count} {'script' if count == 1 else 'scripts'}"


def tone(cards: Sequence[Card]) -> RunVerdict:
    """Return the worst verdict of all."""
    found = {card.verdict for card in cards}
    return next((verdict for verdict in SEVERITY if verdict in found), RunVerdict.PASS)
