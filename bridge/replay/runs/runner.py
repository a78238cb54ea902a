"""Runs scripts on arms: callers' processes take call after call, environments answer them.

What could not be done counts as infrastructure, and is not tried again. What a busy machine has
spoiled is no verdict: it is played once more, and the results say so. Everything is in the
loop's thread; files are written in worker threads.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import structlog
from pydantic import JsonValue

from bridge.config.models import ModelTable
from bridge.errors import BridgeError, InfrastructureError
from bridge.replay.call.process import RUN_HEADER, CallOrder
from bridge.replay.call.timeline import make_interruptions, make_turns
from bridge.replay.chat.choosing import with_stand_ins
from bridge.replay.chat.client import read_key
from bridge.replay.checks.divergence import RECORDING, compare_with_recording
from bridge.replay.checks.protocol import ArmEvents, compare
from bridge.replay.checks.run import RunJudgement, broken_by, judge_run, with_judge
from bridge.replay.environment.cpu_waits import excused, span_ns
from bridge.replay.environment.environment import EnvironmentKey
from bridge.replay.environment.startup import Startup
from bridge.replay.environment.worker import Worker
from bridge.replay.evidence.evidence import Evidence, WireEvent
from bridge.replay.evidence.transcribing import with_open_transcript
from bridge.replay.judges.asking import ask_judge
from bridge.replay.judges.conversation import conversation_of
from bridge.replay.results.detail import RunDetail, RunFiles
from bridge.replay.results.files import folder_of, write_run
from bridge.replay.results.from_evidence import detail_from_evidence
from bridge.replay.results.history import Timing, make_timing
from bridge.replay.results.run import (
    Cost,
    LoadFigures,
    ProtocolFinding,
    Results,
    RunInfo,
    RunVerdict,
    ScriptInfo,
    make_table,
)
from bridge.replay.runs.agenda import Agenda, Job
from bridge.replay.runs.costs import CostMeter, Use, talk_usd, texts_usd
from bridge.replay.runs.gathering import gather, with_recording
from bridge.replay.runs.packing import pack_rows
from bridge.replay.runs.plan import ReplayPlan
from bridge.replay.script.document import CallScript

_log = structlog.get_logger(__name__)

_APPENDS_KEPT = 3
"""Of a call's audio appends, for the comparison: each is like the others."""


class RunView(Protocol):
    """The interface of whatever shows the progress of a run."""

    def begun(self, job: Job) -> None:
        """A call is being prepared or goes on."""

    def again(self, job: Job, reason: str) -> None:
        """A call is over that says nothing; it is placed once more later."""

    def done(self, job: Job, info: RunInfo) -> None:
        """A call is judged."""


class ReplayRun:
    """Plays all calls of a run and sums them up.

    Args:
        plan: what to play.
        models: for prices.
        startup: starts environments and callers.
        view: shows how it goes.
    """

    def __init__(
        self, plan: ReplayPlan, models: ModelTable, startup: Startup, view: RunView
    ) -> None:
        self._plan = plan
        self._models = models
        self._startup = startup
        self._view = view
        self._files = {file.script.id: file for file in plan.files}
        self._arms = {arm.name: arm for arm in plan.arms}
        self._agenda = Agenda(plan.play_list(), self._environment_of)
        self._spoiled: dict[Job, RunJudgement] = {}
        self._meter = CostMeter(plan.cap_usd)
        self._runs: list[RunInfo] = []
        self._wires: dict[tuple[str, str], list[Sequence[WireEvent]]] = {}
        self._recorded: dict[tuple[str, str], list[Sequence[WireEvent]]] = {}
        self._latencies: dict[tuple[str, str], list[float]] = {}
        self._stops: dict[tuple[str, str], list[float]] = {}
        self._records: dict[str, Mapping[str, JsonValue]] = {}
        self._uses: dict[Job, Use] = {}
        self._loads: dict[Job, LoadFigures] = {}
        self._began = datetime.now(UTC)
        self._began_s = time.monotonic()
        self._stopped: str | None = None
        self._over = asyncio.Event()

    async def play(self) -> None:
        """Place all calls. Cancel to stop; what was judged by then stays."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(min(self._plan.jobs, len(self._plan.play_list()))):
                    group.create_task(self._work(), name=f"replay-worker-{number}")
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def conclude(self, stopped: str | None = None) -> Results:
        """Sum up what was played.

        Args:
            stopped: why it was stopped from outside.
        """
        plan = self._plan
        names = {arm: place for place, arm in enumerate(self._arms)}
        scripts = tuple(
            ScriptInfo(
                file.script.id,
                str(file.path),
                file.sha256,
                tuple(file.script.tags),
                file.script.target.pass_rate,
                plan.times(file),
                file.base,
                "" if file.circumstance is None else file.circumstance.pack,
                "" if file.circumstance is None else file.circumstance.name,
            )
            for file in plan.files
        )
        order = {script.id: place for place, script in enumerate(scripts)}
        runs = tuple(
            sorted(self._runs, key=lambda run: (order[run.script], names[run.arm], run.number))
        )
        table = make_table(runs, scripts)
        costs = any(arm.kind == "live" for arm in plan.arms) or self._meter.spent_usd > 0
        return Results(
            started_at=self._began.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - self._began_s, 1),
            commit=plan.commit,
            version=plan.version,
            command=plan.command,
            arms=tuple(arm.info(self._records.get(arm.name)) for arm in plan.arms),
            scripts=scripts,
            runs=runs,
            table=table,
            cost=Cost(round(self._meter.spent_usd, 6), plan.cap_usd) if costs else None,
            stopped=stopped or self._stopped,
            protocol=tuple(self._protocol()),
            packs=pack_rows(scripts, table),
            load=plan.load,
            not_played=tuple(plan.not_played()),
        )

    @property
    def timings(self) -> Mapping[tuple[str, str], Timing]:
        """What was measured, by script and arm."""
        keys = self._latencies.keys() | self._stops.keys()
        return {
            key: make_timing(self._latencies.get(key, ()), self._stops.get(key, ())) for key in keys
        }

    def _protocol(self) -> list[ProtocolFinding]:
        found = []
        for file in self._plan.files:
            played = [
                ArmEvents(arm.name, arm.settings.dialect, wires)
                for arm in self._plan.arms
                if (wires := self._wires.get((file.script.id, arm.name)))
            ]
            found += self._against_recordings(file.script.id)
            for other in played:
                first = next(each for each in played if each.is_comparable(other))
                if first is other:
                    continue
                found += [
                    ProtocolFinding(file.script.id, other.arm, first.arm, difference)
                    for difference in compare(
                        first, other, faulty=bool(file.script.realtime.faults)
                    )
                ]
        return found

    def _against_recordings(self, script: str) -> list[ProtocolFinding]:
        return [
            ProtocolFinding(script, arm.name, RECORDING, difference)
            for arm in self._plan.arms
            if (recorded := self._recorded.get((script, arm.name)))
            for difference in compare_with_recording(
                arm.name, arm.settings.dialect, recorded, self._wires.get((script, arm.name), ())
            )
        ]

    async def _work(self) -> None:
        """Place one call after the other."""
        async with Worker(self._startup, self._plan.target) as worker:
            while (job := await self._next_job(worker.environment_key)) is not None:
                self._view.begun(job)
                begun_s = time.monotonic()
                try:
                    judgement, evidence = await self._play(job, worker)
                except BridgeError as error:
                    judgement, evidence = RunJudgement(RunVerdict.INFRASTRUCTURE, str(error)), None
                    await worker.close_environment()
                    await self._write(job, RunFiles(RunDetail(call={}, why=str(error))))
                self._count_cost(job)
                if self._may_repeat(job, judgement):
                    self._spoiled[job] = judgement
                    self._agenda.again(job)
                    self._view.again(job, judgement.reason)
                else:
                    if evidence is not None:
                        self._keep(job, evidence)
                    self._note(job, judgement, time.monotonic() - begun_s)
                self._agenda.done(job)
                self._over.set()

    def _environment_of(self, job: Job) -> EnvironmentKey:
        if self._plan.target is not None:
            return EnvironmentKey(job.arm)
        return self._startup.key_of(self._files[job.script], self._arms[job.arm])

    def _may_repeat(self, job: Job, judgement: RunJudgement) -> bool:
        """Return whether a call is placed again: once, and not where it costs money."""
        is_ours = not self._arms[job.arm].is_live and self._plan.target is None
        free = not self._uses.get(job, Use()).texts_usd
        return judgement.spoiled and is_ours and free and job not in self._spoiled

    async def _next_job(self, own: EnvironmentKey | None) -> Job | None:
        while self._stopped is None and (job := self._agenda.take(own)) is not None:
            if self._may_cost(job):
                return job
            if not self._meter.going_on:
                spent, cap = self._meter.spent_usd, self._plan.cap_usd
                self._stopped = (
                    f"the cost cap: {spent:.4f} USD of {cap:.4f} are spent, and {job.run} might"
                    " pass it"
                )
                break
            # What those that go on really cost may leave enough.
            self._agenda.give_back(job)
            self._over.clear()
            await self._over.wait()
        return None

    def _may_cost(self, job: Job) -> bool:
        """Reserve what a call may cost; False if that would pass the cap.

        Raises:
            ConfigError: there is a cap, and a model has no price.
        """
        if self._plan.cap_usd is None:
            return self._meter.begin(job.run, 0.0, 0.0)
        arm, script = self._arms[job.arm], self._script_of(job)
        longest_s = script.end.after_s or script.end.max_duration_s
        name = arm.settings.model
        talk = talk_usd(longest_s, name, self._models.find(name)) if arm.is_live else 0.0
        return self._meter.begin(job.run, talk, texts_usd(script, longest_s))

    def _count_cost(self, job: Job) -> None:
        """Count what a call has cost, whatever became of it."""
        use = self._uses.get(job, Use())
        usd = use.cost_usd if self._arms[job.arm].is_live else 0.0
        self._meter.end(job.run, usd, use.texts_usd)

    def _script_of(self, job: Job) -> CallScript:
        """Return a call's script, with stand-ins for its text models where the run wants them."""
        script = self._files[job.script].script
        return with_stand_ins(script) if self._plan.stand_ins else script

    async def _play(self, job: Job, worker: Worker) -> tuple[RunJudgement, Evidence]:
        """Place a call, gather what is known of it, judge it and write it down.

        Raises:
            BridgeError: it could not be done.
        """
        file, arm = self._files[job.script], self._arms[job.arm]
        target = self._plan.target
        environment = await worker.environment(file, arm)
        await environment.set_for(file)
        folder = self._plan.results / folder_of(job.script, job.arm, job.number)
        folder.mkdir(parents=True, exist_ok=True)
        order = CallOrder(
            file.path,
            environment.uri(file.script),
            {RUN_HEADER: job.run, **(target.headers(job.arm) if target is not None else {})},
            folder / "call.wav",
            self._plan.stand_ins,
            None if file.circumstance is None else file.circumstance.item,
        )
        answer, waits = await worker.call(order, file)
        if answer.error is not None:
            raise InfrastructureError(answer.error)
        environment.check_alive()
        load = await environment.load_figures()
        if load is not None:
            self._loads[job] = load
        mocks = None if target is not None else self._startup.mocks
        evidence = await gather(job, arm.service, answer.caller, environment, mocks)
        if arm.tapes is not None:
            evidence = await asyncio.to_thread(with_recording, evidence, arm.tapes, job.script)
        never_ended = evidence.record is None and evidence.log is not None
        if never_ended or file.script.realtime.credentials == "token":
            # It has a call on it, or tokens and their faults, which a gateway keeps between calls.
            await worker.close_environment()
        asked = target is not None and target.signer is not None
        judgement = judge_run(file.script, evidence, asked_for_arm=asked)
        broken = broken_by(judgement)
        before = self._spoiled.get(job)
        if broken is None or before is None or broken_by(before) != broken:
            # What is found twice, word for word, is no chance of a busy machine.
            worst = waits.worst(*span_ns(evidence))
            judgement = excused(judgement, worst, self._plan.too_busy_ms)
        detail, markers = detail_from_evidence(evidence, judgement, answer.call)
        if self._plan.transcribe is not None and evidence.log is not None:
            wav, transcribe = folder / "call.wav", self._plan.transcribe
            try:
                detail = await asyncio.to_thread(with_open_transcript, detail, wav, transcribe)
            except BridgeError as error:  # it is evidence beside the verdict, which stands
                _log.warning("not_transcribed", run=job.run, error=str(error))
        if not judgement.spoiled:
            detail, judgement = await self._judged(self._script_of(job), detail, judgement)
        persona = None if answer.caller is None else answer.caller.persona
        texts = sum(judged.cost_usd for judged in detail.judged)
        texts += 0.0 if persona is None else persona.cost_usd or 0.0
        self._uses[job] = Use.of(evidence.record, texts)
        await self._write(job, RunFiles(detail, markers, evidence.wire, evidence.record))
        return judgement, evidence

    async def _judged(
        self, script: CallScript, detail: RunDetail, judgement: RunJudgement
    ) -> tuple[RunDetail, RunJudgement]:
        """Ask the script's judge about a conversation, if it has one and there was one."""
        if script.judge is None:
            return detail, judgement
        model = script.judge.model
        key = None if model is None else read_key(model, self._startup.environ)
        judged = await ask_judge(script.judge, key, conversation_of(detail.transcript))
        judgement = with_judge(script, judgement, judged)
        complete = replace(detail, checks=judgement.checks, why=judgement.reason, judged=judged)
        return complete, judgement

    async def _write(self, job: Job, files: RunFiles) -> None:
        folder = self._plan.results / folder_of(job.script, job.arm, job.number)
        try:
            await asyncio.to_thread(write_run, folder, files)
        except OSError as error:
            raise InfrastructureError(
                f"the run can't be written to {folder}: {error.strerror}",
                remedy="name another place with --report",
            ) from error

    def _keep(self, job: Job, evidence: Evidence) -> None:
        """Keep what is summed up at the end."""
        if evidence.wire is not None:
            appends = [event for event in evidence.wire if event.canonical == "AppendAudio"]
            spare = {id(event) for event in appends[_APPENDS_KEPT:]}
            wire = [event for event in evidence.wire if id(event) not in spare]
            self._wires.setdefault(job.side, []).append(wire)
        if evidence.recorded is not None:
            self._recorded[job.side] = [evidence.recorded]
        log = evidence.log
        if log is not None:
            latencies = self._latencies.setdefault(job.side, [])
            latencies += [t.latency_ms for t in make_turns(log) if t.latency_ms is not None]
            stops = self._stops.setdefault(job.side, [])
            stops += [i.stop_ms for i in make_interruptions(log) if i.stop_ms is not None]
        if evidence.record is not None:
            self._records[job.arm] = evidence.record

    def _note(self, job: Job, judgement: RunJudgement, seconds: float) -> None:
        spoiled, use = self._spoiled.get(job), self._uses.get(job, Use())
        info = RunInfo(
            job.script,
            job.arm,
            job.number,
            judgement.verdict,
            judgement.reason,
            judgement.at_ms,
            folder_of(job.script, job.arm, job.number),
            round(seconds, 1),
            attempts=1 if spoiled is None else 2,
            spoiled_by="" if spoiled is None else spoiled.reason,
            cost_usd=use.cost_usd,
            tools_ok=use.tools_ok,
            tools_failed=use.tools_failed,
            texts_usd=use.texts_usd,
            load=self._loads.get(job),
            not_applicable=judgement.not_applicable,
        )
        self._runs.append(info)
        self._view.done(job, info)
