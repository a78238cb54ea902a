"""What a BYE carries: Reason headers (RFC 3326) both ways, and the caller's headers that go on.

The far end's Reason is looked for in the record; ours and the caller's headers in what leaves.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from bridge.app.gateway import Gateway
from bridge.errors import Outcome
from bridge.store.control import Answer
from bridge.store.local import LocalRedis
from bridge.telephony.end_reasons import reason_for
from tests.live.conftest import StartGateway
from tests.live.service import tone_service
from tests.live.talk import redis_events
from tests.support.raw_phone import RawCall, RawPhone, Received
from tests.support.supervisor import Supervisor
from tests.support.waiting import until_written, wait_until

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
            await until_written(tmp_path / "calls.jsonl", "the call has no record")
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
            await until_written(tmp_path / "calls.jsonl", "the call has no record")
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


NAMED = ["X-Account", "User-to-User", "Subject"]
GIVEN = [
    "X-Account: 4711; M\u00fcller\x0bVia: SIP/2.0/UDP forged\u2028Route: <sip:forged>",
    "User-to-User: 56a390f3;encoding=hex",
    "s: Two",
    "  lines",
    "X-Other: no",
]
GO_ON = {
    "X-Account": "4711; M\u00fcller Via: SIP/2.0/UDP forged Route: <sip:forged>",
    "User-to-User": "56a390f3;encoding=hex",
    "Subject": "Two lines",
}
OF_PJSIP = {"via", "max-forwards", "from", "to", "call-id", "cseq", "user-agent", "reason"}
OF_PJSIP |= {"content-length"}


def carries_what_goes_on(bye: Received) -> None:
    """Look at the bytes: each header once, none but PJSIP's, and what the dialplan names."""
    head = bye.text.partition("\r\n\r\n")[0].split("\r\n")[1:]
    names = [line.partition(":")[0].lower() for line in head]
    assert len(names) == len(set(names)), head
    assert set(names) - {name.lower() for name in GO_ON} <= OF_PJSIP
    assert {name: bye.header(name) for name in GO_ON} == GO_ON
    assert len(bye.text.encode()) < 1_300


async def shut_down(gateway: Gateway, call: RawCall) -> None:
    (runner,) = gateway.calls
    await wait_until(lambda: runner.record.summary.answered_at_ms, "it is not confirmed")
    runner.shut_down()


async def end_by_supervisor(gateway: Gateway, call: RawCall) -> None:
    (runner,) = gateway.calls
    await wait_until(lambda: runner.record.summary.answered_at_ms, "it is not confirmed")
    assert Supervisor(runner).orders("end", reason="Abuse", how="now") == Answer(True)


async def wait(gateway: Gateway, call: RawCall) -> None:
    """The call ends by itself."""


async def be_replaced(gateway: Gateway, call: RawCall) -> None:
    other = call.phone.invite(more=[f"Replaces: {call.replaces}"])
    await other.answered()


async def answer_without_audio(gateway: Gateway, call: RawCall) -> None:
    """The 200 has an offer, which this ACK leaves unanswered (RFC 3264 section 4)."""
    call.acknowledge(call.finals("INVITE")[0])


End = Callable[[Gateway, RawCall], Awaitable[None]]
WAYS: Mapping[str, tuple[End, Mapping[str, object], Mapping[str, object]]] = {
    "node shuts down": (shut_down, {}, {}),
    "supervisor": (end_by_supervisor, {}, {}),
    "limit": (wait, {"limits": {"max_call_s": 1, "warn_before_s": 0}}, {}),
    "far end is lost": (wait, {}, {"far_end_silent_s": 1}),
    "far end is replaced": (be_replaced, {}, {}),
    "no media": (answer_without_audio, {}, {}),
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_bye_of_ours_has_the_headers_that_go_on(
    start_gateway: StartGateway, way: str
) -> None:
    end, dialplan, sip = WAYS[way]
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(
            url, dialplan={"pass_headers": NAMED, **dialplan}, sip=sip
        )
        async with RawPhone(port) as phone:
            phone.acknowledges = way != "no media"
            call = phone.call()
            if way == "no media":
                call.last_invite = call.send("INVITE", more=GIVEN)
            else:
                call.invite(more=GIVEN)
            await end(gateway, await call.answered())
            await call.until(lambda: call.requests("BYE"))
    carries_what_goes_on(call.requests("BYE")[0])


async def test_a_call_that_is_refused_gives_no_header_back(start_gateway: StartGateway) -> None:
    """Nobody has talked yet: the refusal goes to whoever has written them."""
    async with tone_service() as (service, url):
        service.refusals.append(401)
        _, port = await start_gateway(url, dialplan={"pass_headers": NAMED})
        async with RawPhone(port) as phone:
            call = phone.invite(more=GIVEN)
            assert await call.final() >= 400
    (refusal,) = call.finals("INVITE")
    assert [refusal.headers(name) for name in GO_ON] == [[]] * len(GO_ON)
