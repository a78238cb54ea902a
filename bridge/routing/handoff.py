"""A dialplan's rules for handing calls to people: targets, ways, announcements."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from bridge.config.parts import Part
from bridge.routing.parts import Phrase, TransferTarget

TargetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[0-9*#]$")]
Keys = Annotated[str, StringConstraints(pattern=r"^[0-9*#]{1,4}$")]


class Acceptance(Part):
    """How a person takes a warm call, once they were told about it.

    Attributes:
        by: ``key``, ``speech`` (any speech after the announcement, told by its level), or either.
        key: takes the call; good during the announcement, too.
        refuse: refuses it; hanging up does, too.
        within_s: from the announcement's end.
    """

    by: Literal["key", "speech", "either"] = "key"
    key: Key = "1"
    refuse: Key = "2"
    within_s: float = Field(20.0, ge=2, le=120)

    @model_validator(mode="after")
    def _keys_differ(self) -> Self:
        if self.key == self.refuse:
            raise ValueError(f"'key' and 'refuse' are the same key, {self.key}")
        return self

    @property
    def question(self) -> str:
        """What the person is asked where the dialplan has no words of its own for it."""
        yes = {
            "key": f"Press {self.key} to take the call",
            "speech": "Speak to take the call",
            "either": f"Press {self.key} or speak to take the call",
        }[self.by]
        no = "hang up to refuse" if self.by == "speech" else f"{self.refuse} to refuse"
        return f"{yes}, or {no}."


class Target(Part):
    """Whom a call may be handed to.

    Attributes:
        to: their address; the bridge can dial SIP URIs alone.
        mode: ``blind``: they get the call at once; ``warm``: they are told first, and asked.
        refer: a blind call is moved by the trunk (REFER) where it does that; False: the bridge
            always dials, and stays in the call.
        refer_to_headers: call id and summary go into the Refer-To URI, too, from which the trunk
            puts them into its INVITE; some trunks refuse that.
        ring_s: how long the bridge's call to them may ring.
        when_person_leaves: what becomes of the caller when they hang up.
    """

    to: TransferTarget
    mode: Literal["blind", "warm"] = "blind"
    refer: bool = True
    refer_to_headers: bool = True
    ring_s: float = Field(30.0, ge=3, le=180)
    when_person_leaves: Literal["hang_up", "hand_back"] = "hang_up"


class Handoff(Part):
    """People.

    Attributes:
        targets: by the name that the model uses; the first is the default.
        before: what the caller is told first; None where the agent says it.
        on_failure: what the caller is told where nobody was reached; None leaves it to the agent,
            who is told in any case.
        on_hand_back: what the caller is told who comes back.
        announce: what a person is told before the summary.
        ask: and after it; None for the keys' own words, in English.
        accept: how they take the call.
        hand_back_key: keys by which they give the caller back to the agent.
        wrap_up: codes for what came of a call, of which who had the caller picks one.
    """

    targets: dict[TargetName, Target] = Field(default_factory=dict)
    before: Phrase | None = None
    on_failure: Phrase | None = None
    on_hand_back: Phrase | None = None
    announce: Phrase = "A caller is being put through to you."
    ask: Phrase | None = None
    accept: Acceptance = Acceptance()
    hand_back_key: Keys | None = None
    wrap_up: tuple[TargetName, ...] = ()

    @field_validator("hand_back_key")
    @classmethod
    def _is_no_single_digit(cls, keys: str | None) -> str | None:
        if keys is not None and len(keys) < 2:
            raise ValueError("should be two keys or more, like '*9': one is pressed by chance")
        return keys

    @property
    def phrases(self) -> Iterator[str]:
        """What the bridge itself has to say, known before any call."""
        yield from filter(None, (self.before, self.on_failure, self.on_hand_back))
        if any(target.mode == "warm" for target in self.targets.values()):
            yield self.announce
            yield self.ask or self.accept.question
