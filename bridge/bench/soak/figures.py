"""The figures of a soak, and their verdict. Pure."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from bridge.audio.rings import RESTING_ROWS
from bridge.bench.figures import FigureVerdict
from bridge.clock import NS_PER_S

LONGEST_SILENCE_S = 12.0
"""A dead answer is given up after 10 s (`limits.response_timeout_s`), and a new one begins."""

_PORTS_A_ROW = 3
"""Memory ports: player, capture, eraser; by callbacks it is one."""

MORE_CONNECTIONS = 3
"""The store's tasks (writes, heartbeat, sweep) each keep one from when they first met."""

_HURT_BY_LOAD_MS = 20.0
_NO_SESSION = "session_unavailable,"
"""The Realtime server was away for all of `limits.session_ready_s`: such a call is refused."""


@dataclass(frozen=True, slots=True)
class Happened:
    """A trouble, with its begin and its end on the wall clock."""

    what: str
    began_ns: int
    ended_ns: int

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return (self.ended_ns - self.began_ns) / NS_PER_S


@dataclass(frozen=True, slots=True)
class HeldResources:
    """The tasks, sockets, threads and rows that the gateway holds without calls.

    Attributes:
        files: descriptors that are no sockets; sockets: but for those of Unix.
        unix_sockets: to Redis, and the loop's own.
        rows: of the rings, in use.
        sessions: connections that the simulator has.
    """

    calls: int
    tasks: int
    files: int
    sockets: int
    unix_sockets: int
    threads: int
    rows: int
    conference_ports: int
    sessions: int
    pending_writes: int


@dataclass(frozen=True, slots=True)
class Records:
    """The calls that were placed, beside their records.

    Attributes:
        lines: of calls.jsonl.
        missing: calls that the gateway took, and that have no line.
        twice: calls that have several.
        no_outcome: lines without one.
        active: calls that Redis has among those that go on.
        unended: calls whose hash in Redis has no end.
    """

    lines: int
    missing: Sequence[str] = ()
    twice: Sequence[str] = ()
    no_outcome: Sequence[str] = ()
    active: Sequence[str] = ()
    unended: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """The length, callers and dialects of a soak.

    Attributes:
        people: who call, so calls at once.
        dialects: each person calls one of them.
        seed: of every choice.
    """

    minutes: float
    warm_up_s: float
    people: int
    dialects: Sequence[str]
    seed: int


@dataclass(frozen=True, slots=True)
class SoakResult:
    """The result of a soak.

    Attributes:
        crowd: the callers' own report (:mod:`bridge.bench.soak.crowd`).
        outcomes: calls by outcome and reason, from their records.
        troubles: what went wrong around the gateway, when.
        tools: how the webhook answered.
        before, after: the gateway without calls, after the warm-up and at the end.
        errors: lines of the gateway's log at level error or above, by event.
        exit_code: of the gateway, asked to end.
    """

    machine: Mapping[str, object]
    plan: SoakPlan
    crowd: Mapping[str, object]
    outcomes: Mapping[str, int]
    troubles: Sequence[Happened]
    tools: Mapping[str, int]
    records: Records
    before: HeldResources
    after: HeldResources
    rss_before_bytes: int
    rss_after_bytes: int
    counted: Mapping[str, float]
    errors: Mapping[str, int]
    exit_code: int
    verdicts: Sequence[FigureVerdict] = ()
    doubts: Sequence[str] = field(default=())

    @property
    def ok(self) -> bool:
        """Nothing is worse than it should be."""
        return all(each.ok is not False for each in self.verdicts)

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {"ok": self.ok, **asdict(self)}


def verdicts_on(result: SoakResult) -> list[FigureVerdict]:
    """Judge a run."""
    return [*_of_calls(result), *_of_records(result.records), *_of_leaks(result), *_of_self(result)]


def doubts_about(result: SoakResult) -> list[str]:
    """Return why what was heard can't be trusted: the callers were themselves too slow."""
    doubts = []
    lag_ms = _number(result.crowd["send_lag_p99_ms"])
    if result.crowd["overflowed"]:
        doubts.append(f"the callers lost {result.crowd['overflowed']} packets themselves")
    if lag_ms > _HURT_BY_LOAD_MS:
        doubts.append(f"the callers sent {lag_ms:.0f} ms late (p99)")
    return doubts


def calls_of(crowd: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the calls in the callers' report."""
    calls = crowd["calls"]
    assert isinstance(calls, list)
    return calls


def silences_of(crowd: Mapping[str, object]) -> list[tuple[float, str]]:
    """Return how long callers waited for a sound, ms, and in which call: the shortest first."""
    silences = crowd["silences"]
    assert isinstance(silences, list)
    return sorted((float(ms), str(name)) for ms, name in silences)


def heard(crowd: Mapping[str, object]) -> Mapping[str, float]:
    """Return what callers heard, packet by packet."""
    found = crowd["heard"]
    assert isinstance(found, dict)
    return found


def _of_calls(result: SoakResult) -> Iterator[FigureVerdict]:
    calls = calls_of(result.crowd)
    stuck = [call for call in calls if call["how"] == "no answer" and call["kind"] != "gone"]
    yield _none("requests without an answer", len(stuck))
    refused = Counter(call["status"] for call in calls if call["how"] == "refused")
    refused.pop(487, 0)  # of a CANCEL
    no_session = sum(n for name, n in result.outcomes.items() if name.startswith(_NO_SESSION))
    unexplained = max(0, sum(refused.values()) - no_session)
    yield _none("calls refused, but for want of a session", unexplained)
    silences = silences_of(result.crowd)
    longest_s = silences[-1][0] / 1000 if silences else 0.0
    yield FigureVerdict(
        "longest silence, a caller waiting",
        f"{longest_s:.1f} s",
        f"at most {LONGEST_SILENCE_S:g} s",
        longest_s <= LONGEST_SILENCE_S,
    )
    gaps, longest_ms = heard(result.crowd)["gaps"], heard(result.crowd)["longest_gap_ms"]
    judged = not doubts_about(result)
    spoilt = [each for each in result.troubles if each.what.startswith("Redis")]
    ends_ns = result.crowd["gap_ends_ns"]
    assert isinstance(ends_ns, list)
    meanwhile = sum(any(each.began_ns <= at <= each.ended_ns for each in spoilt) for at in ends_ns)
    yield FigureVerdict(
        "gaps while Redis was in trouble",
        f"{meanwhile} in {sum(each.seconds for each in spoilt):.0f} s",
        "0",
        meanwhile == 0 if judged else None,
    )
    yield FigureVerdict(
        "gaps over 60 ms in the RTP",
        f"{gaps:.0f}, longest {longest_ms:.0f} ms",
        "0",
        gaps == 0 if judged else None,
    )


def _of_records(records: Records) -> Iterator[FigureVerdict]:
    yield _none("calls without a record", len(records.missing))
    yield _none("calls with more than one", len(records.twice))
    yield _none("records without an outcome", len(records.no_outcome))
    yield _none("calls still active in Redis", len(records.active))
    yield _none("calls without an end in Redis", len(records.unended))


def _of_leaks(result: SoakResult) -> Iterator[FigureVerdict]:
    before, after = result.before, result.after
    for what in ("calls", "tasks", "files", "sockets", "rows", "sessions"):
        was, now = getattr(before, what), getattr(after, what)
        name = what.replace("_", " ")
        yield FigureVerdict(f"{name} held without calls", f"{now}", f"{was}, as before", now == was)
    yield _at_most("conference ports", after.conference_ports, most_ports(result.plan.people))
    connections, most = after.unix_sockets, before.unix_sockets + MORE_CONNECTIONS
    yield _at_most("sockets of Unix (to Redis)", connections, most)
    yield _at_most("threads", after.threads, before.threads + pool_threads())
    yield _none("writes that wait for Redis", after.pending_writes)


def _of_self(result: SoakResult) -> Iterator[FigureVerdict]:
    yield _none("errors in the gateway's log", sum(result.errors.values()))
    yield FigureVerdict(
        "exit code of the gateway", f"{result.exit_code}", "0", result.exit_code == 0
    )


def most_ports(people: int) -> int:
    """Return how many conference ports may be there: those of rows are kept when they were used."""
    rows = people + 1 + RESTING_ROWS
    return rows * _PORTS_A_ROW + 1


def pool_threads() -> int:
    """Return how many threads the loop's executor makes at most, as it needs them."""
    return min(32, (os.cpu_count() or 1) + 4)


def _at_most(figure: str, count: int, most: int) -> FigureVerdict:
    return FigureVerdict(figure, f"{count}", f"at most {most}", count <= most)


def _none(figure: str, count: int) -> FigureVerdict:
    return FigureVerdict(figure, f"{count}", "0", count == 0)


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
