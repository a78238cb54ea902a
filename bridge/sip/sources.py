"""Decides by its source whether a SIP request is served, refused or dropped. Pure.

    of a trunk, or of this machine      served, within the trunk's rate
    of a call that goes on              served: a far end that the bridge has called is in no trunk
    of a stranger                       as the settings say: refused, dropped or served
    of a user, with credentials         served as the trunk's that the user counts as
    of a stranger, where users are      challenged; an answer, too, and no more than a few a second
    of a stranger that scans            dropped: an answer is what a scanner looks for
    over a source's rate                dropped before the message is read; a new call: refused

A rate is a token bucket by address, or by the /64 of an IPv6 address, and one by trunk. Strangers
share one for the refusals that are sent: a forged source must not turn the bridge into a sender of
somebody else's choosing.
"""

import enum
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Literal, Self

from bridge.clock import NS_PER_S
from bridge.errors import NotPlaced
from bridge.sip.users import DigestFault, PresentedRequest, Users

Strangers = Literal["refuse", "drop", "answer"]

MOST_ADDRESSES = 4_096
"""Whose rates are known at once; the one that was silent longest is forgotten for a new one."""

BURST_S = 2.0
"""How much of its rate a source may use up at once: a retransmission comes after 0.5, 1, 2 s
(RFC 3261 section 17.1.1.2)."""

REFUSALS_PER_S = 50.0
"""Sent to all strangers together, challenges among them."""

CHALLENGES_PER_S = 5.0
"""Sent to one address from which nobody has authenticated lately."""

FAILURES_PER_S = 0.5
"""Wrong secrets that are heard from one address; for half a minute of them at once."""
_FAILURES_AT_ONCE = 15

_SCANNERS = (
    *("friendly-scanner", "friendly-request", "sipvicious", "sundayddr", "sip-scan", "sipscan"),
    *("sipcli", "vaxsipuseragent", "pplsip", "iwar", "sivus", "smap", "siparmyknife", "gulp"),
)
"""User-Agents of tools that look for open gateways, as they write them, in lower case."""


def counted_by(host: str) -> str:
    """Return what a stranger's requests and calls are counted by: its address, or its /64.

    One host may use every address of its /64 (RFC 8981), which is the least that a customer gets
    (RFC 6177): by single addresses each datagram of a flood would have a bucket of its own.

    Args:
        host: an IPv4 or IPv6 address.
    """
    return IPv6Address(host).packed[:8].hex() if ":" in host else host


class SourceVerdict(enum.Enum):
    """What is done with a request."""

    SERVE = enum.auto()
    REFUSE = enum.auto()
    CHALLENGE = enum.auto()
    DROP = enum.auto()


class TurnedAway(enum.StrEnum):
    """Why a request is not served; a label of metrics."""

    STRANGER = "stranger"
    SCANNER = "scanner"
    RATE = "rate"
    TRANSPORT = "transport"
    CHALLENGED = "challenged"
    """It had no credentials, as the first request of every user."""
    MALFORMED = "malformed"
    STALE = "stale"
    CREDENTIALS = "credentials"
    URI = "uri"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class SourceJudgement:
    """A verdict and its reason; None where the request is served.

    Attributes:
        trunk: that a user counts as; "" for everybody else.
    """

    verdict: SourceVerdict
    reason: TurnedAway | None = None
    trunk: str = ""


SERVED = SourceJudgement(SourceVerdict.SERVE)


@dataclass(frozen=True, slots=True)
class SourceBounds:
    """The most that one source may send; None for any number."""

    requests_per_s: float | None = None
    calls_per_s: float | None = None
    max_calls: int | None = None


UNLIMITED = SourceBounds()


@dataclass(slots=True)
class TokenBucket:
    """A token bucket, full at first.

    Attributes:
        per_s: tokens that it gets back in a second.
        burst: tokens that it holds, at least one.
    """

    per_s: float
    burst: float
    _tokens: float = field(init=False)
    _filled_ns: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def take(self, now_ns: int) -> bool:
        """Take a token; return whether there was one."""
        if not self.holds(now_ns):
            return False
        self._tokens -= 1
        return True

    def holds(self, now_ns: int) -> bool:
        """Return whether there is a token."""
        if self._filled_ns is not None:
            gained = max(now_ns - self._filled_ns, 0) * self.per_s / NS_PER_S
            self._tokens = min(self._tokens + gained, self.burst)
        self._filled_ns = now_ns
        return self._tokens >= 1


def _bucket(per_s: float | None) -> TokenBucket | None:
    return None if per_s is None else TokenBucket(per_s, max(per_s * BURST_S, 1))


@dataclass(slots=True)
class _Meter:
    """One source's requests, its new calls, and those that are placed there."""

    requests: TokenBucket | None
    calls: TokenBucket | None
    dialled: TokenBucket | None
    max_calls: int | None
    challenges: TokenBucket = field(
        default_factory=lambda: TokenBucket(CHALLENGES_PER_S, CHALLENGES_PER_S * BURST_S)
    )
    failures: TokenBucket = field(
        default_factory=lambda: TokenBucket(FAILURES_PER_S, _FAILURES_AT_ONCE)
    )
    authenticated: bool = False

    @classmethod
    def of(cls, limits: SourceBounds) -> Self:
        calls, dialled = _bucket(limits.calls_per_s), _bucket(limits.calls_per_s)
        return cls(_bucket(limits.requests_per_s), calls, dialled, limits.max_calls)


class RequestSources:
    """Judges requests by the address that they came from.

    Args:
        trunk_of: names the trunk of an address; "" for this machine, None for a stranger.
        trunks: limits by trunk; one that isn't listed has none.
        strangers: what happens to requests of strangers outside of calls.
        limits: of each stranger's address.
        users: who may authenticate; None for nobody.
    """

    def __init__(
        self,
        trunk_of: Callable[[str], str | None],
        trunks: Mapping[str, SourceBounds],
        strangers: Strangers,
        limits: SourceBounds,
        users: Users | None = None,
    ) -> None:
        self._trunk_of = trunk_of
        self._strangers = strangers
        self._limits = limits
        self._users = users
        self._bounds: Mapping[str, SourceBounds] = {}
        self._of_trunks: Mapping[str, _Meter] = {}
        self.take_trunks(trunks)
        self._of_strangers: OrderedDict[str, _Meter] = OrderedDict()
        self._refusals = TokenBucket(REFUSALS_PER_S, REFUSALS_PER_S * BURST_S)

    def take_trunks(self, trunks: Mapping[str, SourceBounds]) -> None:
        """Take other limits by trunk; one whose limits stay is where it was."""
        self._of_trunks = {
            name: self._of_trunks[name] if self._bounds.get(name) == each else _Meter.of(each)
            for name, each in trunks.items()
        }
        self._bounds = dict(trunks)

    def over_rate(self, host: str, now_ns: int) -> bool:
        """Count a request, whatever it is; return whether its source sends too many of them."""
        meter = self._meter(host)
        return meter is not None and meter.requests is not None and not meter.requests.take(now_ns)

    def knows(self, host: str) -> bool:
        """Return whether an address is a trunk's, or this machine's."""
        return self._trunk_of(host) is not None

    def trunk_at(self, host: str) -> str:
        """Return the trunk of an address, "" for none."""
        return self._trunk_of(host) or ""

    def serves(self, host: str) -> bool:
        """Return whether requests outside of calls are served from an address."""
        return self.knows(host) or self._strangers == "answer"

    def judge(self, host: str, request: PresentedRequest, now_ns: int) -> SourceJudgement:
        """Judge a request outside of calls, whose source does not send too many.

        Args:
            host: the address that it came from.
            request: its sender's agent and credentials.
            now_ns: monotonic.
        """
        if self.knows(host):
            return SERVED
        judgement = self._judge_user(host, request, now_ns)
        if judgement.verdict is SourceVerdict.SERVE or self.serves(host):
            return SourceJudgement(SourceVerdict.SERVE, trunk=judgement.trunk)
        agent = request.user_agent.lower()
        if any(scanner in agent for scanner in _SCANNERS):
            return SourceJudgement(SourceVerdict.DROP, TurnedAway.SCANNER)
        return self._answer(host, judgement, now_ns)

    def challenges(self, host: str, reason: TurnedAway, now_ns: int) -> tuple[str, ...]:
        """Return the WWW-Authenticate headers for a request that is challenged."""
        stale = reason is TurnedAway.STALE
        return self._users.challenges(host, now_ns, stale=stale) if self._users else ()

    def _judge_user(self, host: str, request: PresentedRequest, now_ns: int) -> SourceJudgement:
        """Judge a stranger by their credentials, as if every answer could be sent."""
        users, meter = self._users, self._meter_of_stranger(host)
        if users is None or (
            self._strangers == "drop" and request.method != "INVITE" and not request.authorizations
        ):
            return SourceJudgement(SourceVerdict.REFUSE, TurnedAway.STRANGER)
        if not request.authorizations:
            return SourceJudgement(SourceVerdict.CHALLENGE, TurnedAway.CHALLENGED)
        if not meter.failures.holds(now_ns):
            return SourceJudgement(SourceVerdict.DROP, TurnedAway.RATE)
        trunk = users.judge(request, host, now_ns)
        if isinstance(trunk, DigestFault):
            if trunk is DigestFault.CREDENTIALS:
                meter.failures.take(now_ns)
            return SourceJudgement(SourceVerdict.CHALLENGE, TurnedAway(trunk.value))
        meter.authenticated = True
        return SourceJudgement(SourceVerdict.SERVE, trunk=trunk)

    def _answer(self, host: str, judgement: SourceJudgement, now_ns: int) -> SourceJudgement:
        """Take the answer's price; who can't have one gets nothing."""
        match judgement.verdict:
            case SourceVerdict.REFUSE:
                paid = self._strangers == "refuse" and self._refusals.take(now_ns)
            case SourceVerdict.CHALLENGE:
                meter = self._meter_of_stranger(host)
                paid = meter.authenticated or (
                    meter.challenges.take(now_ns) and self._refusals.take(now_ns)
                )
            case _:
                paid = False
        return judgement if paid else SourceJudgement(SourceVerdict.DROP, judgement.reason)

    def admits_call(self, host: str, now_ns: int, *, calls: int, trunk: str = "") -> bool:
        """Count a new call; return whether its source has and begins no more than it may.

        To be asked once for each INVITE: behind the transactions, which take its copies.

        Args:
            host: the address that it came from.
            now_ns: monotonic.
            calls: with the same trunk, or stranger, that go on.
            trunk: of a user; "" where the address says which.
        """
        meter = self._of_trunks.get(trunk) if trunk else self._meter(host)
        if meter is None:
            return True
        if meter.max_calls is not None and calls >= meter.max_calls:
            return False
        return meter.calls is None or meter.calls.take(now_ns)

    def judge_dial(self, trunk: str, now_ns: int, *, calls: int) -> NotPlaced | None:
        """Count a call that is about to be placed; return why it may not be, None where it may.

        Args:
            trunk: that it goes to; one without limits takes any.
            now_ns: monotonic.
            calls: with the trunk that go on, either way.
        """
        meter = self._of_trunks.get(trunk)
        if meter is None:
            return None
        if meter.max_calls is not None and calls >= meter.max_calls:
            return NotPlaced.TRUNK_FULL
        if meter.dialled is not None and not meter.dialled.take(now_ns):
            return NotPlaced.TRUNK_TOO_FAST
        return None

    def _meter(self, host: str) -> _Meter | None:
        """Return the meter of a trunk or of a stranger's address; None for this machine's."""
        trunk = self._trunk_of(host)
        if trunk is not None:
            return self._of_trunks.get(trunk)
        return self._meter_of_stranger(host)

    def _meter_of_stranger(self, host: str) -> _Meter:
        source = counted_by(host)
        meter = self._of_strangers.get(source)
        if meter is None:
            meter = self._of_strangers[source] = _Meter.of(self._limits)
            if len(self._of_strangers) > MOST_ADDRESSES:
                self._of_strangers.popitem(last=False)
        self._of_strangers.move_to_end(source)
        return meter
