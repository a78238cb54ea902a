"""Label values of the metrics: closed sets, and a guard for the words that a server chooses.

A label is never a call id, a number, an address or free text (`NEEDS.md` section 3).
"""

import enum
import re

OTHER = "other"
"""Stands for every value beyond a guard's limit or shape."""

SIP = "sip"
"""The dialect, in records, metrics and traces, of an arm that is a SIP URI."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


class TurnStage(enum.StrEnum):
    """Stages of one agent turn, in order; they add up to it."""

    CAPTURE = "capture"
    """The caller's last sound in the rx ring, to its append handed to the session."""
    UPLINK = "uplink"
    """To the socket, the wait in the write queue included."""
    ENDPOINT = "endpoint"
    """To speech_stopped."""
    MODEL = "model"
    """To response.created."""
    TOOL = "tool"
    """To response.created of the answer that follows a tool."""
    FIRST_DELTA = "first_delta"
    """To the first audio read from the socket."""
    DOWNLINK = "downlink"
    """To its first sample in the tx ring."""
    PLAYBACK = "playback"
    """To PJSIP's taking it."""

    @property
    def label(self) -> str:
        """The value in `bridge_turn_stage_seconds`, where the two last stages have words of their
        own (`NEEDS.md` section 3)."""
        return {TurnStage.DOWNLINK: "transcode", TurnStage.PLAYBACK: "pacing"}.get(self, self.value)


INFERENCE = (TurnStage.ENDPOINT, TurnStage.MODEL, TurnStage.TOOL, TurnStage.FIRST_DELTA)
"""The service's part, the network to it and back included."""


class CallAge(enum.StrEnum):
    """The age of a call at one of its turns.

    Replies that take 1 to 2 s at first were seen to take 6 to 8 s after some 9 minutes (`NEEDS.md`
    section 3).
    """

    UNDER_2_MIN = "under_2m"
    UNDER_5_MIN = "2m_to_5m"
    UNDER_9_MIN = "5m_to_9m"
    LONGER = "over_9m"

    @classmethod
    def of(cls, age_s: float) -> "CallAge":
        """Return the class of an age."""
        edges = ((120, cls.UNDER_2_MIN), (300, cls.UNDER_5_MIN), (540, cls.UNDER_9_MIN))
        return next((age for edge_s, age in edges if age_s < edge_s), cls.LONGER)


class Path(enum.StrEnum):
    """A direction in which the bridge adds latency: RTP in to append, or delta to RTP out."""

    UPLINK = "uplink"
    DOWNLINK = "downlink"


class ReloadResult(enum.StrEnum):
    """The result of reading the dialplans again."""

    OK = "ok"
    FAILED = "failed"


class PromptResult(enum.StrEnum):
    """The result of announcing the AI and the recording to a caller."""

    HEARD = "heard"
    """To its end."""
    AGREED = "agreed"
    """After they were asked, or by staying on the line."""
    REFUSED = "refused"
    NOT_SPOKEN = "not_spoken"
    """It could not be said, which is as good as refused."""


class By(enum.StrEnum):
    """The one who interrupted."""

    CALLER = "caller"
    AGENT = "agent"


class InterruptionKind(enum.StrEnum):
    """The kind of speech that an interruption turned out to be."""

    TRUE = "true"
    FALSE = "false"
    BACKCHANNEL = "backchannel"
    MISSED = "missed"


class InterruptionResult(enum.StrEnum):
    """The way in which the talk goes on after the caller has cut the agent off."""

    RECOVERED = "recovered"
    """The caller's new turn was answered in time."""
    LATE = "late"
    SESSION_LOST = "session_lost"
    """The session was lost before the answer."""
    TRUNCATION_REFUSED = "truncation_refused"
    """The service goes on believing that the caller heard all of it."""


class DeadAirCause(enum.StrEnum):
    """The party that the caller was waiting for."""

    GREETING = "greeting"
    MODEL = "model"
    TOOL = "tool"
    UPSTREAM = "upstream"
    BRIDGE = "bridge"
    """The process stood still."""
    UNKNOWN = "unknown"


class UpstreamPhase(enum.StrEnum):
    """The phase in which a Realtime connection ended."""

    SETUP = "setup"
    """Before the session was set up."""
    TALK = "talk"
    CLOSE = "close"
    """By us, in order."""


class TransferKind(enum.StrEnum):
    """The way in which a call is handed over."""

    BLIND = "blind"
    """By REFER."""
    BRIDGED = "bridged"
    """The bridge dials and joins the two calls."""
    WARM = "warm"
    """The same, and the person is asked first."""
    CONSOLE = "console"
    """Somebody has accepted it out of the console's queue."""


class BilledToken(enum.StrEnum):
    """The price class of a token."""

    IN = "in"
    OUT = "out"
    CACHED = "cached"
    WRITTEN = "written"
    """Read, and written to the cache."""


class Modality(enum.StrEnum):
    """The content of a token."""

    TEXT = "text"
    AUDIO = "audio"
    IMAGE = "image"


class SipDirection(enum.StrEnum):
    """Of RTP and SIP, seen from the bridge."""

    IN = "in"
    OUT = "out"


class DtmfMethod(enum.StrEnum):
    """The way in which a digit came."""

    RFC4733 = "rfc4733"
    INFO = "info"
    INBAND = "inband"


class DtmfResult(enum.StrEnum):
    """The use that a digit was put to."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"


SIP_METHODS = frozenset(
    {
        *("ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK"),
        *("PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"),
    }
)
"""All that are registered (IANA, SIP parameters, methods)."""

_SIP_CODES = frozenset(
    str(code)
    for code in (
        *(100, *range(180, 184), 199, 200, 202, 204, *range(300, 303), 305, 380),
        *range(400, 411),
        *range(412, 418),
        *(420, 421, 422, 423, 424, 425, 428, 429, 430, 433, 436, 437, 438, 439, 440, 469, 470),
        *range(480, 490),
        *(491, 493, 494, *range(500, 506), 513, 555, 580, 600, 603, 604, 606, 607, 608),
    )
)
"""All that are registered (IANA, SIP parameters, response codes)."""


def sip_method(method: str) -> str:
    """Return a SIP method as a label value: strangers make their own up."""
    return method if method in SIP_METHODS else OTHER


def sip_code(code: str) -> str:
    """Return a SIP status as a label value."""
    return code if code in _SIP_CODES else OTHER


class LabelGuard:
    """Lets the first distinct words through and turns the rest into ``other``.

    Args:
        limit: distinct values let through in the life of the process.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        """Return ``value`` if it may be a label value, else ``other``."""
        if value in self._seen:
            return value
        # Six digits in a row are no error or close code: they are a number or an id.
        if len(self._seen) >= self._limit or not _WORD.fullmatch(value) or _LONG_NUMBER(value):
            return OTHER
        self._seen.add(value)
        return value


_LONG_NUMBER = re.compile(r"[0-9]{6}").search
