"""`--load`: other calls on the gateway while scripts are played, and how the machine bore them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli.replay import replay
from bridge.errors import ConfigError
from bridge.replay.environment.load import calls_of, check_room
from bridge.replay.results.run import LoadFigures, Results, RunInfo, RunVerdict, sum_load
from bridge.replay.script import CallScript
from bridge.store.local import start_local_redis
from tests.support.replaying import ASKS, arms_of, play, write_script

TRANSFERS = {**ASKS, "id": "transfers", "end": {"state": "transferred"}}


def test_more_calls_than_the_gateway_holds_are_refused_with_how_many_it_could() -> None:
    asks, transfers = CallScript.model_validate(ASKS), CallScript.model_validate(TRANSFERS)
    assert (calls_of(asks), calls_of(transfers)) == (1, 3)
    check_room(3, 4, asks)
    check_room(1, 4, transfers)
    with pytest.raises(
        ConfigError, match=r"--load 4: the gateway holds 4 calls, and 'asks' needs 1"
    ):
        check_room(4, 4, asks)
    with pytest.raises(ConfigError, match=r"needs 3 of them; take --load 1 at most, or a PJSIP"):
        check_room(2, 4, transfers)


def test_it_is_refused_before_any_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_script(tmp_path, ASKS)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(replay, ["asks.yaml", "--load", "1000", "--arm", "ga"])
    limit_told = "'asks' needs 1 of them"
    assert (done.exit_code, limit_told in done.stderr) in {(2, True)}, done.stderr
    done = CliRunner().invoke(
        replay, ["asks.yaml", "--load", "1", "--arm", "ga", "--target", "sip:192.0.2.7"]
    )
    assert done.exit_code == 2
    assert "--target names another" in done.stderr


def test_the_figures_are_summed_up_in_a_sentence() -> None:
    run = RunInfo("a", "ga", 1, RunVerdict.PASS, "", None, "f", 1.0)
    calm = LoadFigures(3, tick_lag_max_ms=4.0)
    hard = LoadFigures(
        2, 1, underruns=5, own_underruns=2, late_blocks=7, long_ticks=9, tick_lag_max_ms=80.0
    )
    runs = (replace(run, load=calm), replace(run, load=hard), run)
    results = Results("", 0.0, None, "", "", (), (), runs, (), load=3)
    told = sum_load(results)
    assert told is not None
    assert told.startswith("3 other calls beside each one, 1 of them dropped; 5 gaps in agents'")
    assert "(2 in the scripts' own calls), 7 pieces of it late, 9 ticks too long" in told
    assert "the latest one 80 ms late" in told
    assert sum_load(replace(results, load=0)) is None


@pytest.mark.sip
@pytest.mark.redis
@pytest.mark.speech
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_script_is_played_while_other_calls_talk(tmp_path: Path) -> None:
    path = write_script(tmp_path, ASKS)
    with start_local_redis() as redis:
        played = await play(tmp_path, [path], arms_of("ga"), redis.url, load=2)
    info, _ = played.run("ga")
    assert info.verdict is RunVerdict.PASS, info.reason
    assert played.results.load == 2
    assert info.load is not None
    assert (info.load.calls, info.load.dropped) == (2, 0)
    assert info.load.tick_lag_max_ms is not None
    told = json.loads((played.directory / "results.json").read_text())
    assert told["runs"][0]["load"]["calls"] == 2
    # The gateway's own word: who called it.
    (calls,) = (tmp_path / "gateways").glob("*/recordings/calls.jsonl")
    routes = [json.loads(line)["route"] for line in calls.read_text().splitlines()]
    assert sorted(routes) == ["replay-load", "replay-load", "small"]
