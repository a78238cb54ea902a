"""Acts on the caller's words before the model does: an emergency, consent, a wish for a person.

Subjects are asked in the order of their weight, and the first whose words they are takes them.
"""

from collections.abc import Callable

from bridge.engine.caller.emergency import hear_emergency
from bridge.engine.consent.disclosure import hear_answer
from bridge.engine.handoff.asking import hear_human
from bridge.engine.state import CallState, Effects

Subject = Callable[[CallState, str, int], Effects | None]
"""Given the call, a turn's words and the time; None where the words are none of its."""

SUBJECTS: tuple[Subject, ...] = (
    hear_emergency,
    hear_answer,
    hear_human,
)


def on_caller_words(call: CallState, text: str, now_ns: int) -> Effects:
    """Act on the words of one turn of the caller's, as its final transcript tells them."""
    for subject in SUBJECTS:
        taken = subject(call, text, now_ns)
        if taken is not None:
            yield from taken
            return
