"""The people who may get a call, by the agent's wish or as its fallback. Times in milliseconds."""

from dataclasses import dataclass

TRANSFER_TIMEOUT_MS = 40_000
"""Ten rings: a person takes longer than a queue."""


@dataclass(frozen=True, slots=True)
class HandoffTarget:
    """One person or queue to whom a call may be handed, and the way in which it is done.

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
    """

    name: str
    to: str
    warm: bool = False
    refer: bool = True
    refer_to_headers: bool = True
    ring_ms: int = 30_000
    decide_ms: int = 20_000
    before: str | None = None
    on_failure: str | None = None
    on_hand_back: str | None = None
    announce: str = ""
    ask: str = ""
    accept_key: str | None = "1"
    refuse_key: str | None = "2"
    accept_speech: bool = False
    hand_back: bool = False
    hand_back_key: str | None = None


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """The way on for a call whose session can't be had (again).

    Phrases are None where there are none, or where they could not be rendered; then a tone is
    heard in their place.

    Attributes:
        say: what the caller is told.
        transfer_to: who then gets the call; None to hang up.
        say_if_failed: what the caller is told when they could not be put through.
        answers: a call that still rings is answered for it; else it is refused with 503.
        is_apology: ``say`` is the bridge's own, for a call that was answered already: no reason to
            answer one that a carrier may take elsewhere.
    """

    say: str | None = None
    transfer_to: HandoffTarget | None = None
    say_if_failed: str | None = None
    answers: bool = False
    is_apology: bool = False

    @property
    def heard(self) -> bool:
        """Whether the dialplan has more for the caller than a tone."""
        return (self.say is not None and not self.is_apology) or self.transfer_to is not None
