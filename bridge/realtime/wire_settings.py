"""Settings that every dialect spells alike: turn detection and tools (`protocol.md` section 4)."""

from typing import assert_never

from bridge.realtime.session_config import (
    FunctionTool,
    ManualTurns,
    McpTool,
    SemanticVad,
    ServerVad,
    Tool,
    TurnDetection,
)
from bridge.realtime.wire import WireObject, given


def encode_turn_detection(detection: TurnDetection) -> WireObject | None:
    """Spell turn detection; None (JSON null) is how the wire says off."""
    match detection:
        case ServerVad():
            return given(
                type="server_vad",
                threshold=detection.threshold,
                prefix_padding_ms=detection.prefix_padding_ms,
                silence_duration_ms=detection.silence_duration_ms,
                create_response=detection.create_response,
                interrupt_response=detection.interrupt_response,
                idle_timeout_ms=detection.idle_timeout_ms,
            )
        case SemanticVad():
            return given(
                type="semantic_vad",
                eagerness=detection.eagerness,
                create_response=detection.create_response,
                interrupt_response=detection.interrupt_response,
            )
        case ManualTurns():
            return None
        case _:
            assert_never(detection)


def encode_tool(tool: Tool) -> WireObject:
    """Spell a tool (flat: there is no nested ``function`` object)."""
    match tool:
        case FunctionTool():
            return {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            }
        case McpTool():
            return {**tool.settings, "type": "mcp", "server_label": tool.server_label}
        case _:
            assert_never(tool)
