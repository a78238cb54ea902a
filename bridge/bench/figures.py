"""The figures of a run, as they are reported. Pure.

Durations in ms; CPU in percent of one core; memory in bytes. None: not measured.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from bridge.realtime.dialects import SPELLINGS
from bridge.telemetry.scrape import Scrape

_LAG = "bridge_loop_lag_seconds"
_ADDED = "bridge_added_latency_seconds"


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """The calls, times and dialect to measure with.

    Attributes:
        calls: at once; None takes 200, or all that the loaded PJSIP holds.
        rate: calls a second in a ramp.
        hold_s: how long the steady state is measured.
        dialect: of the gateway's arm.
        climb: find out how many calls the bridge and the plain way hold.
        soak: short calls to place instead of all that, after a warm-up; 0: none.
        secure: compare calls over TLS and SRTP with plain ones instead of all that.
        audio: compare calls whose arm has this audio with those of 24 kHz PCM instead; "": don't.
        traces: compare calls that are traced to this collector with others instead; "": don't.
    """

    calls: int | None
    rate: float
    hold_s: float
    dialect: str
    climb: bool
    soak: int = 0
    secure: bool = False
    audio: str = ""
    traces: str = ""

    @property
    def plain_dialect(self) -> str:
        """The plain way's dialect: its code speaks the Realtime API alone."""
        return self.dialect if self.dialect in SPELLINGS else "ga"

    @property
    def compared(self) -> str:
        """The name of the way that is measured in pairs with the ordinary one; "" for none."""
        if self.secure:
            return "secure"
        return "traced" if self.traces else self.audio


@dataclass(frozen=True, slots=True)
class CallSetups:
    """The setups of a ramp's calls; times are INVITE to 200, as the callers saw them."""

    answered: int
    refused: Sequence[int]
    setup_p50_ms: float | None
    setup_p95_ms: float | None
    setup_max_ms: float | None

    @classmethod
    def of(cls, report: Mapping[str, object]) -> "CallSetups":
        """Read the callers' answer to `hold` or `churn`."""
        return cls(**{name: report[name] for name in cls.__slots__})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class HeardWindow:
    """The sound that callers heard for a while (:class:`bridge.bench.hearing.HeardRtp`).

    Attributes:
        calls: that were up.
        seconds: how long it was.
        dropped_calls: that the far end ended.
        overflowed: packets that came and that the callers were too slow to take.
        send_lag_p99_ms: how late the callers sent.
    """

    calls: int
    seconds: float
    packets: int
    lost: int
    late: int
    gaps: int
    longest_gap_ms: float
    dropouts: int
    dropped_calls: int
    overflowed: int
    send_lag_p99_ms: float
    send_lag_max_ms: float

    @classmethod
    def of(cls, report: Mapping[str, object], seconds: float) -> "HeardWindow":
        """Read the callers' answer to `measure`."""
        return cls(seconds=seconds, **report)  # type: ignore[arg-type]

    @property
    def bad_share(self) -> float:
        """Packets lost or late, of those that were due; 1 where none came."""
        due = self.packets + self.lost
        return (self.lost + self.late) / due if due else 1.0


@dataclass(frozen=True, slots=True)
class SpentResources:
    """The CPU and memory that the process under test used while it held ``calls``.

    Attributes:
        cpu_percent: of one core, user and system.
        rss_bytes: at the end.
        bytes_per_call: beyond the first call.
        uplink_share: caller audio that arrived upstream, of what was spoken; None without upstream.
    """

    calls: int
    cpu_percent: float
    rss_bytes: int
    bytes_per_call: float | None
    uplink_share: float | None

    @property
    def cpu_percent_per_call(self) -> float:
        """Share of one core, in percent."""
        return self.cpu_percent / self.calls


@dataclass(frozen=True, slots=True)
class Inside:
    """The gateway's own figures: bounds of histogram buckets, so each is at most so much.

    Attributes:
        lag_*: how late the tick ran.
        up_*: RTP in to append sent.
        down_*: delta received to the frame in which it went out.
        underruns: holes inside an answer, from the first call of the ramp to the end of the last.
    """

    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    up_p50_ms: float
    up_p95_ms: float
    up_p99_ms: float
    down_p50_ms: float
    down_p95_ms: float
    down_p99_ms: float
    underruns: int
    overruns: int

    @classmethod
    def of(cls, held: Scrape, whole: Scrape) -> "Inside":
        """Read two differences of scrapes: over the hold, and over the calls' whole life."""

        def ms(name: str, share: float, **labels: str) -> float:
            return round(held.quantile_s(name, share, **labels) * 1000, 3)

        return cls(
            lag_p50_ms=ms(_LAG, 0.5),
            lag_p99_ms=ms(_LAG, 0.99),
            lag_max_ms=ms(_LAG, 1.0),
            up_p50_ms=ms(_ADDED, 0.5, path="uplink"),
            up_p95_ms=ms(_ADDED, 0.95, path="uplink"),
            up_p99_ms=ms(_ADDED, 0.99, path="uplink"),
            down_p50_ms=ms(_ADDED, 0.5, path="downlink"),
            down_p95_ms=ms(_ADDED, 0.95, path="downlink"),
            down_p99_ms=ms(_ADDED, 0.99, path="downlink"),
            underruns=int(whole.value("bridge_playout_underruns_total")),
            overruns=int(whole.value("bridge_caller_audio_overruns_total")),
        )


@dataclass(frozen=True, slots=True)
class Climb:
    """The number of calls that a way holds.

    Attributes:
        most: the most at which the callers were well served.
        at_limit: it was not found wanting: PJSIP holds no more calls, or no more were tried.
        failed_at: the calls at which it was; None if it never was.
        why: what was wrong there.
    """

    most: int
    at_limit: bool
    failed_at: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class ServingWay:
    """A way to serve calls: the bridge, its floor, or the plain way.

    Attributes:
        ports: how audio gets in and out of PJSIP.
        curve: (s since its start, CPU in percent of one core, resident bytes).
    """

    ports: str
    setup: CallSetups
    window: HeardWindow
    spent: SpentResources
    inside: Inside | None = None
    climb: Climb | None = None
    curve: Sequence[tuple[float, float, int]] = ()


@dataclass(frozen=True, slots=True)
class Soak:
    """Many short calls: what they leave.

    Attributes:
        calls: after the warm-up.
        warm_up_calls: before them; at least as many as PJSIP has places for calls, since it goes
            round them, and each takes its memory with its first call and keeps it.
        rss_idle_bytes: before any call.
        rss_before_bytes: after the warm-up, with no call up.
        rss_after_bytes: after the last, with no call up.
    """

    calls: int
    warm_up_calls: int
    rate: float
    setup: CallSetups
    rss_idle_bytes: int
    rss_before_bytes: int
    rss_after_bytes: int

    @property
    def growth_percent(self) -> float:
        """Of the resident size."""
        return (self.rss_after_bytes / self.rss_before_bytes - 1) * 100


@dataclass(frozen=True, slots=True)
class FigureVerdict:
    """A figure beside what it should be; ``ok`` None: too few calls to judge."""

    figure: str
    value: str
    wanted: str
    ok: bool | None


@dataclass(frozen=True, slots=True)
class BenchResult:
    """The result of a run.

    Attributes:
        machine: what it ran on.
        pjsip: which build, how many calls it holds.
        pairs: CPU in percent of a core of ordinary calls, and of those that are compared with them,
            right before or after.
        doubts: why the figures can't be trusted; none is good.
    """

    machine: Mapping[str, object]
    pjsip: Mapping[str, object]
    plan: Mapping[str, object]
    ways: Mapping[str, ServingWay] = field(default_factory=dict)
    soak: Soak | None = None
    pairs: Sequence[tuple[float, float]] = ()
    ratios: Mapping[str, float] = field(default_factory=dict)
    verdicts: Sequence[FigureVerdict] = ()
    doubts: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """No figure is worse than it should be."""
        return all(each.ok is not False for each in self.verdicts)

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {"ok": self.ok, **_plain(asdict(self))}


def _plain(value: dict[str, object]) -> dict[str, object]:
    """Replace what JSON has no number for: NaN is null, beyond the last bucket is a word."""

    def clean(each: object) -> object:
        if isinstance(each, dict):
            return {name: clean(inner) for name, inner in each.items()}
        if isinstance(each, list | tuple):
            return [clean(inner) for inner in each]
        if isinstance(each, float) and not math.isfinite(each):
            return None if math.isnan(each) else "beyond the last bucket"
        return each

    return {name: clean(each) for name, each in value.items()}
