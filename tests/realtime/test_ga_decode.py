"""GA server events, from golden lines to canonical events."""

import dataclasses
import json

import pytest

from bridge.realtime.event_values import ApiError, Phase, RateLimit, ResponseStatus, Usage
from bridge.realtime.events import (
    AudioDelta,
    AudioDone,
    ContentPartAdded,
    ContentPartDone,
    ConversationCreated,
    DtmfReceived,
    ErrorReported,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    InputCleared,
    InputCommitted,
    InputTimedOut,
    InputTranscriptCompleted,
    InputTranscriptDelta,
    InputTranscriptFailed,
    InputTranscriptSegment,
    ItemAdded,
    ItemDeleted,
    ItemDone,
    ItemRetrieved,
    ItemTruncated,
    McpArgumentsDelta,
    McpArgumentsDone,
    McpCallChanged,
    McpToolsListed,
    OutputBufferChanged,
    OutputItemAdded,
    OutputItemDone,
    RateLimitsUpdated,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    TextDelta,
    TextDone,
    TranscriptDelta,
    TranscriptDone,
)
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    ItemStatus,
    McpApproval,
    McpApprovalRequest,
    McpCall,
    McpToolList,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.session_config import AudioFormat, SessionInfo
from tests.realtime import decoding, golden
from tests.realtime.golden import DIALECTS

GA = DIALECTS["ga"]


def item(number: int) -> ItemId:
    return ItemId(f"item_CeRxC{number}")


def resp(number: int) -> ResponseId:
    return ResponseId(f"resp_CeRxD{number}")


def said(number: int, status: ItemStatus, *parts: ContentPart, phase: str | None = None) -> Message:
    return Message(Role.ASSISTANT, parts, item(number), status, phase)


CALL = ToolCallId("call_Kx7")
MCP_LIST = ItemId("mcpl_CeRxE1")
MCP_CALL = ItemId("mcp_CeRxE2")
MCP_REQUEST = ItemId("mcpr_CeRxE3")
SHIPS = ContentPart(PartKind.OUTPUT_AUDIO, text="Your order ships tomorrow.")
PCM = AudioFormat.PCM_24KHZ

EXPECTED: list[ServerEvent] = [
    SessionCreated(SessionInfo("sess_CeRxA1", "gpt-realtime-2.1", 1795267200, "marin", PCM, PCM)),
    SessionUpdated(
        SessionInfo(
            "sess_CeRxA1",
            "gpt-realtime-2.1",
            1795267200,
            "voice_8842",
            AudioFormat.PCMU,
            AudioFormat.PCMA,
        )
    ),
    ConversationCreated("conv_CeRxB2"),
    ItemAdded(
        Message(
            Role.SYSTEM,
            (ContentPart(PartKind.INPUT_TEXT, text="The caller is a member."),),
            item(1),
            ItemStatus.COMPLETED,
        )
    ),
    ItemAdded(
        Message(Role.USER, (ContentPart(PartKind.INPUT_AUDIO),), item(2), ItemStatus.COMPLETED),
        item(1),
    ),
    ItemDone(said(3, ItemStatus.COMPLETED, SHIPS, phase="final_answer"), item(2)),
    ItemRetrieved(said(3, ItemStatus.COMPLETED, dataclasses.replace(SHIPS, audio=b"\x00\x00\x00"))),
    ItemTruncated(item(3), 0, 1480),
    ItemDeleted(item(1)),
    InputTranscriptDelta(item(2), 0, "Where is"),
    InputTranscriptCompleted(
        item(2), 0, "Where is my order?", Usage(input_audio=17, output_text=5, total=22)
    ),
    InputTranscriptCompleted(item(4), 0, "Thanks.", Usage(seconds=1.7)),
    InputTranscriptFailed(
        item(5),
        0,
        ApiError(
            "transcription_error", "The audio could not be transcribed.", "audio_unintelligible"
        ),
    ),
    InputTranscriptSegment(item(2), 0, "Where is my order?", "speaker_1", 0.32, 1.9),
    InputCommitted(item(2)),
    InputCleared(),
    SpeechStarted(item(2), 1012),
    SpeechStopped(item(2), 2944),
    InputTimedOut(item(6), 13216, 19232),
    DtmfReceived("9", 1763605109),
    ResponseCreated(resp(1), {"turn": "1"}, "conv_CeRxB2"),
    ResponseDone(
        resp(1),
        ResponseStatus.COMPLETED,
        (said(3, ItemStatus.COMPLETED, SHIPS),),
        usage=Usage(
            input_text=119,
            input_audio=13,
            cached_text=64,
            output_text=30,
            output_audio=91,
            total=253,
        ),
    ),
    ResponseDone(
        resp(2),
        ResponseStatus.CANCELLED,
        (said(7, ItemStatus.INCOMPLETE, ContentPart(PartKind.OUTPUT_AUDIO, text="Let me")),),
        reason="turn_detected",
    ),
    ResponseDone(resp(3), ResponseStatus.FAILED, error_code="insufficient_quota"),
    OutputItemAdded(resp(1), 0, said(3, ItemStatus.IN_PROGRESS)),
    OutputItemDone(
        resp(4),
        1,
        FunctionCall(CALL, "find_order", '{"number":"4711"}', item(8), ItemStatus.COMPLETED),
    ),
    ContentPartAdded(
        response_id=resp(1), item_id=item(3), part=ContentPart(PartKind.OUTPUT_AUDIO, text="")
    ),
    ContentPartDone(
        response_id=resp(5), item_id=item(9), part=ContentPart(PartKind.OUTPUT_TEXT, text="Done.")
    ),
    TextDelta(response_id=resp(5), item_id=item(9), delta="Do"),
    TextDone(response_id=resp(5), item_id=item(9), text="Done."),
    AudioDelta(response_id=resp(1), item_id=item(3), audio=b"\x01\x02\x03\x04\xff\xfe"),
    AudioDone(response_id=resp(1), item_id=item(3)),
    TranscriptDelta(response_id=resp(1), item_id=item(3), delta="Your order"),
    TranscriptDone(response_id=resp(1), item_id=item(3), transcript="Your order ships tomorrow."),
    FunctionArgumentsDelta(
        response_id=resp(4), item_id=item(8), call_id=CALL, delta='{"number"', output_index=1
    ),
    FunctionArgumentsDone(
        response_id=resp(4),
        item_id=item(8),
        call_id=CALL,
        arguments='{"number":"4711"}',
        name="find_order",
        output_index=1,
    ),
    FunctionArgumentsDone(
        response_id=resp(4), item_id=item(8), call_id=CALL, arguments="{}", output_index=1
    ),
    RateLimitsUpdated((RateLimit("tokens", 250000, 249747, 0.061),)),
    OutputBufferChanged(resp(1), "started"),
    OutputBufferChanged(resp(1), "stopped"),
    OutputBufferChanged(resp(1), "cleared"),
    McpToolsListed(MCP_LIST, Phase.IN_PROGRESS),
    McpToolsListed(MCP_LIST, Phase.COMPLETED),
    McpToolsListed(MCP_LIST, Phase.FAILED),
    McpArgumentsDelta(response_id=resp(6), item_id=MCP_CALL, delta='{"city"'),
    McpArgumentsDone(response_id=resp(6), item_id=MCP_CALL, arguments='{"city":"Ulm"}'),
    McpCallChanged(MCP_CALL, 0, Phase.IN_PROGRESS),
    McpCallChanged(MCP_CALL, 0, Phase.COMPLETED),
    McpCallChanged(MCP_CALL, 0, Phase.FAILED),
    ItemAdded(FunctionCallOutput(CALL, '{"state":"packed"}', item(10)), item(8)),
    ItemAdded(McpToolList("mcp_list_tools", MCP_LIST, server_label="weather", tools=("forecast",))),
    ErrorReported(
        ApiError(
            "invalid_request_error",
            "Cancellation failed: no active response found",
            "response_cancel_not_active",
            client_event_id="cmd_17",
        )
    ),
    OutputItemDone(
        resp(6),
        0,
        McpCall(
            "mcp_call",
            MCP_CALL,
            server_label="weather",
            name="forecast",
            arguments='{"city":"Ulm"}',
            error_type="http_error",
            approval_request_id=ItemId("mcpr_CeRxE3"),
        ),
    ),
    ItemAdded(
        McpApprovalRequest(
            "mcp_approval_request",
            MCP_REQUEST,
            server_label="weather",
            name="forecast",
            arguments='{"city":"Ulm"}',
        )
    ),
    ItemAdded(
        McpApproval(item_id=ItemId("mcpa_CeRxE4"), approval_request_id=MCP_REQUEST, approve=True),
        MCP_REQUEST,
    ),
    ItemDone(
        Message(
            Role.USER,
            (
                ContentPart(
                    PartKind.INPUT_IMAGE,
                    image_url="data:image/png;base64,iVBORw0KGgo=",
                    detail="low",
                ),
            ),
            item(11),
            ItemStatus.COMPLETED,
        )
    ),
]


@pytest.mark.parametrize(
    ("line", "expected"), list(zip(golden.lines("ga", "server"), EXPECTED, strict=True))
)
def test_decode_golden_line(line: str, expected: ServerEvent) -> None:
    decoding.assert_decodes(GA, line, expected)


@pytest.mark.parametrize(
    ("line", "path", "wrong"),
    [
        (1, "session", None),
        (1, "session.id", 7),
        (1, "session.audio.output.voice", 7),
        (1, "session.audio.input", []),
        (21, "response.usage.input_token_details.cached_tokens_details.text_tokens", -1),
        (5, "item.id", None),
        (8, "audio_end_ms", -1),
        (8, "audio_end_ms", True),
        (8, "audio_end_ms", 1480.5),
        (17, "item_id", 3),
        (21, "response.status", 7),
        (21, "response.output.0.role", "robot"),
        (21, "response.usage.output_token_details.text_tokens", "many"),
        (26, "part.type", "hologram"),
        (30, "delta", "AQID BP/+"),
        (30, "delta", "AQ+_"),
        (30, "delta", "ü"),
        (30, "delta", None),
        (37, "rate_limits", {}),
        (37, "rate_limits.0", "tokens"),
        (51, "error", "no object"),
        (50, "item.tools.0.name", None),
        (52, "item.error", {}),
        (54, "item.approve", "yes"),
    ],
)
def test_decode_bad_payload_names_type_and_path_not_payload(
    line: int, path: str, wrong: object
) -> None:
    decoding.assert_refused(GA, golden.server_line("ga", line), path, wrong)


def test_decode_unknown_part_does_not_lose_the_message() -> None:
    root = json.loads(golden.server_line("ga", 6))
    root["item"]["content"].insert(0, {"type": "hologram"})
    event = GA.decode(json.dumps(root))
    assert isinstance(event, ItemDone)
    assert isinstance(event.item, Message)
    assert event.item.parts == (SHIPS,)


def test_decode_pcm_without_its_rate() -> None:
    root = json.loads(golden.server_line("ga", 1))
    del root["session"]["audio"]["input"]["format"]["rate"]
    event = GA.decode(json.dumps(root))
    assert isinstance(event, SessionCreated)
    assert event.session.input_format is PCM
