"""The circumstances of a scripted call: source, target, setup, noise, tools."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from bridge.config.parts import Name, OneOrMore, Part, Text
from bridge.config.tool_templates import ToolName

_OURS = frozenset(
    {"via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "content-length"}
    | {"content-type", "route", "record-route", "allow", "supported", "x-bridge-replay"}
)

NoiseKind = Literal["white", "babble", "street", "office", "music"]


def _may_be_set(name: str) -> str:
    if name.lower() in _OURS:
        raise ValueError("is the phone's own header; use setup.from for the caller's number")
    return name


HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9.!%*_+`'~-]{1,64}$"), AfterValidator(_may_be_set)
]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[^\r\n]{0,500}$")]
CallerNumber = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+*#._-]{1,64}$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class Source(Part):
    """The origin of a script: its author, or the call that it was recorded in.

    Attributes:
        kind: `written` by a person, or `recorded` in a call.
        call: id of the call that it was recorded in.
        consent: what the caller agreed to.
        redaction: how it was redacted.
    """

    kind: Literal["written", "recorded"] = "written"
    call: Text | None = None
    consent: Text | None = None
    redaction: Text | None = None

    @model_validator(mode="after")
    def _recordings_have_provenance(self) -> Self:
        if self.kind == "recorded" and not (self.call and self.consent and self.redaction):
            raise ValueError("a recorded script names its call, consent and redaction")
        return self


class Target(Part):
    """The dialplan and arms that a script calls, and the number of its runs.

    Attributes:
        route: the dialplan that has to take the call; None for any.
        arms: the arms that it is for; empty for those of the command line.
        repeat: how often each arm is called.
        pass_rate: share of the runs that have to pass.
        packs: circumstances that it is played under, too (`bridge replay packs`).
    """

    route: Name | None = None
    arms: OneOrMore[Name] = ()
    repeat: int = Field(1, ge=1, le=100)
    pass_rate: float = Field(1.0, gt=0, le=1)
    packs: OneOrMore[Name] = ()


class Setup(Part):
    """The circumstances that are set up before the call.

    Attributes:
        now: the gateway's date and time, with its offset, like 2026-11-20T18:30:00-05:00.
        vars: `{name}` in texts stands for the value.
        headers: SIP headers of the INVITE.
        from: the caller's number or name.
    """

    now: AwareDatetime | None = None
    vars: dict[Variable, str | int | float] = Field(default_factory=dict)
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    from_: CallerNumber | None = Field(None, alias="from")


class Noise(Part):
    """Noise in the caller's audio, during the words and between them.

    Attributes:
        kind: `white` noise, `babble` of several voices, a `street`, an `office`, or `music`.
        file: a WAV file in place of that; repeated where it is too short.
        snr_db: how much louder than the noise the words are, RMS while somebody speaks.
        seed: the same seed makes the same noise.
    """

    bare: ClassVar[str | None] = "kind"

    kind: NoiseKind | None = None
    file: Path | None = None
    snr_db: float = Field(15.0, ge=-10, le=60)
    seed: int = Field(1, ge=0, le=2**32 - 1)

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.kind is None) is (self.file is None):
            raise ValueError(
                "noise has a kind (white, babble, street, office, music) or a file, one of them"
            )
        return self


class ToolMock(Part):
    """The answer of a tool in this call, in place of its webhook's.

    Attributes:
        name: of the tool.
        returns: its result.
        latency_ms: how long it takes.
        fails: what happens instead: no answer in time, a connection that breaks, HTTP status 500,
            or a body that is no JSON.
    """

    name: ToolName
    returns: JsonValue = None
    latency_ms: int = Field(0, ge=0, le=600_000)
    fails: Literal["timeout", "error", "http_500", "bad_json"] | None = None

    @model_validator(mode="after")
    def _returns_or_fails(self) -> Self:
        if self.fails is not None and self.returns is not None:
            raise ValueError("a tool returns something or fails, not both")
        return self
