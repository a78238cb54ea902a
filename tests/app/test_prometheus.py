"""A real Prometheus, with the rules of deploy/, scrapes a gateway that takes a real call."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis
from tests.deploy.rules import DEPLOY, read_rules
from tests.support.gateways import CallsInRedis, Gateway, serving, write_dialplan
from tests.support.prometheus import Json, Prometheus, prometheus
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]


@pytest.fixture
def gateway(simulator: str, redis: LocalRedis, tmp_path: Path) -> Iterator[Gateway]:
    dialplans = write_dialplan(tmp_path / "dialplans")
    sip = {
        "trunks": {"loopback": ["127.0.0.0/8"]},
        "trunk_probes": {"loopback": "sip:127.0.0.1:9"},  # which nobody answers
    }
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url, sip=sip) as gateway:
        yield gateway


async def test_prometheus_sees_a_call_and_leads_to_its_id(
    gateway: Gateway, redis: LocalRedis, tmp_path: Path
) -> None:
    async with prometheus(tmp_path, [gateway.http]) as prom:

        async def scraped() -> bool:
            return await prom.value('up{job="bridge"}') == 1

        await wait_until(scraped, "Prometheus did not scrape the gateway")
        async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
            assert await caller.call() == 200
            call_id = await calls.until_active(gateway.node)
            await caller.hang_up()
            await calls.until_ended(call_id)

        async def ended() -> bool:
            query = 'sum(bridge_calls_ended_total{job="bridge",outcome="completed"})'
            return await prom.value(query) == 1

        await wait_until(ended, "the call's end did not come to Prometheus")
        assert await prom.value('bridge_calls_answered_total{route="test",arm="local"}') == 1
        for series in (
            'bridge_sip_requests_total{method="INVITE",direction="in",trunk="loopback"}',
            'bridge_sip_responses_total{method="INVITE",code="200",direction="out",trunk="loopback"}',
            'bridge_sip_requests_total{method="BYE",direction="in",trunk="loopback"}',
        ):
            assert await prom.value(series) == 1
        assert (await prom.value('bridge_trunk_probes_total{trunk="loopback"}') or 0) >= 1
        assert await prom.value("count(bridge_upstream_disconnects_total{phase='close'})") == 1
        exemplars = await prom.get(
            "query_exemplars", query="bridge_calls_ended_total", start="0", end="9999999999"
        )
        ids = {each["labels"]["call_id"] for series in exemplars for each in series["exemplars"]}
        assert ids == {call_id}
        await _rules_are_in_good_health(prom)


def documented_models() -> list[str]:
    """Return the models that the pages' settings name for an arm."""
    pages = (DEPLOY.parent / "README.md", DEPLOY / "ROLLOUT.md", DEPLOY / "MIGRATION.md")
    found = [
        model
        for page in pages
        for model in re.findall(r"model: (gpt-realtime[\w.-]*)\b", page.read_text(encoding="utf-8"))
    ]
    return sorted({*found})


async def test_fresh_gateway_with_the_documented_models_has_no_alert_pending(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    models = documented_models()
    assert len(models) > 1
    ended = {"dialect": "beta", "model": "gpt-4o-realtime-preview"}  # elsewhere, not here
    arms = {
        "local": {"url": simulator, "api_key_env": "SIM_KEY"},
        "old": {"url": simulator, "api_key_env": "SIM_KEY", **ended},
        **{
            f"arm{number}": {"url": simulator, "api_key_env": "SIM_KEY", "model": model}
            for number, model in enumerate(models)
        },
    }
    dialplans = write_dialplan(tmp_path / "dialplans")
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url, arms=arms) as gateway:
        async with prometheus(tmp_path, [gateway.http]) as prom:

            async def scraped() -> bool:
                arms_seen = await prom.value("count(count by (arm) (bridge_arm_info))")
                return arms_seen == len(arms)

            await wait_until(scraped, "Prometheus did not scrape the gateway")
            await _rules_are_evaluated_after(prom, datetime.now(UTC))
            alerts = (await prom.get("alerts"))["alerts"]
            assert [each["annotations"]["summary"] for each in alerts] == []


async def _rules_are_evaluated_after(prom: Prometheus, moment: datetime) -> None:
    """Wait until each rule was evaluated with what was scraped by then."""

    async def evaluated() -> bool:
        groups = (await prom.get("rules"))["groups"]
        return all(datetime.fromisoformat(_seconds(each)) > moment for each in groups)

    await wait_until(evaluated, "the rules were not evaluated")


def _seconds(group: Json) -> str:
    """Return when a group was last evaluated, to the second before (it has nanoseconds)."""
    return re.sub(r"\.\d+", "", str(group["lastEvaluation"]))


async def _rules_are_in_good_health(prom: Prometheus) -> None:
    """Wait until every rule was evaluated against the gateway's own series, without an error."""
    states: dict[str, str] = {}

    async def evaluated() -> bool:
        groups = (await prom.get("rules"))["groups"]
        states.update({rule["name"]: rule["health"] for each in groups for rule in each["rules"]})
        return "unknown" not in states.values()

    await wait_until(evaluated, "the rules were not evaluated")
    assert set(states.values()) == {"ok"}
    assert states.keys() == {rule.get("alert") or rule["record"] for rule in read_rules()}
