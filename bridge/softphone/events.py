"""The events that a softphone publishes during a call.

Named in the past tense or for what was noticed; frozen. ``at_ms`` counts from the moment the call
was answered, on the audio clock of the phone's own ring.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CallProgress:
    """The INVITE session's state changed.

    Attributes:
        state: calling, early, confirmed or disconnected.
        sip_code: last SIP status of the INVITE; 0 while there is none.
    """

    state: str
    sip_code: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class AgentSpeech:
    """The agent began or ceased to be heard."""

    started: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class Spoke:
    """The caller's own audio began to go out, or had gone out."""

    text: str
    started: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class KeysPressed:
    """RFC 4733 digits began to go out."""

    digits: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Held:
    """The far end put us on hold, or took us back."""

    held: bool
    at_ms: int


PhoneEvent = CallProgress | AgentSpeech | Spoke | KeysPressed | Held


class SoftphoneListener(Protocol):
    """The interface of whatever follows a softphone."""

    def __call__(self, event: PhoneEvent, /) -> None:
        """Take an event, in the loop's thread."""
