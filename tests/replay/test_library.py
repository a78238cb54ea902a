"""The library of call scripts: each fits the lines and agents that it calls, and all pass."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from bridge.config.yaml_source import load_yaml_model
from bridge.realtime.dialects import dialect_of
from bridge.replay.checks.needs import Need
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
from tests.support.verdict_table import (
    ARMS,
    NEEDS,
    PAGE,
    asks_for,
    cell,
    found,
    read_page,
    scripts,
    services,
    table,
)

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


@pytest.mark.sip
@pytest.mark.redis
@pytest.mark.speech
@pytest.mark.slow
@pytest.mark.library
@pytest.mark.timeout(600)
async def test_the_scripts_of_smoke_pass_on_live(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    smoke = [path for path in PATHS if "smoke" in script_of(path).tags]
    await passes_but_for_its_rows(request, tmp_path, "live", smoke)


@pytest.mark.sip
@pytest.mark.redis
@pytest.mark.speech
@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("arm", ARMS)
async def test_every_script_passes_on_every_arm_but_for_its_rows(
    request: pytest.FixtureRequest, tmp_path: Path, arm: str
) -> None:
    await passes_but_for_its_rows(request, tmp_path, arm, PATHS)


async def passes_but_for_its_rows(
    request: pytest.FixtureRequest, directory: Path, arm: str, paths: Sequence[Path]
) -> None:
    """Play scripts on an arm: what they don't show there is what the rows of needs say."""
    with start_local_redis() as redis:
        played = await play(
            directory, paths, arms_of(arm), redis.url, jobs=JOBS, too_busy_ms=TOO_LONG_MS
        )
    rows = [f"{script:<24} {reason}" for script, _, reason in played.again]
    show(request.config, f"the library on {arm}: calls that were placed again", rows or ["none"])
    service = services()[arm]
    wanted = {(path.stem, arm): cell(script_of(path), service) for path in paths}
    assert found([played.results]) == wanted
    assert len(played.again) <= MOST_AGAIN


def test_the_pages_table_is_what_the_rows_of_needs_say() -> None:
    page = read_page()
    wanted = {
        (script.id, arm): cell(script, service)
        for script in scripts()
        for arm, service in services().items()
    }
    assert {place: each for place, each in page.items() if each != "–"}.items() <= wanted.items()
    assert page.keys() == wanted.keys()
    assert "\n".join(table(page)) in PAGE.read_text()


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: need.of)
def test_each_row_of_needs_is_used_by_a_script_and_lacked_by_a_service(need: Need) -> None:
    assert any(asks_for(script, need) for script in scripts())
    assert any(need.why_not(service) for service in services().values())
    assert not need.why_not(dialect_of("ga", "openai"))
    assert not need.why_not(dialect_of("beta", "openai"))
