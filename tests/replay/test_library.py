"""The library of call scripts: each fits the lines and agents that it calls, and all pass."""

from functools import cache
from pathlib import Path

import pytest

from bridge.config.yaml_source import load_yaml_model
from bridge.replay.results import RunVerdict
from bridge.replay.script import CallScript, load_script
from bridge.replay.script.actions import HangUp
from bridge.routing.models import Dialplan
from bridge.speech.pronunciation import guess_pronunciations
from bridge.speech.words import words_of
from bridge.store.local import start_local_redis
from tests.conftest import show
from tests.support.replaying import arms_of, play

LIBRARY = Path(__file__).parents[2] / "call_scripts"
PATHS = sorted(LIBRARY.glob("*.yaml"))
PATH_OF = {path.stem: path for path in PATHS}
FEW = ("question", "tool", "codec-pcma", "menu")
"""What is played with every run of the tests."""
MOST_FAILED = 8
"""At the first time; more is no busy machine."""

CHECKLIST = frozenset(
    {"session", "audio", "transcript", "tool", "interruption", "error", "network", "recovery"}
    | {"fallback", "handoff", "dtmf", "silence", "long", "codec", "noise", "hold", "hours"}
    | {"hangup", "limits", "consent", "token"}
)
"""What a migration has to be looked over for."""


@cache
def script_of(path: Path) -> CallScript:
    return load_script(path)


@cache
def lines() -> frozenset[str]:
    """Return whom the library's dialplans take calls for."""
    plans = [load_yaml_model(path, Dialplan) for path in (LIBRARY / "dialplans").glob("*.yaml")]
    return frozenset(plan.name for plan in plans)


def test_the_library_covers_the_checklist_of_a_migration() -> None:
    assert len(PATHS) >= 20
    tags = {tag for path in PATHS for tag in script_of(path).tags}
    assert tags >= CHECKLIST


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_script_is_named_as_its_file_and_calls_a_line_that_is_there(path: Path) -> None:
    script = script_of(path)
    assert script.id == path.stem
    assert script.called in lines()
    second = path.read_text().splitlines()[1 if "schema=" in path.read_text()[:60] else 0]
    assert second.startswith("# "), "a comment says what it shows"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_script_expects_what_can_be_heard_and_says_what_can_be_understood(path: Path) -> None:
    script = script_of(path)
    hears = [" ".join(words_of(sentence)) for sentence in script.hears]
    for step in script.caller:
        for text in step.expect.texts if step.expect is not None else ():
            wanted = words_of(text)
            assert any(" ".join(wanted) in each for each in hears), text
    assert set(guess_pronunciations(script.hears, script.voice)) <= set(script.pronunciations)
    scenario = script.realtime.build(path.parent)
    ends_early = any(isinstance(step.action, HangUp) for step in script.caller)
    said = [(step.say or step.interrupt) for step in script.caller]
    for saying in said:
        assert saying is None or ends_early or scenario.rule_for(saying.text), saying


@pytest.mark.sip
@pytest.mark.redis
@pytest.mark.speech
@pytest.mark.nightly
@pytest.mark.timeout(1200)
async def test_every_script_passes_on_both_dialects(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Four calls at a time; it takes minutes.

    What fails is played once more, and told: the machine that runs all tests at once is busier than
    any that people replay on, and the scripts' limits are for theirs.
    """
    with start_local_redis() as redis:
        first = await play(tmp_path / "first", PATHS, arms_of("beta", "ga"), redis.url)
        failed = [run for run in first.results.runs if run.verdict is not RunVerdict.PASS]
        broken = {(run.script, run.arm): run.reason for run in failed}
        for arm in sorted({run.arm for run in failed}):
            again = [PATH_OF[run.script] for run in failed if run.arm == arm]
            second = await play(tmp_path / arm, again, arms_of(arm), redis.url, jobs=2)
            for run in second.results.runs:
                if run.verdict is RunVerdict.PASS:
                    del broken[run.script, run.arm]
    rows = [f"{run.script:<24} {run.arm:<4} {run.reason}" for run in failed]
    title = "the library: calls that passed at the second time only, or not at all"
    show(request.config, title, rows or [f"none of {len(first.results.runs)}"])
    assert broken == {}
    assert len(failed) <= MOST_FAILED
    assert len(first.results.runs) == 2 * len(PATHS)


@pytest.mark.sip
@pytest.mark.redis
@pytest.mark.speech
@pytest.mark.slow
async def test_a_few_of_the_scripts_pass_on_both_dialects(tmp_path: Path) -> None:
    with start_local_redis() as redis:
        played = await play(
            tmp_path, [PATH_OF[name] for name in FEW], arms_of("beta", "ga"), redis.url, jobs=2
        )
    runs = played.results.runs
    assert {(r.script, r.arm): r.reason for r in runs if r.verdict is not RunVerdict.PASS} == {}
    assert len(runs) == 2 * len(FEW)
