"""Settings of what is kept of a call's SIP messages."""

from pydantic import BaseModel, ConfigDict, Field

from bridge.sip.trace import TraceBounds

_KIB = 1024


class SipMessagesSettings(BaseModel):
    """The SIP messages that are kept beside a call's record, without credentials and keys.

    Attributes:
        keep: whether they are kept.
        per_call: messages of one call; of more the first three quarters and the last quarter stay.
        per_call_kib: memory that they take, likewise.
        all_kib: memory for all calls that go on; past it further messages are left out. INVITEs
            that became no call have an eighth as much of their own, for 24 hours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep: bool = True
    per_call: int = Field(400, ge=16, le=10_000)
    per_call_kib: int = Field(256, ge=64, le=4096)
    all_kib: int = Field(32 * _KIB, ge=_KIB, le=_KIB * _KIB)

    def compile(self) -> TraceBounds | None:
        """Return the bounds that are applied; None where nothing is kept."""
        if not self.keep:
            return None
        return TraceBounds(self.per_call, self.per_call_kib * _KIB, self.all_kib * _KIB)
