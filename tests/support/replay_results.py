"""Results of a replay that never was: complete folders after the schema, made in a moment.

For whatever reads results. A call is a caller's question and the agent's answer a few times over,
with an interruption; what is to differ is said in a :class:`Plan`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from bridge.audio.wav import write_wav
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.evidence.evidence import WireEvent
from bridge.replay.results.detail import (
    Marker,
    PressedKeys,
    RunDetail,
    RunFiles,
    ToolUse,
    TranscriptTurn,
    TurnStages,
)
from bridge.replay.results.files import folder_of, write_results, write_run
from bridge.replay.results.run import ArmInfo, Results, RunInfo, RunVerdict, ScriptInfo, make_table

HZ = 8000
TOO_BUSY = "the machine was too busy to tell (the gateway waited 340 ms of one second for a CPU)"
_ANSWERED_NS = 1_800_000_000_000_000_000
_TURNS = (
    ("Where is my order?", "Your order shipped on Monday and should arrive on Thursday."),
    ("What is on my invoice?", "Your last invoice was forty two dollars."),
    ("That is all, thank you.", "Goodbye."),
)
_ASK_MS, _ANSWER_MS = 1_400, 2_600
_DELTA = {
    "ga": "response.output_audio.delta",
    "beta": "response.audio.delta",
}

ARMS = (
    ArmInfo("beta", "beta", "ws://127.0.0.1:1/v1/realtime", "gpt-4o", "alloy", "emulated"),
    ArmInfo("ga", "ga", "wss://api.example.com/v1/realtime", "gpt-realtime", "marin", "live"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Runs of one script on one arm.

    Attributes:
        verdicts: one a run.
        latency_ms: of the agent's answers.
        misheard: the agent's second answer has another number.
        tool: the second answer needed one.
        lost_evidence: no wire log and no record was kept.
        unknown_event: the wire log has an event that the dialect does not know.
        again: numbers of the runs whose first attempt the machine was too busy for.
    """

    script: str
    arm: str
    verdicts: tuple[str, ...] = ("pass",)
    latency_ms: int = 700
    misheard: bool = False
    tool: bool = False
    lost_evidence: bool = False
    unknown_event: bool = False
    again: tuple[int, ...] = ()


EXAMPLE = (
    Plan("order_status", "beta", ("pass", "pass", "pass")),
    Plan("order_status", "ga", ("pass", "pass", "pass"), latency_ms=640),
    Plan("invoice_number", "beta", ("pass", "pass", "pass"), tool=True),
    Plan("invoice_number", "ga", ("fail", "fail", "pass"), misheard=True, tool=True),
    Plan("slow_answers", "beta", ("pass",), latency_ms=820),
    Plan("slow_answers", "ga", ("fail",), latency_ms=2_350, unknown_event=True),
    Plan("no_wire_log", "beta", ("inconclusive",), lost_evidence=True),
    Plan("no_wire_log", "ga", ("pass",)),
    Plan("refused", "ga", ("infrastructure",), lost_evidence=True),
)


def write_example(directory: Path, plans: Sequence[Plan] = EXAMPLE) -> Results:
    """Write results with all their runs; return what ``results.json`` holds."""
    runs = []
    for plan in plans:
        for number, verdict in enumerate(plan.verdicts, start=1):
            info = _run_info(plan, number, RunVerdict(verdict))
            write_run(directory / info.folder, _run_files(plan, info))
            if info.verdict is not RunVerdict.INFRASTRUCTURE:
                _write_audio(directory / info.folder / "call.wav", plan)
            runs.append(info)
    names = dict.fromkeys(plan.script for plan in plans)
    scripts = tuple(
        ScriptInfo(name, f"call_scripts/{name}.yaml", "0" * 64, ("regression",), 1.0, 3)
        for name in names
    )
    results = Results(
        started_at="2026-11-21T18:00:00+00:00",
        seconds=123.4,
        commit="bbc47e5",
        version="0.1.0",
        command="bridge replay call_scripts --arm beta --arm ga --repeat 3",
        arms=ARMS,
        scripts=scripts,
        runs=tuple(runs),
        table=make_table(runs, scripts),
    )
    write_results(directory, results)
    return results


def _run_info(plan: Plan, number: int, verdict: RunVerdict) -> RunInfo:
    check = _broken(plan, verdict)
    return RunInfo(
        script=plan.script,
        arm=plan.arm,
        number=number,
        verdict=verdict,
        reason="" if check is None else str(check),
        at_ms=None if check is None else check.at_ms,
        folder=folder_of(plan.script, plan.arm, number),
        seconds=21.5,
        attempts=2 if number in plan.again else 1,
        spoiled_by=TOO_BUSY if number in plan.again else "",
    )


def _broken(plan: Plan, verdict: RunVerdict) -> Check | None:
    answer_ms = _spans(plan)[1][1]
    match verdict:
        case RunVerdict.PASS:
            return None
        case RunVerdict.FAIL if plan.misheard:
            found = 'it said "Your last invoice was forty dollars."'
            return Check(
                2, "numbers", "the number 42", found, CheckStatus.FAIL, answer_ms, "bridge"
            )
        case RunVerdict.FAIL:
            found = f"it took {plan.latency_ms} ms"
            expected = "the agent within 1500 ms"
            return Check(1, "within_ms", expected, found, CheckStatus.FAIL, answer_ms, "provider")
        case RunVerdict.INCONCLUSIVE:
            found = "there is no record of this call"
            return Check(None, "redis", "outcome completed", found, CheckStatus.INCONCLUSIVE)
        case RunVerdict.INFRASTRUCTURE:
            found = "nothing that speaks SIP reacts at sip:support@127.0.0.1:5060"
            return Check(None, "answer", "an answer", found, CheckStatus.INCONCLUSIVE)


def _run_files(plan: Plan, info: RunInfo) -> RunFiles:
    if info.verdict is RunVerdict.INFRASTRUCTURE:
        return RunFiles(RunDetail(call={"ok": False, "outcome": "failed"}, why=info.reason))
    broken = _broken(plan, info.verdict)
    good = Check(1, "text_contains", 'the agent to say "shipped"', "it did", CheckStatus.PASS)
    detail = RunDetail(
        call={"ok": info.verdict is RunVerdict.PASS, "outcome": "answered", "sip_code": 200},
        checks=(good,) if broken is None else (good, broken),
        transcript=tuple(_transcript(plan)),
        turns=tuple(
            TurnStages(
                number,
                {
                    "capture": 40.0,
                    "uplink": 0.3,
                    "endpoint": 510.0,
                    "model": 35.0,
                    "first_delta": plan.latency_ms - 610.0,
                    "downlink": 9.5,
                    "playback": 15.2,
                },
                float(plan.latency_ms),
            )
            for number in range(1, len(_TURNS) + 1)
        ),
        tools=_tools(plan),
        dtmf=(PressedKeys(300.0, "1#"),),
        rtp={"caller": {"packets": 1200, "lost": 0, "jitter_ms": 1.5}},
        why=info.reason,
    )
    if plan.lost_evidence:
        return RunFiles(detail, _markers(plan))
    return RunFiles(detail, _markers(plan), _wire(plan), {"outcome": "completed", "arm": plan.arm})


def _spans(plan: Plan) -> list[tuple[int, int, int]]:
    """Return for each turn when the question begins, and when the answer begins and ends."""
    each_ms = _ASK_MS + plan.latency_ms + _ANSWER_MS + 800
    starts = [500 + number * each_ms for number in range(len(_TURNS))]
    return [
        (start, start + _ASK_MS + plan.latency_ms, start + _ASK_MS + plan.latency_ms + _ANSWER_MS)
        for start in starts
    ]


def _transcript(plan: Plan) -> list[TranscriptTurn]:
    turns = []
    for (asked, said), (ask_ms, from_ms, to_ms) in zip(_TURNS, _spans(plan), strict=True):
        heard = said.replace("forty two", "forty") if plan.misheard else said
        recognised = asked.replace("order", "older") if plan.arm == "ga" else asked
        turns += [
            TranscriptTurn("caller", asked, asked, recognised, ask_ms, ask_ms + _ASK_MS),
            TranscriptTurn("agent", heard, said, None, from_ms, to_ms),
        ]
    return turns


def _tools(plan: Plan) -> tuple[ToolUse, ...]:
    if not plan.tool:
        return ()
    start_ms = _spans(plan)[1][1] - 400.0
    arguments: dict[str, JsonValue] = {"account": "1234"}
    return (
        ToolUse("lookup_invoice", arguments, '{"amount": 42}', start_ms, start_ms + 180.0, True),
    )


def _markers(plan: Plan) -> tuple[Marker, ...]:
    found = []
    for ask_ms, from_ms, _ in _spans(plan):
        stopped_ms = float(ask_ms + _ASK_MS)
        found += [
            Marker(float(ask_ms), "caller", "speech_started"),
            Marker(stopped_ms, "caller", "speech_stopped"),
            Marker(stopped_ms + 5, "bridge", "committed"),
            Marker(stopped_ms + 30, "bridge", "response_created"),
            Marker(from_ms - 40.0, "bridge", "first_delta"),
            Marker(from_ms - 20.0, "agent", "first_rtp"),
        ]
    found += [Marker(tool.start_ms, "bridge", "tool_started", tool.name) for tool in _tools(plan)]
    found += [Marker(_spans(plan)[-1][2] + 200.0, "agent", "hangup")]
    return tuple(sorted(found, key=lambda marker: marker.at_ms))


def _wire(plan: Plan) -> tuple[WireEvent, ...]:
    events = [_event(0.0, "received", "session.created", "SessionCreated", plan)]
    if plan.unknown_event:
        events.append(_event(10.0, "received", "response.novelty", None, plan))
    for _, from_ms, _ in _spans(plan):
        audio: JsonValue = {"bytes": 4800, "ms": 100}
        events += [
            _event(from_ms - 90.0, "received", "response.created", "ResponseCreated", plan),
            _event(from_ms - 40.0, "received", _DELTA[plan.arm], "AudioDelta", plan, delta=audio),
            _event(from_ms + 900.0, "received", "response.done", "ResponseDone", plan),
        ]
    return tuple(events)


def _event(
    at_ms: float, direction: str, kind: str, canonical: str | None, plan: Plan, **fields: JsonValue
) -> WireEvent:
    return WireEvent(
        at_ns=_ANSWERED_NS + round(at_ms * 1e6),
        at_ms=at_ms,
        direction="sent" if direction == "sent" else "received",
        type=kind,
        canonical=canonical,
        raw={"type": kind, "event_id": f"event_{at_ms:.0f}", **fields},
    )


def _write_audio(path: Path, plan: Plan) -> None:
    """Write a tone for each utterance: 300 Hz the caller, 500 Hz the agent."""
    spans = _spans(plan)
    samples = np.zeros(((spans[-1][2] + 500) * HZ // 1000, 2), dtype=np.int16)
    for ask_ms, from_ms, to_ms in spans:
        for lane, start_ms, end_ms, hz in (
            (0, ask_ms, ask_ms + _ASK_MS, 300),
            (1, from_ms, to_ms, 500),
        ):
            times = np.arange((end_ms - start_ms) * HZ // 1000) / HZ
            wave = 8000 * np.sin(2 * np.pi * hz * times) * np.abs(np.sin(2 * np.pi * 2 * times))
            start = start_ms * HZ // 1000
            samples[start : start + wave.size, lane] = wave.astype(np.int16)
    write_wav(path, samples, HZ)
