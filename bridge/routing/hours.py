"""A dialplan's treatment of callers while its line is closed, or has all the calls it may have."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import model_validator

from bridge.config.parts import Part, Text
from bridge.routing.parts import Phrase, TransferTarget
from bridge.routing.times import Times


class Closed(Part):
    """The treatment of callers outside of the opening times.

    Attributes:
        then: ``hang_up`` or ``transfer`` after ``say``, without any AI; ``callback``: the agent
            takes down whom to call back; ``agent``: it answers with other instructions.
        say: what the caller is told, by the bridge's own voice.
        to: where the call is sent (`then: transfer`).
        say_if_failed: what the caller is told when the transfer failed; None: a tone.
        greeting: spoken first by the agent, word for word; None waits for the caller.
        instructions: what the agent is told while the line is closed; with ``callback`` there are
            words for it.
    """

    then: Literal["hang_up", "transfer", "callback", "agent"] = "hang_up"
    say: Phrase | None = None
    to: TransferTarget | None = None
    say_if_failed: Phrase | None = None
    greeting: Text | None = None
    instructions: Text | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        required, allowed = _KEYS[self.then]
        given = {name for name in Closed.model_fields if getattr(self, name) is not None}
        if missing := sorted(required - given):
            raise ValueError(f"should have '{missing[0]}' with 'then: {self.then}'")
        if needless := sorted(given - required - allowed - {"then"}):
            raise ValueError(f"should not have '{needless[0]}' with 'then: {self.then}'")
        return self


_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "hang_up": ({"say"}, set()),
    "transfer": ({"to"}, {"say", "say_if_failed"}),
    "callback": (set(), {"greeting", "instructions"}),
    "agent": ({"instructions"}, {"greeting"}),
}
"""What each way needs, and what it may have."""


class Hours(Times):
    """The opening times of a line, and the treatment of callers outside of them.

    Attributes:
        closed: what they get.
    """

    closed: Closed

    @property
    def phrases(self) -> Iterator[str]:
        """What the bridge itself says while the line is closed."""
        yield from filter(None, (self.closed.say, self.closed.say_if_failed))
