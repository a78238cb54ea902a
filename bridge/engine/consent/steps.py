"""The steps of one caller's consent, and the table that joins them.

    DUE -> ANNOUNCING -> SETTLED                  announced, or staying on the line is agreeing
    DUE -> ANNOUNCING -> ASKING -> SETTLED | REFUSED

A disclosure that was cut (the caller went to a person, say) is due again. As elsewhere, a pair that
the table lacks changes nothing.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class ConsentStep(enum.StrEnum):
    """The step that a caller's consent is at."""

    DUE = "due"
    ANNOUNCING = "telling"
    ASKING = "asking"
    SETTLED = "settled"
    """Nothing is left to be announced or asked, or nothing ever was."""
    REFUSED = "refused"


class ConsentSignal(enum.StrEnum):
    """An event that moves a caller's consent on."""

    SAY = "say"
    CUT = "cut"
    ASK = "ask"
    """The disclosure was heard to its end, and the caller has to answer."""
    SETTLE = "settle"
    REFUSE = "refuse"


_ROWS: Mapping[ConsentStep, Mapping[ConsentSignal, ConsentStep]] = {
    ConsentStep.DUE: {
        ConsentSignal.SAY: ConsentStep.ANNOUNCING,
        # It can't be said.
        ConsentSignal.REFUSE: ConsentStep.REFUSED,
    },
    ConsentStep.ANNOUNCING: {
        ConsentSignal.CUT: ConsentStep.DUE,
        ConsentSignal.ASK: ConsentStep.ASKING,
        ConsentSignal.SETTLE: ConsentStep.SETTLED,
        # Nobody has to hear the rest of what they don't want.
        ConsentSignal.REFUSE: ConsentStep.REFUSED,
    },
    ConsentStep.ASKING: {
        ConsentSignal.CUT: ConsentStep.DUE,
        ConsentSignal.SETTLE: ConsentStep.SETTLED,
        ConsentSignal.REFUSE: ConsentStep.REFUSED,
    },
}

STEPS: Mapping[tuple[ConsentStep, ConsentSignal], ConsentStep] = MappingProxyType(
    {(old, signal): new for old, row in _ROWS.items() for signal, new in row.items()}
)

_OPEN = frozenset({ConsentStep.DUE, ConsentStep.ANNOUNCING, ConsentStep.ASKING})


@dataclass(slots=True)
class ConsentState:
    """The state of one caller's consent.

    Attributes:
        since_ns: when the disclosure was first given to the playout.
        sounding: the caller hears it now.
        greeted: the time to its first sound was measured.
        questions: how often they were asked.
    """

    step: ConsentStep = ConsentStep.SETTLED
    since_ns: int | None = None
    sounding: bool = False
    greeted: bool = False
    questions: int = 0

    @property
    def open(self) -> bool:
        """Whether something is left to be announced or answered."""
        return self.step in _OPEN

    def take(self, signal: ConsentSignal) -> bool:
        """Step by the table; return whether it had a row."""
        new = STEPS.get((self.step, signal))
        if new is None:
            return False
        self.step = new
        self.sounding = False
        return True
