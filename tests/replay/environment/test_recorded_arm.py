"""Recorded arms: a call that was played once is answered from its wire log by today's bridge."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.config.models import load_models
from bridge.errors import ConfigError
from bridge.replay.checks.check import CheckStatus
from bridge.replay.checks.divergence import RECORDING
from bridge.replay.environment.arms import check_tapes, choose_arms
from bridge.replay.environment.tapes import find_tapes
from bridge.replay.results.run import RunVerdict
from bridge.store.local import start_local_redis
from tests.support.replaying import ANSWER, ASKS, Played, arms_of, play, write_script

SESSION: dict[str, Any] = {"id": "sess_1", "model": "gpt-4o-realtime-preview"}

_BLIND = """
import sys

if "serve" in sys.argv:
    from bridge.realtime import beta
    from bridge.realtime.events import (ResponseDone)
    from dataclasses import replace

    decode = beta.BetaDialect.decode

    def without_usage(self, frame):
        event = decode(self, frame)
        return replace(event, usage=None) if isinstance(event, ResponseDone) else event

    beta.BetaDialect.decode = without_usage
"""
"""A bridge whose beta adapter has lost a field since the call was recorded."""


@dataclass(frozen=True, slots=True)
class _Played:
    first: Played
    again: Played
    blind: Played
    diverged: Played


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> _Played:
    with start_local_redis() as redis:
        return asyncio.run(_play(tmp_path_factory.mktemp("recorded"), redis.url))


async def _play(place: Path, redis_url: str) -> _Played:
    script = write_script(place, ASKS)
    first = await play(place / "first", [script], arms_of("beta"), redis_url)
    recorded = arms_of(f"beta=recorded:{first.directory}")
    (place / "sitecustomize.py").write_text(_BLIND)
    wire = first.directory / "runs/asks/beta/1/wire.jsonl"
    shorter = place / "shorter.jsonl"
    shorter.write_text("".join(_without_the_answer(wire.read_text().splitlines(keepends=True))))
    again, blind, diverged = await asyncio.gather(
        play(place / "again", [script], recorded, redis_url),
        play(place / "blind", [script], recorded, redis_url, environ={"PYTHONPATH": str(place)}),
        play(place / "diverged", [script], arms_of(f"old=recorded:{shorter}"), redis_url),
    )
    return _Played(first, again, blind, diverged)


def _without_the_answer(lines: list[str]) -> list[str]:
    """Leave out that the client asked for an answer: then the service gave it by itself."""
    asked = [n for n, line in enumerate(lines) if json.loads(line)["type"] == "response.create"]
    return [line for number, line in enumerate(lines) if number != asked[-1]]


calls = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.slow]


def _calls(test: Callable[..., None]) -> Callable[..., None]:
    for mark in calls:
        test = mark(test)
    return test


@_calls
def test_a_recorded_call_passes_again_and_its_arm_says_what_it_is(played: _Played) -> None:
    info, files = played.again.run("beta")
    assert info.verdict is RunVerdict.PASS, info.reason
    assert [turn.text for turn in files.detail.transcript][-1] == ANSWER
    (check,) = (c for c in files.detail.checks if c.kind == "recording_followed")
    assert check.status is CheckStatus.PASS
    (arm,) = played.again.results.arms
    assert (arm.kind, arm.dialect, arm.url) == ("recorded", "beta", str(played.first.directory))
    assert played.again.results.cost is None
    assert played.again.results.protocol == ()


@_calls
def test_what_the_decoder_lost_since_then_blocks(played: _Played) -> None:
    blocking = [each for each in played.blind.results.protocol if each.difference.blocks]
    assert [(each.reference, each.difference.detail) for each in blocking] == [
        (RECORDING, "usage is never there on beta")
    ]


@_calls
def test_a_call_that_leaves_its_recording_is_inconclusive_and_says_where(played: _Played) -> None:
    info, files = played.diverged.run("old")
    assert info.verdict is RunVerdict.INCONCLUSIVE
    assert "response.create came, which the recording has not here" in info.reason
    assert files.detail.off_script_from == info.at_ms
    asked = [e for e in files.wire or () if e.type == "response.create"]
    assert info.at_ms == round(asked[0].at_ms)


def _write_tape(path: Path, session: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    created = {"type": "session.created", "session": session}
    line = {"at_ns": 0, "direction": "received", "type": "session.created", "raw": created}
    path.write_text(json.dumps({**line, "canonical": "SessionCreated"}) + "\n")
    return path


def test_a_directory_of_wire_logs_has_one_for_each_script(tmp_path: Path) -> None:
    asks = _write_tape(tmp_path / "asks.jsonl", SESSION)
    (arm,) = choose_arms([f"old=recorded:{tmp_path}"], None, {}, load_models())
    assert arm.tapes is not None
    assert arm.tapes.of("asks") == asks
    assert (arm.plays("asks"), arm.plays("greets")) == (True, False)
    assert (arm.settings.dialect, arm.settings.model) == ("beta", SESSION["model"])


def test_a_single_wire_log_is_for_every_script(tmp_path: Path) -> None:
    path = _write_tape(tmp_path / "c_1.jsonl", {**SESSION, "type": "realtime"})
    (arm,) = choose_arms([f"old=recorded:{path}"], None, {}, load_models())
    assert arm.plays("whatever")
    assert arm.settings.dialect == "ga"


def test_a_former_report_has_the_first_call_of_the_arm_of_that_name(tmp_path: Path) -> None:
    for arm in ("beta", "ga"):
        for number in (10, 2):
            _write_tape(tmp_path / f"runs/asks/{arm}/{number}/wire.jsonl", SESSION)
    found = find_tapes(tmp_path, "ga").of("asks")
    assert found == tmp_path / "runs/asks/ga/2/wire.jsonl"
    (tmp_path / "runs/unreached/ga/1").mkdir(parents=True)
    (tmp_path / "runs/unreached/ga/1/wire.jsonl").touch()
    assert find_tapes(tmp_path, "ga").of("unreached") is None
    with pytest.raises(ConfigError, match="holds no arm 'old', but beta, ga"):
        find_tapes(tmp_path, "old")


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing: is not there"):
        find_tapes(tmp_path / "missing", "old")
    with pytest.raises(ConfigError, match="holds no wire log"):
        find_tapes(tmp_path, "old")


def test_recordings_of_two_dialects_are_no_arm(tmp_path: Path) -> None:
    _write_tape(tmp_path / "asks.jsonl", SESSION)
    other = _write_tape(tmp_path / "greets.jsonl", {**SESSION, "type": "realtime"})
    (arm,) = choose_arms([f"old=recorded:{tmp_path}"], None, {}, load_models())
    with pytest.raises(ConfigError, match="speaks ga, and the others of the arm 'old' beta") as it:
        check_tapes(arm, ["asks", "greets"])
    assert it.value.path == str(other)
