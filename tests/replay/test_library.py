"""The library of call scripts: each fits the lines and agents that it calls, and all pass."""

from functools import cache
from pathlib import Path

import pytest

from bridge.config.yaml_source import load_yaml_model
from bridge.replay.environment.cpu_waits import TOO_LONG_MS
from bridge.replay.results.run import RunVerdict
from bridge.replay.script import CallScript, load_script
from bridge.replay.script.actions import HangUp
from bridge.routing.models import Dialplan
from bridge.speech.recognition import guess_pronunciations
from bridge.speech.words import words_of
from bridge.store.local import start_local_redis
from tests.conftest import show
from tests.support.replaying import arms_of, play

LIBRARY = Path(__file__).parents[2] / "call_scripts"
PATHS = sorted(LIBRARY.glob("*.yaml"))
JOBS = 6
MOST_AGAIN = 12
"""Calls that a busy machine has spoiled; of more, something else is the cause."""

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
@pytest.mark.slow
@pytest.mark.library
@pytest.mark.timeout(1200)
async def test_every_script_passes_on_both_dialects(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """It takes minutes, and a machine of its own: six calls at a time keep two CPUs busy."""
    with start_local_redis() as redis:
        played = await play(
            tmp_path,
            PATHS,
            arms_of("beta", "ga"),
            redis.url,
            jobs=JOBS,
            too_busy_ms=TOO_LONG_MS,
        )
    runs = played.results.runs
    rows = [f"{script:<24} {arm:<4} {reason}" for script, arm, reason in played.again]
    show(request.config, "the library: calls that were placed again", rows or ["none"])
    assert {(r.script, r.arm): r.reason for r in runs if r.verdict is not RunVerdict.PASS} == {}
    assert len(runs) == 2 * len(PATHS)
    assert len(played.again) <= MOST_AGAIN
