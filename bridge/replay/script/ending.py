"""A script's expectations of a call's end, and of the call as a whole."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from bridge.config.parts import OneOrMore, Part, Text
from bridge.errors import Outcome

RedisField = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class Ending(Part):
    """The end that the call has to come to.

    Attributes:
        state: the outcome in the gateway's record.
        sip_code: the last SIP status of the INVITE; with a refusal no answer is expected.
        by: who has to hang up; with `bridge`, the caller waits for it after the last step.
        max_duration_s: the caller hangs up then at the latest, and the call counts as broken.
        after_s: the caller stays on the line until the call is so old, and hangs up then, even in
            the middle of a step.
        must_say: words that the agent says somewhere in the call.
        must_not_say: words that the agent never says.
        recording: what the gateway recorded: `present`, `absent`, or `paused` for a part.
        redis: fields of the call's hash at its end; one between slashes is a pattern.
        no_dead_air_over_ms: longest time in which nobody is heard.
        talk_over_under_ms: how long both sides may speak at once, in the whole call.
        faults_seen: error codes and losses in the gateway's record of the call.
        loss_up_to_pct: share of packets that may be lost on one way for a verdict to rest on the
            call. Up to 10% numbers are still understood; a script that is about more says so.
    """

    state: Outcome | None = None
    sip_code: int | None = Field(None, ge=100, le=699)
    by: Literal["caller", "bridge", "anyone"] = "caller"
    max_duration_s: float = Field(120.0, gt=0, le=3600)
    after_s: float | None = Field(None, gt=0, le=3600)
    must_say: OneOrMore[Text] = ()
    must_not_say: OneOrMore[Text] = ()
    recording: Literal["present", "absent", "paused"] | None = None
    redis: dict[RedisField, str | int | float] = Field(default_factory=dict)
    no_dead_air_over_ms: int | None = Field(None, ge=100, le=120_000)
    talk_over_under_ms: int | None = Field(None, ge=1, le=600_000)
    faults_seen: OneOrMore[Text] = ()
    loss_up_to_pct: float = Field(10.0, ge=0, le=100)
