"""The results of a `bridge replay` run on disk, schema ``replayresults/v1``.

    DIR/results.json                  everything in short
    DIR/runs/<script>/<arm>/<n>/      one call: result.json, call.wav, markers.json, wire.jsonl,
                                      record.json

Files are written whole or not at all. Times ``at_ms`` are ms since the answer on the caller's
clock. Everything that touches the disk blocks.
"""

import enum
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError

from bridge.errors import ConfigError
from bridge.recordings.writing import replace, write_json
from bridge.replay.checks.check import Check
from bridge.replay.checks.protocol import Difference
from bridge.replay.evidence.evidence import WireEvent

RESULTS_FILE = "results.json"
REPORT_FILE = "index.html"
WIRE_FILE = "wire.jsonl"

UNKNOWN = "unknown"

T = TypeVar("T")

JudgeVerdict = Literal["pass", "fail", "inconclusive"]
ArmKind = Literal["live", "emulated", "recorded", "unknown"]


class RunVerdict(enum.StrEnum):
    """What came of a run."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    """Evidence is missing: never a pass."""
    INFRASTRUCTURE = "infrastructure"
    """The run itself could not be done."""


@dataclass(frozen=True, slots=True)
class ArmInfo:
    """An arm, as it was played.

    Attributes:
        url: of the service; of a recorded arm where its wire logs are; :data:`UNKNOWN` of one that
            a running gateway has, and its settings were not given.
        model: :data:`UNKNOWN` of such an arm, too, if no record of a call on it could be read.
        kind: a pass of any but a live arm is never a live pass.
    """

    name: str
    dialect: str
    url: str
    model: str
    voice: str | None
    kind: ArmKind


@dataclass(frozen=True, slots=True)
class ScriptInfo:
    """A script, as it was played.

    Attributes:
        base: id of the script in its file, where it was played under an item of a pack; else "".
        pack, item: which; "" for a script as it is in its file.
    """

    id: str
    path: str
    sha256: str
    tags: tuple[str, ...] = ()
    pass_rate: float = 1.0
    repeat: int = 1
    base: str = ""
    pack: str = ""
    item: str = ""


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """The other calls of a run, and how the machine bore them.

    Attributes:
        calls: that were up beside it, from its begin to its end.
        dropped: of them, ended by the gateway meanwhile.
        underruns: gaps inside an agent's speech, in all calls; ``own_underruns``: in this one.
        late_blocks: agent audio that came after its time.
        long_ticks: ticks of 10 ms that took longer.
        tick_lag_p99_ms, tick_lag_max_ms: how late ticks began, as bounds of a histogram.
        stalls: times that PJSIP's audio clock stood still for 60 ms.
    """

    calls: int
    dropped: int = 0
    underruns: int = 0
    own_underruns: int = 0
    late_blocks: int = 0
    long_ticks: int = 0
    tick_lag_p99_ms: float | None = None
    tick_lag_max_ms: float | None = None
    stalls: int = 0


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One call.

    Attributes:
        number: of the script on this arm, from 1.
        reason: of everything but a pass, in one line: the first broken expectation.
        at_ms: where that was; None where nowhere.
        folder: relative to the results.
        seconds: that it took, preparation included.
        attempts: how often it was placed; the last one is told, and the only one in the folder.
        spoiled_by: why the first attempt did not count: the machine was too busy; "" for one alone.
        cost_usd: by the gateway's record; None where that has none.
        tools_ok, tools_failed: tool calls by their ends; those that nobody waited for are neither.
        texts_usd: of the persona's and the judge's text models; not in ``cost_usd``.
        load: the other calls that went on; None without any.
    """

    script: str
    arm: str
    number: int
    verdict: RunVerdict
    reason: str
    at_ms: int | None
    folder: str
    seconds: float
    attempts: int = 1
    spoiled_by: str = ""
    cost_usd: float | None = None
    tools_ok: int = 0
    tools_failed: int = 0
    texts_usd: float = 0.0
    load: LoadFigures | None = None


@dataclass(frozen=True, slots=True)
class TableRow:
    """A script on an arm, over all runs.

    Attributes:
        placed_again: so many runs have an attempt that did not count (:class:`RunInfo`).
    """

    script: str
    arm: str
    passes: int
    fails: int
    inconclusive: int
    infrastructure: int
    verdict: RunVerdict
    placed_again: int = 0


@dataclass(frozen=True, slots=True)
class PackRow:
    """How the suite did under one circumstance, on one arm.

    Attributes:
        item: its name; "" for the scripts as they are.
        passes: runs that passed, of ``runs``.
        broken: ids of the scripts that did not pass, and do so as they are.
    """

    pack: str
    item: str
    arm: str
    passes: int
    runs: int
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """Of live arms, by usage events and the table of prices, and of personas and judges."""

    spent_usd: float
    cap_usd: float | None


@dataclass(frozen=True, slots=True)
class ProtocolFinding:
    """How an arm's Realtime events differ from those of the run's first arm, in one script."""

    script: str
    arm: str
    reference: str
    difference: Difference


@dataclass(frozen=True, slots=True)
class Results:
    """Everything in short.

    Attributes:
        started_at: ISO 8601, UTC.
        commit: of the working copy; None where there is none.
        version: of the package.
        stopped: why not everything was played; None if it was.
        protocol: of all scripts that more arms than one played.
        packs: the table by circumstance; empty where no pack was played.
        load: other calls that went on beside each one.
    """

    started_at: str
    seconds: float
    commit: str | None
    version: str
    command: str
    arms: tuple[ArmInfo, ...]
    scripts: tuple[ScriptInfo, ...]
    runs: tuple[RunInfo, ...]
    table: tuple[TableRow, ...]
    cost: Cost | None = None
    stopped: str | None = None
    protocol: tuple[ProtocolFinding, ...] = ()
    packs: tuple[PackRow, ...] = ()
    load: int = 0
    schema: Literal["replayresults/v1"] = "replayresults/v1"


@dataclass(frozen=True, slots=True)
class TranscriptTurn:
    """What one side said at a stretch.

    Attributes:
        text: the caller's as scripted, the agent's as the caller's recogniser heard it; None where
            it had none.
        reference: the caller's: the script's words; the agent's: what the gateway says it said.
        recognised: the caller's: the session's input transcript.
        off_script: the talk had left the script by then.
        open_text: the agent's, by a recogniser of any words (``--transcribe``); None without one.
        open_error_rate: its word error rate against ``reference``, or else ``text``.
    """

    speaker: Literal["caller", "agent"]
    text: str | None
    reference: str | None
    recognised: str | None
    start_ms: int
    end_ms: int
    off_script: bool = False
    open_text: str | None = None
    open_error_rate: float | None = None


@dataclass(frozen=True, slots=True)
class TurnStages:
    """Where the time of an agent's turn went (:class:`bridge.telemetry.labels.TurnStage`)."""

    number: int
    stages: Mapping[str, float]
    total_ms: float | None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One call of a tool, as the session saw it."""

    name: str
    arguments: Mapping[str, JsonValue]
    output: str | None
    start_ms: float
    end_ms: float | None
    ok: bool


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that the caller pressed."""

    at_ms: float
    digits: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """A handing over."""

    at_ms: float
    to: str
    way: str
    result: str


@dataclass(frozen=True, slots=True)
class JudgeQuote:
    """What a judge quoted, and who said it when."""

    text: str
    speaker: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A judge's answer to one question.

    Attributes:
        answer: `yes`, `no` or `unclear`; "" where there is none.
        verdict: what counts of it: an answer without a true quote is inconclusive.
        quotes: those that were found in the conversation.
        why: of what is inconclusive.
        model: that was asked, and its host.
    """

    question: str
    expected: str
    answer: str
    verdict: JudgeVerdict
    quotes: tuple[JudgeQuote, ...]
    why: str
    model: str
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class RunDetail:
    """``result.json``: one call.

    Attributes:
        call: :meth:`bridge.replay.results.call.CallResult.as_json`.
        rtp: figures of the caller's stream and of the gateway's.
        off_script_from: from when on the talk had left the script; None if it hadn't.
        why: the reason of the verdict, in one line; "" for a pass.
        switched_off: kinds of the checks that the script's faults switch off.
        judged: the script's questions to a judge, in order.
    """

    call: Mapping[str, JsonValue]
    checks: tuple[Check, ...] = ()
    transcript: tuple[TranscriptTurn, ...] = ()
    turns: tuple[TurnStages, ...] = ()
    tools: tuple[ToolUse, ...] = ()
    dtmf: tuple[Keys, ...] = ()
    transfer: Transfer | None = None
    rtp: Mapping[str, JsonValue] = field(default_factory=dict)
    off_script_from: int | None = None
    why: str = ""
    switched_off: tuple[str, ...] = ()
    judged: tuple[Judged, ...] = ()


@dataclass(frozen=True, slots=True)
class Marker:
    """Something that happened at a moment."""

    at_ms: float
    lane: Literal["caller", "agent", "bridge"]
    kind: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """One call's folder.

    Attributes:
        wire, record: None where they are missing.
        audio: None where there is no file.
    """

    detail: RunDetail
    markers: tuple[Marker, ...] = ()
    wire: tuple[WireEvent, ...] | None = None
    record: Mapping[str, JsonValue] | None = None
    audio: Path | None = None


# Made once: each costs ms, and a report reads hundreds of files.
_RESULTS = TypeAdapter(Results)
_DETAIL = TypeAdapter(RunDetail)
_MARKERS = TypeAdapter(tuple[Marker, ...])
_RECORD = TypeAdapter(dict[str, JsonValue])
_WIRE_EVENT = TypeAdapter(WireEvent)


def folder_of(script: str, arm: str, number: int) -> str:
    """Return where a run's files go, relative to the results."""
    return f"runs/{script}/{arm}/{number}"


def make_table(runs: Iterable[RunInfo], scripts: Iterable[ScriptInfo]) -> tuple[TableRow, ...]:
    """Sum runs up: script by script, its arms in the order of their first run."""
    runs = tuple(runs)
    pass_rates = {script.id: script.pass_rate for script in scripts}
    places = dict.fromkeys((script, run.arm) for script in pass_rates for run in runs)
    rows = []
    for script, arm in places:
        played = [run for run in runs if (run.script, run.arm) == (script, arm)]
        if played:
            rows.append(_row(script, arm, played, pass_rates[script]))
    return tuple(rows)


def _row(script: str, arm: str, runs: Sequence[RunInfo], pass_rate: float) -> TableRow:
    of = Counter(run.verdict for run in runs)
    passes, fails = of[RunVerdict.PASS], of[RunVerdict.FAIL]
    decided = passes + fails
    if decided and passes / decided < pass_rate:
        verdict = RunVerdict.FAIL
    elif of[RunVerdict.INFRASTRUCTURE]:
        verdict = RunVerdict.INFRASTRUCTURE
    else:
        verdict = RunVerdict.PASS if decided else RunVerdict.INCONCLUSIVE
    return TableRow(
        script,
        arm,
        passes,
        fails,
        of[RunVerdict.INCONCLUSIVE],
        of[RunVerdict.INFRASTRUCTURE],
        verdict,
        placed_again=sum(run.attempts > 1 for run in runs),
    )


def sum_load(results: Results) -> str | None:
    """Return how the machine bore the other calls, in one sentence; None where there were none."""
    loads = [run.load for run in results.runs if run.load is not None]
    if not results.load or not loads:
        return None
    lags = [load.tick_lag_max_ms for load in loads if load.tick_lag_max_ms is not None]
    return (
        f"{results.load} other calls beside each one, {sum(load.dropped for load in loads)} of them"
        f" dropped; {sum(load.underruns for load in loads)} gaps in agents' speech"
        f" ({sum(load.own_underruns for load in loads)} in the scripts' own calls),"
        f" {sum(load.late_blocks for load in loads)} pieces of it late,"
        f" {sum(load.long_ticks for load in loads)} ticks too long, the latest one"
        f" {max(lags, default=0.0):g} ms late, {sum(load.stalls for load in loads)} stalls of the"
        " audio clock"
    )


def overall(results: Results) -> RunVerdict:
    """Return the worst of it all: fail, then infrastructure, then inconclusive.

    What was proven broken stays so, whatever else could not be tried. A protocol difference that
    blocks is broken; what was stopped is inconclusive.
    """
    found = {row.verdict for row in results.table}
    if any(finding.difference.blocks for finding in results.protocol):
        found.add(RunVerdict.FAIL)
    if results.stopped is not None:
        found.add(RunVerdict.INCONCLUSIVE)
    order = (RunVerdict.FAIL, RunVerdict.INFRASTRUCTURE, RunVerdict.INCONCLUSIVE, RunVerdict.PASS)
    return next((verdict for verdict in order if verdict in found), RunVerdict.INCONCLUSIVE)


def write_results(directory: Path, results: Results) -> None:
    """Write ``results.json``.

    Raises:
        OSError: the disk refused.
    """
    write_json(directory / RESULTS_FILE, asdict(results))


def read_results(directory: Path) -> Results:
    """Read ``results.json``.

    Raises:
        ConfigError: it is not there, or none of this schema.
    """
    return _read(directory / RESULTS_FILE, _RESULTS)


def write_run(folder: Path, files: RunFiles) -> None:
    """Write one call's files, but for the audio, which lies there already.

    Raises:
        OSError: the disk refused.
    """
    write_json(folder / "result.json", asdict(files.detail))
    write_json(folder / "markers.json", [asdict(marker) for marker in files.markers])
    if files.wire is not None:
        lines = (json.dumps(asdict(event), ensure_ascii=False) + "\n" for event in files.wire)
        replace(folder / WIRE_FILE, "".join(lines).encode())
    if files.record is not None:
        write_json(folder / "record.json", files.record)


def read_run(folder: Path) -> RunFiles:
    """Read one call's files.

    Raises:
        ConfigError: ``result.json`` or ``markers.json`` is missing, or a file is damaged.
    """
    wire, record, audio = folder / WIRE_FILE, folder / "record.json", folder / "call.wav"
    return RunFiles(
        detail=_read(folder / "result.json", _DETAIL),
        markers=_read(folder / "markers.json", _MARKERS),
        wire=_read_lines(wire) if wire.exists() else None,
        record=_read(record, _RECORD) if record.exists() else None,
        audio=audio if audio.exists() else None,
    )


def _read(path: Path, adapter: TypeAdapter[T]) -> T:
    try:
        return adapter.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", path=str(path)) from error
    except ValidationError as error:
        raise _damaged(path, error) from None


def _read_lines(path: Path) -> tuple[WireEvent, ...]:
    try:
        return tuple(_WIRE_EVENT.validate_json(line) for line in path.read_bytes().splitlines())
    except ValidationError as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: ValidationError) -> ConfigError:
    # Its own text repeats what was said.
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return ConfigError(
        f"is no part of results that this version reads: {place}: {first['msg']}",
        path=str(path),
        remedy="run bridge replay again",
    )
