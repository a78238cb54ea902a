"""The steps of one caller's consent, and the table that joins them.

    DUE -> TELLING -> SETTLED                     told, or staying on the line is agreeing
    DUE -> TELLING -> ASKING -> SETTLED | REFUSED

A disclosure that was cut (the caller went to a person, say) is due again. As elsewhere, a pair that
the table lacks changes nothing.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class Step(enum.StrEnum):
    """The step that a caller's consent is at."""

    DUE = "due"
    TELLING = "telling"
    ASKING = "asking"
    SETTLED = "settled"
    """Nothing is left to be told or asked, or nothing ever was."""
    REFUSED = "refused"


class Signal(enum.StrEnum):
    """An event that moves a caller's consent on."""

    SAY = "say"
    CUT = "cut"
    ASK = "ask"
    """The disclosure was heard to its end, and the caller has to answer."""
    SETTLE = "settle"
    REFUSE = "refuse"


_ROWS: Mapping[Step, Mapping[Signal, Step]] = {
    Step.DUE: {
        Signal.SAY: Step.TELLING,
        # It can't be said.
        Signal.REFUSE: Step.REFUSED,
    },
    Step.TELLING: {
        Signal.CUT: Step.DUE,
        Signal.ASK: Step.ASKING,
        Signal.SETTLE: Step.SETTLED,
        # Nobody has to hear the rest of what they don't want.
        Signal.REFUSE: Step.REFUSED,
    },
    Step.ASKING: {
        Signal.CUT: Step.DUE,
        Signal.SETTLE: Step.SETTLED,
        Signal.REFUSE: Step.REFUSED,
    },
}

STEPS: Mapping[tuple[Step, Signal], Step] = MappingProxyType(
    {(old, signal): new for old, row in _ROWS.items() for signal, new in row.items()}
)

_OPEN = frozenset({Step.DUE, Step.TELLING, Step.ASKING})


@dataclass(slots=True)
class ConsentState:
    """The state of one caller's consent.

    Attributes:
        since_ns: when the disclosure was first given to the playout.
        sounding: the caller hears it now.
        greeted: the time to its first sound was measured.
        questions: how often they were asked.
    """

    step: Step = Step.SETTLED
    since_ns: int | None = None
    sounding: bool = False
    greeted: bool = False
    questions: int = 0

    @property
    def open(self) -> bool:
        """Whether something is left to be told or answered."""
        return self.step in _OPEN

    def take(self, signal: Signal) -> bool:
        """Step by the table; return whether it had a row."""
        new = STEPS.get((self.step, signal))
        if new is None:
            return False
        self.step = new
        self.sounding = False
        return True
