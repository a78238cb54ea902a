"""Tools that the Realtime service runs at MCP servers: what is reported of them."""

from bridge.engine.effects import Effect
from bridge.engine.inputs import CallOffered, SessionFailed
from bridge.engine.news import ServerToolBegan, ServerToolEnded, ToolRefused, ToolsNotListed
from bridge.errors import UpstreamError
from bridge.realtime.event_values import Phase, ResponseStatus
from bridge.realtime.events import (
    ItemAdded,
    McpCallChanged,
    McpToolsListed,
    OutputItemAdded,
    OutputItemDone,
    ResponseDone,
)
from bridge.realtime.ids import ItemId
from bridge.realtime.items import McpApprovalRequest, McpCall, McpToolList
from tests.engine.calls import MS, R1, Call, done, of, thinking

LIST, RUN = ItemId("mcpl_1"), ItemId("mcp_1")
LISTING = McpToolList(type="mcp_list_tools", item_id=LIST, server_label="crm")


def item(error_type: str | None = None) -> McpCall:
    return McpCall(
        type="mcp_call",
        item_id=RUN,
        server_label="crm",
        name="find",
        arguments="{}",
        error_type=error_type,
    )


def changed(phase: Phase) -> McpCallChanged:
    return McpCallChanged(RUN, 0, phase)


def told(effects: list[Effect]) -> list[Effect]:
    kinds = (ServerToolBegan, ServerToolEnded, ToolsNotListed)
    return [each for each in effects if isinstance(each, kinds)]


def running() -> Call:
    call = thinking()
    begun = call.feed(OutputItemAdded(R1, 0, item()), changed(Phase.IN_PROGRESS))
    assert told(begun) == [ServerToolBegan("find", "crm")]
    return call


def test_tools_that_could_not_be_listed_are_reported_even_before_the_answer() -> None:
    call = Call()
    call.feed(CallOffered())
    call.feed(McpToolsListed(LIST, Phase.IN_PROGRESS), ItemAdded(LISTING))
    assert told(call.feed(McpToolsListed(LIST, Phase.FAILED))) == [ToolsNotListed("crm")]


def test_tools_that_were_listed_are_no_news() -> None:
    call = thinking()
    call.feed(McpToolsListed(LIST, Phase.IN_PROGRESS), ItemAdded(LISTING))
    assert told(call.feed(McpToolsListed(LIST, Phase.COMPLETED))) == []


def test_call_is_reported_once_with_what_came_of_it() -> None:
    call = running()
    ended = call.feed(changed(Phase.COMPLETED), after_ms=40)
    assert told(ended) == [ServerToolEnded("find", "crm", "ok", 40 * MS)]
    assert told(call.feed(OutputItemDone(R1, 0, item()), done(R1))) == []


def test_failed_call_is_reported_as_failed() -> None:
    ended = running().feed(changed(Phase.FAILED), after_ms=40)
    assert told(ended) == [ServerToolEnded("find", "crm", "mcp_failed", 40 * MS)]


def test_failure_that_only_the_item_names_is_reported() -> None:
    ended = running().feed(OutputItemDone(R1, 0, item("http_error")), after_ms=40)
    assert told(ended) == [ServerToolEnded("find", "crm", "http_error", 40 * MS)]


def test_call_whose_response_was_cancelled_or_session_lost_ends_as_no_failure() -> None:
    cancelled = ResponseDone(R1, ResponseStatus.CANCELLED)
    gone = SessionFailed(UpstreamError("gone", code="closed", close_code=1006))
    for event in (cancelled, gone):
        ended = running().feed(event, after_ms=40)
        assert told(ended) == [ServerToolEnded("find", "crm", "cancelled", 40 * MS)]


def test_call_that_the_bridge_refused_is_reported_as_the_refusal_alone() -> None:
    call = thinking()
    call.feed(OutputItemAdded(R1, 0, item()))
    request = McpApprovalRequest(
        type="mcp_approval_request",
        item_id=ItemId("mcpr_1"),
        server_label="crm",
        name="find",
        arguments="{}",
    )
    refused = call.feed(OutputItemDone(R1, 1, request))
    assert of(ToolRefused, refused) == [ToolRefused("find", "not_approved")]
    assert told(call.feed(changed(Phase.FAILED), OutputItemDone(R1, 0, item("x")))) == []


def test_event_of_an_unknown_item_is_passed_over() -> None:
    assert told(thinking().feed(changed(Phase.IN_PROGRESS), changed(Phase.FAILED))) == []
