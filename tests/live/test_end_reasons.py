"""Reason headers (RFC 3326) both ways: the far end's in the record, ours on what really leaves."""

import json
from pathlib import Path

import pytest

from bridge.errors import Outcome
from bridge.store.local import LocalRedis
from bridge.telephony.end_reasons import reason_for
from tests.live.conftest import StartGateway
from tests.live.service import tone_service
from tests.live.talk import redis_events
from tests.support.raw_phone import RawPhone
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_reason_that_stands_in_a_header(outcome: Outcome) -> None:
    value = str(reason_for(outcome))
    assert value.isascii()
    assert value.startswith("Q.850;cause=")
    assert value.count('"') == 2


async def test_what_the_far_end_says_in_its_bye_is_in_the_record(
    start_gateway: StartGateway, redis: LocalRedis, tmp_path: Path
) -> None:
    said = ['Reason: SIP;cause=200;text="Call completed elsewhere"', "Reason: Q.850;cause=16"]
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(url)
        async with RawPhone(port) as phone:
            call = await phone.invite().answered()
            (runner,) = gateway.calls
            forged = call.compose("BYE", more=['Reason: Q.850;cause=1;text="forged"'])
            phone.transmit(forged.replace(f";tag={call.far_tag}", ";tag=another"))
            call.send("BYE", more=said)
            await call.final("BYE")
            await wait_until((tmp_path / "calls.jsonl").exists, "the call has no record")
    summary = runner.record.summary
    told = 'SIP;cause=200;text="Call completed elsewhere", Q.850;cause=16'
    assert (summary.reason, summary.far_end_reason) == ("caller_hung_up", told)
    assert json.loads((tmp_path / "calls.jsonl").read_text())["far_end_reason"] == told
    record = json.loads((tmp_path / f"{summary.call_id}.json").read_text())
    assert record["far_end_reason"] == told
    (ended,) = [e for e in await redis_events(redis, summary) if e["kind"] == "ended"]
    assert ended["far_end_reason"] == told


async def test_what_the_far_end_says_in_its_cancel_is_in_the_record(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    said = 'Reason: Q.850;cause=19;text="No answer, account number 4111111111111111"'
    async with tone_service() as (service, url):
        service.refusals.append(3_600.0)
        gateway, port = await start_gateway(url)
        async with RawPhone(port) as phone:
            call = phone.invite()
            await call.until(lambda: call.messages)
            (runner,) = gateway.calls
            branch = call.last_invite.partition("branch=")[2].partition(";")[0]
            phone.transmit(call.compose("CANCEL", more=[said], branch=branch))
            assert await call.final() == 487
            await wait_until((tmp_path / "calls.jsonl").exists, "the call has no record")
    summary = runner.record.summary
    assert summary.outcome == "cancelled"
    assert summary.far_end_reason.startswith("Q.850;cause=19;")
    assert "4111111111111111" not in summary.far_end_reason


async def test_our_bye_says_why(start_gateway: StartGateway) -> None:
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(url)
        async with RawPhone(port) as phone:
            call = await phone.invite().answered()
            (runner,) = gateway.calls
            await wait_until(lambda: runner.record.summary.answered_at_ms, "it is not confirmed")
            runner.shut_down()
            await call.until(lambda: call.requests("BYE"))
    (bye,) = call.requests("BYE")
    assert bye.headers("Reason") == ['Q.850;cause=41;text="Shutting down"']
