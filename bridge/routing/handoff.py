"""A dialplan's rules for handing calls to people: targets, ways, announcements."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from bridge.config.parts import Part
from bridge.config.sip_arm import SipArmSettings
from bridge.routing.parts import AtHand, Phrase, TransferTarget, in_ms

TargetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[0-9*#]$")]
Keys = Annotated[str, StringConstraints(pattern=r"^[0-9*#]{1,4}$")]


@dataclass(frozen=True, slots=True)
class HandoffTarget:
    """A person or queue to whom a call may be handed, and the way in which it is done.

    Attributes:
        name: as the model knows it.
        to: SIP or tel URI.
        warm: the bridge dials, and the person is asked first.
        refer: a blind transfer is tried by REFER first; False: the bridge dials at once.
        refer_to_headers: the context goes into the Refer-To URI, too.
        ring_ms: how long the person may take to answer the bridge's call.
        decide_ms: how long the person may take to accept.
        before: said to the caller first.
        on_failure: said to the caller where nobody was reached; None leaves it to the agent.
        on_hand_back: said to the caller who comes back.
        announce: said to the person before the summary; ``ask``: after it.
        accept_key: pressed by a person who takes the call; ``refuse_key``: by one who doesn't.
        accept_speech: a person who speaks after the announcement takes the call.
        hand_back: the agent goes on when the person hangs up; else the call is over.
        hand_back_key: keys that give the caller back to the agent; None for no such keys.
        silent_ms: of an arm's agent, who is no person: how long it may send no RTP after its
            answer, before it has failed; None for a person.
    """

    name: str
    to: str
    warm: bool
    refer: bool
    refer_to_headers: bool
    ring_ms: int
    decide_ms: int
    before: str | None
    on_failure: str | None
    on_hand_back: str | None
    announce: str
    ask: str
    accept_key: str | None
    refuse_key: str | None
    accept_speech: bool
    hand_back: bool
    hand_back_key: str | None
    silent_ms: int | None

    @property
    def is_agent(self) -> bool:
        """Whether it is the agent of an arm, by SIP."""
        return self.silent_ms is not None


def agent_at(name: str, arm: SipArmSettings) -> HandoffTarget:
    """Return the agent of an arm that is a SIP URI, as somebody whom a call is handed to."""
    return HandoffTarget(
        name,
        arm.sip,
        warm=False,
        refer=arm.by == "refer",
        refer_to_headers=False,
        ring_ms=in_ms(arm.ring_s),
        decide_ms=0,
        before=None,
        on_failure=None,
        on_hand_back=None,
        announce="",
        ask="",
        accept_key=None,
        refuse_key=None,
        accept_speech=False,
        hand_back=False,
        hand_back_key=None,
        silent_ms=in_ms(arm.silent_s),
    )


class Acceptance(Part):
    """The way in which a person takes a warm call after the announcement.

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
    """A person or queue to whom a call may be handed.

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

    def people(self, at_hand: AtHand) -> dict[str, HandoffTarget]:
        """Return whom a call may be handed to, by name; what can't be said to the caller is not."""
        return {name: self._person(name, target, at_hand) for name, target in self.targets.items()}

    def person_at(self, to: str, at_hand: AtHand, *, warm: bool) -> HandoffTarget:
        """Return somebody whom the dialplan does not name, with what it says about its people."""
        return self._person("other", Target(to=to, mode="warm" if warm else "blind"), at_hand)

    def _person(self, name: str, target: Target, at_hand: AtHand) -> HandoffTarget:
        accept = self.accept
        return HandoffTarget(
            name,
            target.to,
            warm=target.mode == "warm",
            refer=target.refer,
            refer_to_headers=target.refer_to_headers,
            ring_ms=in_ms(target.ring_s),
            decide_ms=in_ms(accept.within_s),
            before=at_hand(self.before),
            on_failure=at_hand(self.on_failure),
            on_hand_back=at_hand(self.on_hand_back),
            announce=self.announce,
            ask=self.ask or accept.question,
            accept_key=None if accept.by == "speech" else accept.key,
            refuse_key=accept.refuse,
            accept_speech=accept.by != "key",
            hand_back=target.when_person_leaves == "hand_back",
            hand_back_key=self.hand_back_key,
            silent_ms=None,
        )
