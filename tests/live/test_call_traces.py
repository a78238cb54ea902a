"""Traces of calls that lose their session and are handed over, at a collector of the test's own."""

from http import HTTPStatus

import pytest

from tests.live.conftest import StartGateway
from tests.live.talk import talking
from tests.support.collector import attribute, collecting
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]

ANN = "sip:ann@127.0.0.1:5099"
SUMMARY = '{"summary": "Order 4711"}'
AGENT = {"instructions": "Be a test.", "tools": [{"name": "transfer_to_human"}]}
DIALPLAN = {
    "agent": {**AGENT, "greeting": "Hello."},
    "handoff": {"targets": {"ann": {"to": ANN}}},
}


@pytest.mark.parametrize(("final", "error"), [("200 OK", ""), ("486 Busy Here", "sip_486")])
async def test_a_recovery_and_a_handoff_are_spans_of_the_call(
    start_gateway: StartGateway, final: str, error: str
) -> None:
    async with collecting() as collector:
        async with talking(
            start_gateway,
            greeting_ms=300,
            dialplan=DIALPLAN,
            tracing={"endpoint": collector.url},
        ) as talk:
            caller = talk.caller
            caller.on_refer = lambda refer: caller.respond(refer, "202 Accepted")
            await talk.first.finish_response()
            await talk.silent()
            talk.service.refusals.append(HTTPStatus.SERVICE_UNAVAILABLE)
            talk.first.drop()
            second = await talk.service.session(2)
            await second.until(lambda: second.appended_ms > 0)
            wanted = {"call_id": "call_1", "name": "transfer_to_human", "arguments": SUMMARY}
            item = {"type": "function_call", "id": "s2_call", "status": "completed", **wanted}
            response = {"id": "s2_r", "object": "realtime.response", "status": "in_progress"}
            await second.tell("response.created", response={**response, "output": []})
            at = {"response_id": "s2_r", "output_index": 0}
            await second.tell("response.output_item.added", item=item, **at)
            await second.tell("response.output_item.done", item=item, **at)
            done = {**response, "status": "completed", "output": [item]}
            await second.tell("response.done", response=done)
            await caller.until(lambda: bool(caller.refers))
            caller.notify(final, over=True)
            if error:
                await wait_until(lambda: bool(collector.named("handoff")), "the hand-off's end")
                await caller.hang_up()
            else:
                await caller.until(caller.ended.is_set)
            await talk.over()
        await wait_until(lambda: bool(collector.named("call")), "the call's span")
    [root], [handoff], [recovery] = (
        collector.named(name) for name in ("call", "handoff", "session.recovery")
    )
    assert {handoff.parent_span_id, recovery.parent_span_id} == {root.span_id}
    assert attribute(handoff, "bridge.way") == "blind"
    assert attribute(handoff, "error.type") == error
    codes = [attribute(event, "error.type") for event in recovery.events]
    assert codes == ["close_1006", "http_503"]
    assert attribute(recovery, "error.type") == ""
    first, second_session = collector.named("session")
    assert attribute(first, "error.type") == "close_1006"
    assert first.end_time_unix_nano <= recovery.start_time_unix_nano
    assert recovery.end_time_unix_nano <= second_session.start_time_unix_nano
    for said in (b"ann@", b"4711"):
        assert said not in collector.raw
