"""A dialplan's rules for keeping calls: recording, days of retention, redaction."""

from typing import Self

from pydantic import Field, model_validator

from bridge.config.parts import Part
from bridge.redaction.kinds import DEFAULT_KINDS, Kind


class KeepDays(Part):
    """The days for which the parts of a call are kept, from its begin.

    Attributes:
        audio: the recording; None as long as ``events``.
        transcript: what was said, in the call's record and in the recording's markers; None as
            long as ``events``.
        events: all the rest of what is known of the call; None for ever. What is kept longer would
            have lost its owner, so nothing is.
    """

    audio: int | None = Field(None, ge=1)
    transcript: int | None = Field(None, ge=1)
    events: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _events_last(self) -> Self:
        for name in ("audio", "transcript"):
            days = getattr(self, name)
            if self.events is not None and days is not None and days > self.events:
                raise ValueError(
                    f"should keep '{name}' no longer than 'events' ({self.events} days), which say"
                    " whose it is"
                )
        return self


class Recording(Part):
    """The recording of calls (stereo: caller left, agent as heard right), and its keeping.

    Attributes:
        keep_days: until then, or until it is deleted by hand.
        redact: what is replaced in transcripts before they are written anywhere.
    """

    enabled: bool = True
    keep_days: KeepDays = KeepDays()
    redact: tuple[Kind, ...] = tuple(sorted(DEFAULT_KINDS))
