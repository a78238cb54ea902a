"""Tools of MCP servers in a phone call: run by the service in GA, left out in beta."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.audio.resample import downsample_whole
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from bridge.telemetry.scrape import Scrape
from tests.simulator.test_official_order import talkative
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Record, serving, write_dialplan
from tests.support.processes import SIMULATOR_KEY, simulating
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

TRACK, REFUND = "Where is my order?", "Give me my money back."


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that reaches the MCP server ``orders`` and no other."""
    place = tmp_path_factory.mktemp("tracker")
    scenario = place / "scenario.yaml"
    scenario.write_text(json.dumps(talkative().model_dump(mode="json", by_alias=True)))
    with simulating(place, scenario) as url:
        yield url


async def ask(
    url: str, redis: LocalRedis, dialect: str, directory: Path
) -> tuple[Record, list[dict[str, str]], list[str], Scrape]:
    """Ask for the order, then for the money; return record, events, answers, metrics."""
    servers = [
        {"label": label, "url": f"https://{label}.example.com/mcp", "approval": "never"}
        for label in ("orders", "strange")
    ]
    arm = {"dialect": dialect, "url": url, "api_key_env": "SIM_KEY"}
    with serving(
        directory,
        url,
        write_dialplan(directory / "dialplans", {**PLAIN_AGENT, "mcp_servers": servers}),
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY},
        arms={"local": arm},
    ) as gateway:
        async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
            assert await caller.call() == 200
            call_id = await calls.until_active(gateway.node)
            said = []
            for nth, question in enumerate((TRACK, REFUND), start=1):
                caller.speak(downsample_whole(Synthesizer("en-us", 150).say(question)))
                said.append(await calls.until_spoken(call_id, "agent", nth))
            await caller.hang_up()
            await calls.until_ended(call_id)
            events = [fields for _, fields in await calls.reader.events(call_id)]
        return await gateway.record_of(call_id), events, said, await gateway.metrics()


async def test_tools_that_the_service_runs_are_events_metrics_and_tool_runs(
    tracker: str, redis: LocalRedis, tmp_path: Path
) -> None:
    record, events, said, metrics = await ask(tracker, redis, "ga", tmp_path)
    assert said == ["It arrives on Friday.", "That did not work."]
    runs = [(each["name"], each["result"], each["fault"]) for each in record["tools"]]
    assert runs == [
        ("strange", "mcp_not_listed", "tool"),
        ("track", "ok", "none"),
        ("refund", "mcp_failed", "tool"),
    ]
    kinds = ("tools_not_listed", "tool_called", "tool_ended")
    told = [
        (each["kind"], each["server"], each.get("tool"), each.get("result"))
        for each in events
        if each["kind"] in kinds
    ]
    assert told == [
        ("tools_not_listed", "strange", None, None),
        ("tool_called", "orders", "track", None),
        ("tool_ended", "orders", "track", "ok"),
        ("tool_called", "orders", "refund", None),
        ("tool_ended", "orders", "refund", "mcp_failed"),
    ]
    counted = "bridge_tool_calls_total"
    assert metrics.value(counted, arm="local", tool="track", result="ok") == 1
    assert metrics.value(counted, arm="local", tool="refund", fault="tool") == 1
    assert metrics.value(counted, arm="local", tool="strange", result="mcp_not_listed") == 1


async def test_beta_has_no_mcp_so_the_agent_goes_without_and_the_call_stands(
    tracker: str, redis: LocalRedis, tmp_path: Path
) -> None:
    record, events, said, metrics = await ask(tracker, redis, "beta", tmp_path)
    assert said == ["I cannot look that up.", "That did not work."]
    assert record["outcome"] == "completed"
    assert record["tools"] == []
    assert not [each for each in events if each["kind"].startswith("tool")]
    assert metrics.value("bridge_tool_calls_total") == 0
