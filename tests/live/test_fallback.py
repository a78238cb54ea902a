"""Calls whose session can't be had again, over real SIP: phrase, transfer, goodbye."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from structlog.testing import capture_logs

from bridge.live.records.summary import CallSummary
from bridge.store.local import LocalRedis
from tests.live.conftest import StartGateway
from tests.live.ear import rendered, share_heard
from tests.live.service import tone_service
from tests.live.sip_kept import kept, short
from tests.live.talk import DEAD_AIR_MS, Talk, placed, redis_call, redis_events, talking
from tests.support.machine import Timing
from tests.support.person import a_person
from tests.support.ports import free_port
from tests.support.rtp_caller import header

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

QUEUE = "sip:queue@127.0.0.1:5070"
SORRY = "I am sorry, our assistant cannot be reached. I am putting you through."
UNREACHABLE = "Nobody could be reached. Please call again later."
MOST = 0.8
"""Of a phrase. All of it, but on a machine that could not keep up."""

SPEAKS = {"say": SORRY}
TRANSFERS = {"say": SORRY, "then": "transfer", "to": QUEUE, "say_if_failed": UNREACHABLE}


def said_by_the_bridge(summary: CallSummary) -> list[str]:
    return [turn.text for turn in summary.turns if turn.speaker == "bridge"]


async def refuse(talk: Talk) -> None:
    """Have the service end the session for good, as OpenAI did with the beta dialect."""
    await talk.first.finish_response()
    await talk.silent()
    error = {
        "type": "invalid_request_error",
        "code": "beta_api_shape_disabled",
        "message": "gone",
        "param": None,
    }
    talk.service.refuse_all = HTTPStatus.FORBIDDEN
    await talk.first.tell("error", error=error)
    await talk.first.close(4000, "invalid_request_error.beta_api_shape_disabled")


@asynccontextmanager
async def referred(
    start_gateway: StartGateway,
    fallback: Mapping[str, object] = TRANSFERS,
    sip: Mapping[str, object] | None = None,
) -> AsyncIterator[Talk]:
    """Have a call whose session is gone, and whose far end has accepted a REFER."""
    plan = {"fallback": fallback}
    async with talking(start_gateway, greeting_ms=300, dialplan=plan, sip=sip) as talk:
        caller = talk.caller
        caller.on_refer = lambda refer: caller.respond(refer, "202 Accepted")
        await refuse(talk)
        await caller.until(lambda: bool(caller.refers))
        yield talk


async def told(redis: LocalRedis, summary: CallSummary) -> Mapping[str, dict[str, str]]:
    """Return the call's events in Redis, the last one of each kind."""
    return {each["kind"]: each for each in await redis_events(redis, summary)}


async def test_caller_hears_why_and_then_our_bye(
    start_gateway: StartGateway, redis: LocalRedis, timing: Timing
) -> None:
    async with talking(start_gateway, greeting_ms=300, dialplan={"fallback": SPEAKS}) as talk:
        await refuse(talk)
        refused_ns = talk.caller.heard[-1].arrived_ns
        await talk.caller.until(talk.caller.ended.is_set)
        assert share_heard(talk.caller, rendered(talk.gateway, SORRY)) >= MOST
        timing.check("silence", talk.longest_silence_ms(refused_ns), most_ms=DEAD_AIR_MS)
        summary = await talk.over()
    assert said_by_the_bridge(summary) == [SORRY]
    assert (summary.outcome, summary.fault, summary.reason) == (
        "session_lost",
        "config",
        "beta_api_shape_disabled",
    )
    events = await told(redis, summary)
    assert (events["gave_up"]["reason"], events["gave_up"]["fallback"]) == ("refused", "hang_up")
    turns = [each for each in await redis_events(redis, summary) if each.get("speaker") == "bridge"]
    assert [each["text"] for each in turns] == [SORRY]


async def test_target_goes_into_the_refer_as_its_trunk_writes_numbers(
    start_gateway: StartGateway,
) -> None:
    numbers = {"country_code": "49", "national_prefix": "0", "out": "national"}
    german = {"addresses": "192.0.2.9", "numbers": numbers}
    to = {**TRANSFERS, "to": "sip:+493012345678@192.0.2.9"}
    async with referred(start_gateway, to, sip={"trunks": {"german": german}}) as talk:
        assert header(talk.caller.refers[0], "Refer-To") == "<sip:03012345678@192.0.2.9>"


async def test_refer_has_the_headers_that_are_set_for_the_callers_trunk(
    start_gateway: StartGateway,
) -> None:
    headers = {"P-Asserted-Identity": "<sip:+15550100@acme.example>", "X-Account": "17"}
    carrier = {"addresses": "127.0.0.1", "headers": headers}
    async with referred(start_gateway, sip={"trunks": {"carrier": carrier}}) as talk:
        assert {name: header(talk.caller.refers[0], name) for name in headers} == headers


async def test_caller_is_put_through(start_gateway: StartGateway, redis: LocalRedis) -> None:
    async with referred(start_gateway) as talk:
        caller = talk.caller
        assert header(caller.refers[0], "Refer-To") == f"<{QUEUE}>"
        assert share_heard(caller, rendered(talk.gateway, SORRY)) >= MOST  # before, not beside it
        caller.notify("180 Ringing", over=False)
        await talk.heard_loud(30)  # tones: nobody has answered there yet
        assert not caller.ended.is_set()
        caller.notify("200 OK", over=True)
        await caller.until(caller.ended.is_set)
        silence_ms = talk.longest_silence_ms()
        summary = await talk.over()
    print(f"longest silence {silence_ms:.0f} ms in a transfer")
    assert (summary.outcome, summary.fault, summary.reason) == (
        "transferred",
        "config",
        "beta_api_shape_disabled",
    )
    assert [(each.to, each.result) for each in summary.handoffs] == [(QUEUE, "completed")]
    assert said_by_the_bridge(summary) == [SORRY]
    events = await told(redis, summary)
    assert events["handoff_started"]["to"] == QUEUE
    assert int(events["handoff_completed"]["took_ms"]) > 0
    state = await redis_call(redis, summary)
    assert (state["outcome"], state["fault"]) == ("transferred", "config")
    text = talk.gateway.metrics.render()[0].decode()
    assert 'bridge_transfers_total{kind="blind",reason="none",result="ok"} 1.0' in text


async def test_caller_who_cannot_be_put_through_is_told(
    start_gateway: StartGateway, redis: LocalRedis, timing: Timing
) -> None:
    port = free_port()
    fallback = {**TRANSFERS, "to": f"sip:queue@127.0.0.1:{port}"}
    async with talking(start_gateway, greeting_ms=300, dialplan={"fallback": fallback}) as talk:
        talk.caller.on_refer = lambda refer: talk.caller.respond(refer, "603 Decline")
        async with a_person(talk.caller.port, port, 486) as person:
            await refuse(talk)
            await talk.caller.until(talk.caller.ended.is_set)
        assert len(person.invites) == 1  # the bridge has tried it, too
        assert share_heard(talk.caller, rendered(talk.gateway, SORRY)) >= MOST
        assert share_heard(talk.caller, rendered(talk.gateway, UNREACHABLE)) >= MOST
        silence_ms = talk.longest_silence_ms()
        summary = await talk.over()
    print(f"longest silence {silence_ms:.0f} ms round a refused transfer")
    timing.check("silence", silence_ms, most_ms=DEAD_AIR_MS)
    assert said_by_the_bridge(summary) == [SORRY, UNREACHABLE]
    assert (summary.outcome, summary.fault, summary.reason) == (
        "session_lost",
        "config",
        "beta_api_shape_disabled",
    )
    directory = talk.gateway._settings.media.recordings_dir
    _, messages = await kept(directory, summary.call_id)
    of_person = short([each for each in messages if each["party"] == "person"])
    assert of_person[0] == ("<", "INVITE")
    assert of_person[-2:] == [(">", "486 INVITE"), ("<", "ACK")]
    assert (">", "603 REFER") in short([each for each in messages if each["party"] == "caller"])
    events = await told(redis, summary)
    assert events["handoff_failed"]["reason"] == "sip_486"
    state = await redis_call(redis, summary)
    assert (state["outcome"], state["fault"], state["phase"]) == (
        "session_lost",
        "config",
        "ended",
    )
    text = talk.gateway.metrics.render()[0].decode()
    assert 'bridge_transfers_total{kind="bridged",reason="sip_486",result="failed"} 1.0' in text


async def test_call_is_answered_for_the_fallback(
    start_gateway: StartGateway, redis: LocalRedis
) -> None:
    async with (
        tone_service() as (service, url),
        placed(start_gateway, url, {**TRANSFERS, "before_answer": "answer"}) as (gateway, caller),
    ):
        service.refuse_all = HTTPStatus.SERVICE_UNAVAILABLE
        caller.on_refer = lambda refer: caller.respond(refer, "202 Accepted")
        assert await caller.call() == 200
        (runner,) = gateway.calls
        await caller.until(lambda: bool(caller.refers))
        assert share_heard(caller, rendered(gateway, SORRY)) >= MOST
        caller.send_bye()  # as a trunk does that has taken the call back
        await asyncio.gather(*gateway.calls.values())
    summary = runner.record.summary
    assert (summary.outcome, summary.fault, summary.reason) == (
        "transferred",
        "provider",
        "http_503",
    )
    assert "handoff_completed" in await told(redis, summary)


async def test_call_that_still_rings_is_refused_by_default(start_gateway: StartGateway) -> None:
    async with (
        tone_service() as (service, url),
        placed(start_gateway, url, TRANSFERS) as (
            gateway,
            caller,
        ),
    ):
        service.refuse_all = HTTPStatus.SERVICE_UNAVAILABLE
        assert await caller.call() == 503
        await asyncio.gather(*gateway.calls.values())
        assert caller.heard == []


async def test_outage_is_filled_with_a_phrase_and_the_agent_waits_for_its_end(
    start_gateway: StartGateway,
) -> None:
    moment = "One moment, please."
    dialplan = {"recovery": {"filler": moment, "filler_after_s": 0.5}}
    async with talking(start_gateway, greeting_ms=300, dialplan=dialplan) as talk:
        talk.service.refusals.append(1.5)  # back in the middle of the phrase
        talk.service.tone_ms = 1_000
        talk.first.drop()
        second = await talk.service.session(2)
        await second.until_sent("response.create")
        await second.finish_response()
        await talk.heard_loud(70)  # the phrase, and the agent's second behind it
        await talk.silent(75)
        assert share_heard(talk.caller, rendered(talk.gateway, moment)) >= MOST
        await talk.caller.hang_up()
        summary = await talk.over()
    assert said_by_the_bridge(summary) == [moment]
    assert summary.outcome == "completed"
    assert "conversation.item.truncate" not in [each["type"] for each in second.sent]


async def test_phrase_without_a_voice_is_a_tone_and_one_warning(
    start_gateway: StartGateway,
) -> None:
    agent = {"instructions": "Be a test.", "greeting": "Hello.", "language": "tlh-Piqd"}
    port = free_port()
    fallback = {**TRANSFERS, "to": f"sip:queue@127.0.0.1:{port}"}
    with capture_logs() as logs:
        async with (
            talking(
                start_gateway, greeting_ms=300, dialplan={"agent": agent, "fallback": fallback}
            ) as talk,
            a_person(talk.caller.port, port, 486),
        ):
            await refuse(talk)
            loud = sum(each.loud for each in talk.caller.heard)
            await talk.caller.until(talk.caller.ended.is_set)
            # Two tones of 300 ms, for what could not be said before and after the REFER.
            assert 20 <= sum(each.loud for each in talk.caller.heard) - loud <= 40
            summary = await talk.over()
    assert len(talk.caller.refers) == 1
    assert said_by_the_bridge(summary) == []
    warnings = [each for each in logs if each["event"] == "phrases_not_rendered"]
    assert [each["count"] for each in warnings] == [2]
