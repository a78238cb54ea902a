"""What is recorded of a call's tools: who has to act on a failure, and what is none."""

import pytest

from bridge.engine.news import ServerToolBegan, ServerToolEnded, ToolRefused, ToolsNotListed
from bridge.live.recording import Fields
from bridge.live.records.summary import CallSummary
from bridge.live.records.tools import ToolRecord
from bridge.realtime.ids import ToolCallId
from bridge.telemetry.metrics import Metrics
from bridge.tools.webhook import ToolResult, failed

MS = 1_000_000


class NeverPaused:
    """A recording that nothing holds."""

    paused = False


class Events:
    """A call's events: what is recorded of them."""

    def __init__(self, recorded: list[tuple[str, Fields]]) -> None:
        self._recorded = recorded

    def record(self, kind: str, fields: Fields) -> None:
        self._recorded.append((kind, fields))

    def notice(self, kind: str, fields: Fields) -> None:
        assert kind in ("tool_began", "tool_over")


class Told:
    """A record of tools, with all that it gives."""

    def __init__(self) -> None:
        self.summary = CallSummary("call_1", "support", "b", "ga", "100")
        self.metrics = Metrics("test")
        self.events: list[tuple[str, Fields]] = []
        self.record = ToolRecord(
            Events(self.events),  # type: ignore[arg-type]  # its two doors alone are used
            self.summary,
            NeverPaused(),  # type: ignore[arg-type]  # nothing else of a recording is asked
            self.metrics.tools,
        )

    def counted(self) -> list[str]:
        text = self.metrics.render()[0].decode()
        return [line for line in text.splitlines() if line.startswith("bridge_tool_calls_total{")]


@pytest.fixture
def told() -> Told:
    return Told()


def test_failed_tool_names_who_has_to_act_in_record_event_and_metric(told: Told) -> None:
    told.record.ended(ToolCallId("c1"), "lookup", failed("private_address", "no"), 20 * MS)
    (run,) = told.summary.tools
    assert (run.ok, run.result, run.fault, run.took_ms) == (False, "private_address", "config", 20)
    (event,) = told.events
    assert event == (
        "tool_ended",
        {
            "tool": "lookup",
            "result": "private_address",
            "fault": "config",
            "server": None,
            "took_ms": 20,
        },
    )
    (line,) = told.counted()
    for label in ('arm="b"', 'tool="lookup"', 'result="private_address"', 'fault="config"'):
        assert label in line


def test_tool_stopped_by_the_callers_barge_in_is_no_failure(told: Told) -> None:
    told.record.ended(ToolCallId("c1"), "lookup", ToolResult("{}"), 20 * MS)
    told.record.ended(ToolCallId("c1"), "lookup", failed("cancelled", "nobody waits"), 5 * MS)
    assert [run.failed for run in told.summary.tools] == [False, False]
    assert told.summary.tool_success_rate == 1.0
    assert any('result="cancelled"' in line and 'fault="none"' in line for line in told.counted())


def test_tools_that_were_all_stopped_have_no_rate(told: Told) -> None:
    told.record.ended(ToolCallId("c1"), "lookup", failed("cancelled", "nobody waits"), 5 * MS)
    assert told.summary.tool_success_rate is None


def test_servers_tool_is_a_run_and_a_failed_listing_is_one_too(told: Told) -> None:
    take = told.record.effects
    take[ToolsNotListed](ToolsNotListed("crm"))
    take[ServerToolBegan](ServerToolBegan("find", "crm"))
    take[ServerToolEnded](ServerToolEnded("find", "crm", "mcp_failed", 30 * MS))
    runs = [(run.name, run.result, run.fault, run.took_ms) for run in told.summary.tools]
    assert runs == [("crm", "mcp_not_listed", "tool", 0), ("find", "mcp_failed", "tool", 30)]
    assert [kind for kind, _ in told.events] == ["tools_not_listed", "tool_called", "tool_ended"]
    assert [dict(fields or {}).get("server") for _, fields in told.events] == ["crm"] * 3
    assert len(told.counted()) == 2


def test_tool_that_the_model_made_up_is_the_providers(told: Told) -> None:
    told.record.effects[ToolRefused](ToolRefused("fly", "unknown"))
    assert [run.fault for run in told.summary.tools] == ["provider"]
    refused = {"tool": "fly", "reason": "unknown", "fault": "provider"}
    assert told.events == [("tool_refused", refused)]
