"""Replays of whole calls: each script has its own service, faults, tools and time; what can't be
done is told; live calls stop before their cap.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.config.models import load_models
from bridge.replay.checks.check import CheckStatus
from bridge.replay.environment.arms import choose_arms
from bridge.replay.environment.environment import GatewayTraces, RunningGateway
from bridge.replay.environment.target_arm import ArmSigner
from bridge.replay.results.run import RunVerdict, overall
from bridge.store.local import start_local_redis
from tests.support.gateways import serving, write_dialplan
from tests.support.processes import SIMULATOR_KEY, simulating, write_yaml
from tests.support.replaying import (
    ANSWER,
    ASKS,
    QUESTION,
    Document,
    Played,
    arms_at_a_target,
    arms_of,
    play,
    write_script,
)

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.slow]

_INVOICE, _AMOUNT = "What is on my invoice?", "You owe forty two dollars."

_FAILS: Document = {
    **ASKS,
    "id": "fails",
    "hears": [ANSWER],
    "realtime": {
        "scenario": "scenario.yaml",
        "faults": [{"at": "turn", "kind": "unknown", "type": "simulator.planted"}],
    },
}
_USES_TOOL: Document = {
    **ASKS,
    "id": "uses_tool",
    "hears": [_AMOUNT],
    "realtime": {
        "scenario": "scenario.yaml",
        "rules": [
            {
                "hears": [_INVOICE],
                "tool": {"name": "lookup_invoice", "arguments": {"which": "latest"}},
                "then": "You owe {amount} dollars.",
            }
        ],
    },
    "tools": [{"name": "lookup_invoice", "returns": {"amount": "forty two"}, "latency_ms": 300}],
    "caller": [{"say": _INVOICE, "expect": {"text_contains": "forty two dollars"}}],
}
_TOOL: Document = {
    "name": "lookup_invoice",
    "description": "Look up the caller's invoice.",
    "parameters": {"type": "object", "properties": {"which": {"type": "string"}}},
    "webhook": {"url": "https://invoices.example.com/", "secret_env": "NOT_SET_HERE"},
}
_NIGHT: Document = {
    **ASKS,
    "id": "at_night",
    "setup": {"now": "2026-11-18T23:30:00+00:00"},
    "hears": ["We are closed."],
    "caller": [{"expect": {"text_contains": "closed"}}],
    "end": {"by": "bridge", "max_duration_s": 20},
}
_HOURS: Document = {
    "time_zone": "UTC",
    "open": [{"days": "mon-fri", "from": "09:00", "to": "17:00"}],
    "closed": {"say": "We are closed."},
}
_LOSSY: Document = {
    **ASKS,
    "id": "lossy",
    "caller": [],
    "hears": [],
    "network": {"loss_pct": 20},
    "end": {"after_s": 5},
}
_NO_DIALPLAN: Document = {**ASKS, "id": "no_dialplan"}


@dataclass(frozen=True, slots=True)
class _Played:
    """What was played, once for all tests here."""

    own: Played
    live: Played
    broke: Played
    lost: Played
    target: Played
    spoiled: Played
    rolled: Played


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> _Played:
    place = tmp_path_factory.mktemp("replays")
    dialplans = write_dialplan(place / "dialplans")
    write_dialplan(dialplans, name="rolled", called="rolled", arm=None, rollout="f")
    with (
        start_local_redis() as redis,
        simulating(place) as url,
        serving(
            place,
            url,
            dialplans,
            preflight=False,
            redis_url=redis.url,
            environ={"ROLLOUT_KEY": _SECRET.decode()},
            arms={name: _arm_at(url, name) for name in ("beta", "ga")},
            rollouts={"f": {"control": "beta", "treatment": "ga"}},
            session={"wire_log_dir": str(place / "wire")},
        ) as gateway,
    ):
        sip = f"sip:127.0.0.1:{gateway.sip_port}"
        return asyncio.run(_play(place, redis.url, url, sip))


def _arm_at(url: str, dialect: str) -> dict[str, str]:
    model = load_models().newest(dialect)
    return {"dialect": dialect, "url": url, "model": model, "api_key_env": "SIM_KEY"}


async def _play(place: Path, redis_url: str, url: str, sip: str) -> _Played:
    own, live, broke, lost, target, spoiled, rolled = await asyncio.gather(
        _play_own(place / "own", redis_url),
        _play_live(place / "live", redis_url, url, _ENOUGH_FOR_ONE_USD),
        _play_live(place / "broke", redis_url, url, 0.01),
        _play_live(place / "lost", redis_url, url, _ENOUGH_FOR_ONE_USD, {"schema": "dialplan/v1"}),
        _play_target(place / "target", redis_url, sip),
        _play_spoiled(place / "spoiled", redis_url),
        _play_rolled(place, redis_url, sip),
    )
    return _Played(own, live, broke, lost, target, spoiled, rolled)


async def _play_own(place: Path, redis_url: str) -> Played:
    """Play one call after the other: those on the same lines are answered by the same gateway."""
    agent: Document = {"instructions": "Be brief.", "language": "en", "tools": [_TOOL]}
    agent |= {"turn_detection": {"type": "server_vad", "silence_duration_ms": 500}}
    small: Document = {
        "schema": "dialplan/v1",
        "name": "small",
        "match": [{"called": "*"}],
        "arm": "somewhere",
        "agent": agent,
    }
    scripts = [
        write_script(place / "plain", script, small) for script in (_FAILS, _USES_TOOL, _LOSSY)
    ]
    scripts.append(write_script(place / "night", _NIGHT, {**small, "hours": _HOURS}))
    scripts.append(write_script(place / "broken", _NO_DIALPLAN, {"schema": "dialplan/v1"}))
    return await play(place, scripts, arms_of("ga"), redis_url, repeat=1, jobs=1)


async def _play_live(
    place: Path, redis_url: str, url: str, cap_usd: float, *dialplan: Document
) -> Played:
    """Play two calls on a simulator that passes for a live service."""
    arm = {"url": url, "model": "gpt-realtime", "api_key_env": "SIM_KEY"}
    config = write_yaml(place / "bridge.yaml", {"arms": {"new": arm}})
    script = {**ASKS, "caller": [{"say": "When are you open?"}], "hears": []}
    del script["realtime"]
    return await play(
        place,
        [write_script(place, script, *dialplan)],
        choose_arms(["new"], config, {}, load_models()),
        redis_url,
        repeat=2,
        jobs=2,
        environ={"SIM_KEY": SIMULATOR_KEY},
        cap_usd=cap_usd,
    )


async def _play_target(place: Path, redis_url: str, sip: str) -> Played:
    """Call a gateway that runs already, and shows nothing of itself."""
    script = {
        **ASKS,
        "caller": [{"say": "When are you open?", "expect": {"within_ms": 8000}}],
        "end": {"by": "caller", "redis": {"outcome": "completed"}},
    }
    target = RunningGateway(sip, GatewayTraces(None, None, None))
    arms = arms_at_a_target("ga")
    return await play(place, [write_script(place, script)], arms, redis_url, target=target)


async def _play_spoiled(place: Path, redis_url: str) -> Played:
    """Play a call that fails, on a machine that is always too busy."""
    wrong = {"say": QUESTION, "expect": {"text_contains": "shipped on Friday"}}
    script = {**ASKS, "hears": [ANSWER, ANSWER.replace("Monday", "Friday")], "caller": [wrong]}
    return await play(
        place, [write_script(place, script)], arms_of("ga"), redis_url, jobs=1, too_busy_ms=0.0
    )


async def _play_rolled(place: Path, redis_url: str, sip: str) -> Played:
    """Call a gateway that runs already on both arms of its rollout, and read its traces."""
    asks = {"say": "When are you open?", "expect": {"within_ms": 8000}}
    script = {**ASKS, "id": "rolled", "called": "rolled", "hears": [], "caller": [asks]}
    script |= {"end": {"state": "completed", "redis": {"outcome": "completed"}}}
    traces = GatewayTraces(place / "recordings", place / "wire", redis_url)
    target = RunningGateway(sip, traces, ArmSigner("f", _SECRET))
    path = write_script(place / "rolled", script)
    arms = arms_at_a_target("beta", "ga")
    return await play(place / "rolled", [path], arms, redis_url, target=target)


_SECRET = b"0123456789abcdef"

_ENOUGH_FOR_ONE_USD = 0.06
"""30 s of audio both ways are 0.048 USD by the table, so that the second call has to wait for what
the first one really costs.
"""


def test_every_script_has_its_verdict(played: _Played) -> None:
    verdicts = {(run.script, run.verdict) for run in played.own.results.runs}
    assert verdicts == {
        ("fails", RunVerdict.PASS),
        ("uses_tool", RunVerdict.PASS),
        ("at_night", RunVerdict.PASS),
        ("lossy", RunVerdict.INCONCLUSIVE),
        ("no_dialplan", RunVerdict.INFRASTRUCTURE),
    }, [run.reason for run in played.own.results.runs]


def test_faults_strike_the_script_that_asks_for_them_alone(played: _Played) -> None:
    for name, times in (("fails", 1), ("uses_tool", 0)):
        _, files = played.own.run_of(name)
        assert files.wire is not None
        planted = [event for event in files.wire if event.type == "simulator.planted"]
        assert len(planted) == times


def test_scripts_on_the_same_lines_share_a_gateway_and_another_time_has_its_own(
    played: _Played,
) -> None:
    fails, uses_tool, at_night = (
        Path(str((played.own.run_of(name)[1].record or {})["recording"])).parent
        for name in ("fails", "uses_tool", "at_night")
    )
    assert fails == uses_tool != at_night


def test_a_tool_is_answered_by_its_mock_and_told(played: _Played) -> None:
    _, files = played.own.run_of("uses_tool")
    (tool,) = files.detail.tools
    assert (tool.name, tool.arguments, tool.ok) == ("lookup_invoice", {"which": "latest"}, True)
    assert tool.output == '{"amount": "forty two"}'
    assert tool.end_ms is not None
    assert tool.end_ms - tool.start_ms >= 300


def test_what_the_line_lost_is_measured_and_named(played: _Played) -> None:
    info, files = played.own.run_of("lossy")
    assert "were lost on the way to the" in info.reason
    loss_pct = files.detail.rtp["loss_pct"]
    assert isinstance(loss_pct, dict)
    assert loss_pct.keys() == {"to_bridge", "to_caller"}
    assert all(10 < float(str(pct)) < 35 for pct in loss_pct.values())


def test_what_happened_is_laid_on_the_callers_clock(played: _Played) -> None:
    _, files = played.own.run_of("uses_tool")
    first = {marker.kind: marker.at_ms for marker in reversed(files.markers)}
    order = ("committed", "response_created", "tool_started", "tool_ended", "first_delta")
    times = [first[kind] for kind in order]
    assert times == sorted(times)
    speech = [m.at_ms for m in files.markers if (m.lane, m.kind) == ("agent", "speech_started")]
    # What left the gateway is heard; on a busy machine the phone's clock falls behind the wall's.
    assert abs(speech[0] - first["first_rtp"]) < 500


def test_both_sides_words_are_told(played: _Played) -> None:
    _, files = played.own.run_of("uses_tool")
    caller, agent = files.detail.transcript
    assert (caller.text, caller.reference) == (_INVOICE, _INVOICE)
    assert (agent.text, agent.reference) == (_AMOUNT, _AMOUNT)


def test_what_cannot_be_played_says_why_and_harms_no_other(played: _Played) -> None:
    (run,) = (r for r in played.own.results.runs if r.script == "no_dialplan")
    assert "small.yaml" in run.reason
    assert overall(played.own.results) is RunVerdict.INFRASTRUCTURE


def test_a_live_arm_says_that_it_is_live(played: _Played) -> None:
    (arm,) = played.live.results.arms
    assert (arm.name, arm.kind, arm.model) == ("new", "live", "gpt-realtime")


def test_live_calls_wait_for_one_another_under_a_cap_and_say_what_they_cost(
    played: _Played,
) -> None:
    results = played.live.results
    assert [run.verdict for run in results.runs] == [RunVerdict.PASS, RunVerdict.PASS]
    records = [played.live.run("new", number)[1].record or {} for number in (1, 2)]
    first, second = sorted(records, key=lambda record: int(str(record["started_at_ms"])))
    assert int(str(first["ended_at_ms"])) < int(str(second["started_at_ms"]))
    costs = [float(str(record["cost_usd"])) for record in records]
    assert min(costs) > 0
    assert results.cost is not None
    assert results.cost.spent_usd == pytest.approx(sum(costs), abs=1e-5)
    assert results.stopped is None


def test_nothing_is_called_that_might_pass_the_cap(played: _Played) -> None:
    assert played.broke.results.runs == ()
    assert "the cost cap: 0.0000 USD of 0.0100 are spent" in (played.broke.results.stopped or "")
    assert overall(played.broke.results) is RunVerdict.INCONCLUSIVE


def test_a_live_call_that_could_not_be_placed_keeps_nobody_waiting_under_a_cap(
    played: _Played,
) -> None:
    results = played.lost.results
    assert [run.verdict for run in results.runs] == [RunVerdict.INFRASTRUCTURE]
    assert "might pass it" in (results.stopped or "")


def test_what_another_gateway_does_not_show_is_inconclusive_and_no_pass(played: _Played) -> None:
    info, files = played.target.run("ga")
    assert info.verdict is RunVerdict.INCONCLUSIVE
    assert "the gateway is another's" in info.reason
    passed = {check.kind for check in files.detail.checks if check.status is CheckStatus.PASS}
    assert "within_ms" in passed


def test_what_a_busy_machine_spoiled_is_placed_once_more_and_fails_if_the_same_is_found(
    played: _Played,
) -> None:
    info, _ = played.spoiled.run("ga")
    assert info.verdict is RunVerdict.FAIL
    assert info.reason.startswith("step 1")
    assert "shipped on Friday" in info.reason
    ((script, arm, reason),) = played.spoiled.again
    assert (script, arm) == ("asks", "ga")
    assert "too busy" in reason
    assert (info.attempts, info.spoiled_by) == (2, reason)
    assert played.spoiled.results.table[0].placed_again == 1


def test_what_a_running_gateway_does_not_tell_of_its_arm_is_unknown(played: _Played) -> None:
    (arm,) = played.target.results.arms
    assert (arm.kind, arm.url, arm.model, arm.dialect) == ("unknown", "unknown", "unknown", "ga")
    assert played.target.results.cost is None


def test_what_a_running_gateways_records_tell_of_its_arms_is_known(played: _Played) -> None:
    told = {arm.name: (arm.kind, arm.dialect, arm.model) for arm in played.rolled.results.arms}
    models = load_models()
    assert told == {name: ("unknown", name, models.newest(name)) for name in ("beta", "ga")}
    assert all(arm.url == "unknown" for arm in played.rolled.results.arms)


@pytest.mark.parametrize("arm", ["beta", "ga"])
def test_a_running_gateway_takes_each_call_on_the_arm_that_is_asked_for(
    played: _Played, arm: str
) -> None:
    info, files = played.rolled.run(arm)
    assert info.verdict is RunVerdict.PASS, info.reason
    assert (files.record or {})["arm"] == arm
    assert (files.record or {})["rollout_reason"] == "TARGETING_MATCH"
    assert any(check.kind == "target_arm" for check in files.detail.checks)


def test_a_running_gateways_wire_log_is_compared_across_its_arms(played: _Played) -> None:
    for arm, delta in (("beta", "response.audio.delta"), ("ga", "response.output_audio.delta")):
        _, files = played.rolled.run(arm)
        assert delta in {event.type for event in files.wire or ()}
    assert [f for f in played.rolled.results.protocol if f.difference.blocks] == []
