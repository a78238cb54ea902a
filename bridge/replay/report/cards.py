"""One script's card: its calls on all arms under one clock, and their differences."""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.errors import ConfigError
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.report.comparison import JudgedChange, VerdictChange, judge_change
from bridge.replay.report.events import ComparedEvent, align_events, gather
from bridge.replay.report.lanes import (
    Caption,
    MarkerFlag,
    Mishap,
    Scale,
    find_mishap,
    place_captions,
    place_flags,
)
from bridge.replay.report.reading import Material, PlayedRun, worst_first
from bridge.replay.report.sound import (
    AudioBudget,
    RecordingInPage,
    Sound,
    make_sound,
    read_recording,
)
from bridge.replay.report.timing import Waterfall, longest_turn_ms, waterfalls
from bridge.replay.report.transcripts import TurnRow, align
from bridge.replay.results.detail import RunDetail, RunFiles, ToolUse
from bridge.replay.results.run import WORST_FIRST, RunInfo, RunVerdict, ScriptInfo, TableRow

_ORDER = (
    *(CheckStatus.FAIL, CheckStatus.INCONCLUSIVE),
    *(CheckStatus.NOT_APPLICABLE, CheckStatus.PASS),
)


@dataclass(frozen=True, slots=True)
class ArmCall:
    """The call that is shown of a script on an arm.

    Attributes:
        row: over all runs of the script on this arm.
        info: of the call that is shown.
        mishap: None for a call without one.
        switched_off: kinds of the checks that the script's faults switch off.
        flag_rows: rows that the flags take.
    """

    key: str
    arm: str
    row: TableRow
    info: RunInfo
    others: tuple[RunInfo, ...]
    problem: str
    mishap: Mishap | None
    checks: tuple[Check, ...] = ()
    sound: Sound | None = None
    flags: tuple[MarkerFlag, ...] = ()
    captions: tuple[Caption, ...] = ()
    falls: tuple[Waterfall, ...] = ()
    tools: tuple[ToolUse, ...] = ()
    off_script_ms: int | None = None
    switched_off: tuple[str, ...] = ()

    @property
    def flag_rows(self) -> int:
        """How many rows the flags take."""
        return max((flag.row for flag in self.flags), default=-1) + 1

    @property
    def runs(self) -> int:
        """How often the script was played on this arm."""
        return len(self.others) + 1

    @property
    def all_runs(self) -> list[RunInfo]:
        """In the order of their numbers."""
        return sorted([self.info, *self.others], key=lambda run: run.number)


@dataclass(frozen=True, slots=True)
class Pairing:
    """An arm's call beside the first arm's."""

    first: str
    second: str
    turns: tuple[TurnRow, ...]
    events: tuple[ComparedEvent, ...]

    @property
    def turns_differ(self) -> int:
        """Turns whose numbers, dates or names differ."""
        return sum(bool(turn.differences) for turn in self.turns)

    @property
    def events_differ(self) -> int:
        """Events that only one arm has, though both could."""
        return sum(row.differs for row in self.events)


@dataclass(frozen=True, slots=True)
class Take:
    """The calls of one number on all arms, beside each other.

    Attributes:
        number: from 1; the first is the one that most needs a look.
        pairings: the turns of a single arm where nothing is there to compare with.
    """

    number: int
    calls: tuple[ArmCall, ...]
    scale: Scale
    pairings: tuple[Pairing, ...] = ()

    @property
    def label(self) -> str:
        """Which calls these are, and how they ended."""
        return ", ".join(
            f"{call.arm} run {call.info.number}: {call.info.verdict.value}" for call in self.calls
        )

    @property
    def turns(self) -> list[tuple[int, list[tuple[str, Waterfall]]]]:
        """The waterfalls by turn, each on all arms."""
        numbers = sorted({fall.number for call in self.calls for fall in call.falls})
        return [
            (
                number,
                [(c.arm, fall) for c in self.calls for fall in c.falls if fall.number == number],
            )
            for number in numbers
        ]


@dataclass(frozen=True, slots=True)
class Card:
    """A script on all arms.

    Attributes:
        anchor: its id in the page.
        changes: against the first arm, an entry for each other arm.
        verdict: the worst of its arms.
        takes: its calls; those that failed come first.
    """

    anchor: str
    info: ScriptInfo
    changes: tuple[tuple[str, JudgedChange], ...]
    verdict: RunVerdict
    takes: tuple[Take, ...]

    @property
    def calls(self) -> tuple[ArmCall, ...]:
        """The call on each arm that most needs a look."""
        return self.takes[0].calls

    @property
    def is_broken(self) -> bool:
        """Something of it needs a look."""
        return self.verdict is not RunVerdict.PASS

    @property
    def is_changed(self) -> bool:
        """Its verdict differs between two arms."""
        differing = (VerdictChange.NEWLY_FAILING, VerdictChange.FIXED)
        return any(judged.change in differing for _, judged in self.changes)

    def change_on(self, arm: str) -> VerdictChange:
        """Return what became of it from the first arm to another."""
        return next(judged.change for other, judged in self.changes if other == arm)


def make_cards(material: Material, budget: AudioBudget) -> tuple[Card, ...]:
    """Make the cards of all scripts, in their order.

    The audio's room goes to the first take of every script, those that failed before the others;
    then to takes in which a call did not pass; then to the others, a take of each script in turn.
    """
    failed = {row.script for row in material.results.table if row.verdict is RunVerdict.FAIL}
    numbered = list(enumerate(material.results.scripts, start=1))
    wanted = [
        (take, number, script)
        for number, script in numbered
        for take in range(1, max(1, _most_runs(material, script)) + 1)
    ]

    def need(each: tuple[int, int, ScriptInfo]) -> tuple[bool, bool, int, bool]:
        take, _, script = each
        runs = _runs_of_take(material, script, take).values()
        passes = all(run.info.verdict is RunVerdict.PASS for run in runs)
        return take > 1, take > 1 and passes, take, script.id not in failed

    takes: dict[int, dict[int, Take]] = {}
    for take, number, script in sorted(wanted, key=need):
        takes.setdefault(number, {})[take] = _make_take(material, script, number, take, budget)
    return tuple(
        _make_card(
            material, script, number, tuple(made for _, made in sorted(takes[number].items()))
        )
        for number, script in numbered
    )


def _make_card(
    material: Material, script: ScriptInfo, number: int, takes: tuple[Take, ...]
) -> Card:
    rows = material.rows
    first, *others = material.arms
    return Card(
        f"script-{number}",
        script,
        tuple(
            (arm, judge_change(rows.get((script.id, first)), rows.get((script.id, arm))))
            for arm in others
        ),
        min(
            (call.row.verdict for call in takes[0].calls),
            key=WORST_FIRST.index,
            default=RunVerdict.INCONCLUSIVE,
        ),
        takes,
    )


def _most_runs(material: Material, script: ScriptInfo) -> int:
    return max((len(material.runs.get((script.id, arm), ())) for arm in material.arms), default=0)


def _runs_of_take(material: Material, script: ScriptInfo, take: int) -> dict[str, PlayedRun]:
    """Return a take's run of each arm, the worst first; an arm may have none left."""
    return {
        arm: by_need[take - 1]
        for arm in material.arms
        if len(by_need := worst_first(material.runs.get((script.id, arm), ()))) >= take
    }


def _make_take(
    material: Material, script: ScriptInfo, script_number: int, number: int, budget: AudioBudget
) -> Take:
    """Put the arms' calls beside each other.

    Args:
        script_number: of the script in the report, from 1.
        number: of the take.
    """
    played = _runs_of_take(material, script, number)
    key = f"{script_number}" if number == 1 else f"{script_number}-{number}"
    recordings = {arm: _read(run) for arm, run in played.items()}
    scale = Scale.of(max((_length_ms(played[arm], recordings[arm]) for arm in played), default=0.0))
    details = [run.files.detail for run in played.values() if run.files is not None]
    longest_ms = longest_turn_ms(details)
    calls = tuple(
        _make_call(
            f"{key}-{place}",
            material.rows[script.id, arm],
            run,
            material.runs[script.id, arm],
            None if found is None else make_sound(found, scale.px_per_s, budget),
            scale,
            longest_ms,
        )
        for place, (arm, run) in enumerate(played.items(), start=1)
        for found in (recordings[arm],)
    )
    return Take(number, calls, scale, tuple(_pairings(played)))


def _make_call(
    key: str,
    row: TableRow,
    run: PlayedRun,
    runs: Sequence[PlayedRun],
    sound: Sound | None,
    scale: Scale,
    longest_ms: float,
) -> ArmCall:
    others = tuple(other.info for other in runs if other is not run)
    if run.files is None:
        mishap = find_mishap(run.info, ())
        return ArmCall(key, row.arm, row, run.info, others, run.problem, mishap)
    detail = run.files.detail
    return ArmCall(
        key,
        row.arm,
        row,
        run.info,
        others,
        run.problem,
        find_mishap(run.info, detail.checks),
        tuple(sorted(detail.checks, key=lambda check: _ORDER.index(check.status))),
        sound,
        place_flags(run.files.markers, scale),
        place_captions(detail.transcript, scale),
        waterfalls(detail.turns, longest_ms),
        detail.tools,
        detail.off_script_from,
        detail.switched_off,
    )


def _pairings(played: dict[str, PlayedRun]) -> list[Pairing]:
    known = [(arm, run.files) for arm, run in played.items() if run.files is not None]
    if not known:
        return []
    (first, ours), *others = known
    if not others:
        return [_pairing(first, ours, "", None)]
    return [_pairing(first, ours, arm, files) for arm, files in others]


def _pairing(first: str, ours: RunFiles, second: str, theirs: RunFiles | None) -> Pairing:
    other = RunDetail(call={}) if theirs is None else theirs.detail
    wires = [] if ours.wire is None else gather(ours.wire)
    other_wires = [] if theirs is None or theirs.wire is None else gather(theirs.wire)
    comparable = bool(wires) and bool(other_wires)
    return Pairing(
        first,
        second,
        align(ours.detail.transcript, other.transcript),
        align_events(wires, other_wires) if comparable or not second else (),
    )


def _length_ms(run: PlayedRun, recording: RecordingInPage | None) -> float:
    if run.files is None:
        return 0.0
    ends = [float(turn.end_ms) for turn in run.files.detail.transcript]
    ends += [marker.at_ms for marker in run.files.markers]
    return max([0.0 if recording is None else recording.length_ms, *ends])


def _read(run: PlayedRun) -> RecordingInPage | None:
    """Return a call's audio; a call whose file is damaged is shown without."""
    if run.files is None or run.files.audio is None:
        return None
    try:
        return read_recording(run.files.audio, f"{run.info.folder}/{run.files.audio.name}")
    except ConfigError:
        return None
