"""Beta server events, from golden lines to canonical events."""

import json

import pytest

from bridge.realtime.event_values import ApiError, RateLimit, ResponseStatus, Usage
from bridge.realtime.events import (
    AudioDelta,
    AudioDone,
    ContentPartAdded,
    ContentPartDone,
    ConversationCreated,
    ErrorReported,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    InputCleared,
    InputCommitted,
    InputTranscriptCompleted,
    InputTranscriptDelta,
    InputTranscriptFailed,
    ItemAdded,
    ItemDeleted,
    ItemRetrieved,
    ItemTruncated,
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
    Message,
    PartKind,
    Role,
)
from bridge.realtime.session_config import AudioFormat, SessionInfo
from tests.realtime import decoding, golden
from tests.realtime.golden import DIALECTS

BETA = DIALECTS["beta"]
CALL = ToolCallId("call_Kx7")
MODEL = "gpt-4o-realtime-preview-2024-12-17"
PCM = AudioFormat.PCM_24KHZ
ENDS_S = 1746100800


def item(number: int) -> ItemId:
    return ItemId(f"item_BcQmC{number}")


def resp(number: int) -> ResponseId:
    return ResponseId(f"resp_BcQmD{number}")


def said(number: int, status: ItemStatus, *parts: ContentPart) -> Message:
    return Message(Role.ASSISTANT, parts, item(number), status)


def spoken(words: str, audio: bytes | None = None) -> ContentPart:
    return ContentPart(PartKind.OUTPUT_AUDIO, text=words, audio=audio)


SHIPS = "Your order ships tomorrow."

EXPECTED: list[ServerEvent] = [
    SessionCreated(SessionInfo("sess_BcQmA1", MODEL, ENDS_S, "alloy", PCM, PCM)),
    SessionUpdated(
        SessionInfo("sess_BcQmA1", MODEL, ENDS_S, "sage", AudioFormat.PCMU, AudioFormat.PCMA)
    ),
    SessionCreated(SessionInfo("sess_BcQmA2", expires_at_s=ENDS_S, input_format=PCM)),
    SessionUpdated(SessionInfo("sess_BcQmA2", expires_at_s=ENDS_S, input_format=PCM)),
    ConversationCreated("conv_BcQmB2"),
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
    ItemRetrieved(said(3, ItemStatus.COMPLETED, spoken(SHIPS, b"\x00\x00\x00"))),
    ItemTruncated(item(3), 0, 1480),
    ItemDeleted(item(1)),
    InputTranscriptDelta(item(2), 0, "Where is"),
    InputTranscriptCompleted(
        item(2), 0, "Where is my order?", Usage(input_audio=17, output_text=5, total=22)
    ),
    InputTranscriptCompleted(item(4), 0, "Thanks.", Usage(seconds=2.0)),
    InputTranscriptFailed(
        item(5),
        0,
        ApiError(
            "transcription_error", "The audio could not be transcribed.", "audio_unintelligible"
        ),
    ),
    InputCommitted(item(2), item(1)),
    InputCleared(),
    SpeechStarted(item(2), 1012),
    SpeechStopped(item(2), 2944),
    ResponseCreated(resp(1), {"turn": "1"}, "conv_BcQmB2"),
    ResponseDone(
        resp(1),
        ResponseStatus.COMPLETED,
        (said(3, ItemStatus.COMPLETED, spoken(SHIPS)),),
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
        (said(7, ItemStatus.INCOMPLETE, spoken("Let me")),),
        reason="turn_detected",
    ),
    ResponseDone(resp(3), ResponseStatus.FAILED, error_code="rate_limit_exceeded"),
    OutputItemAdded(resp(1), 0, said(3, ItemStatus.IN_PROGRESS)),
    OutputItemDone(
        resp(4),
        1,
        FunctionCall(CALL, "find_order", '{"number":"4711"}', item(8), ItemStatus.COMPLETED),
    ),
    ContentPartAdded(response_id=resp(1), item_id=item(3), part=spoken("")),
    ContentPartDone(
        response_id=resp(5), item_id=item(9), part=ContentPart(PartKind.OUTPUT_TEXT, text="Done.")
    ),
    TextDelta(response_id=resp(5), item_id=item(9), delta="Do"),
    TextDone(response_id=resp(5), item_id=item(9), text="Done."),
    AudioDelta(response_id=resp(1), item_id=item(3), audio=b"\x01\x02\x03\x04\xff\xfe"),
    AudioDone(response_id=resp(1), item_id=item(3)),
    TranscriptDelta(response_id=resp(1), item_id=item(3), delta="Your order"),
    TranscriptDone(response_id=resp(1), item_id=item(3), transcript=SHIPS),
    FunctionArgumentsDelta(
        response_id=resp(4), item_id=item(8), call_id=CALL, delta='{"number"', output_index=1
    ),
    FunctionArgumentsDone(
        response_id=resp(4),
        item_id=item(8),
        call_id=CALL,
        arguments='{"number":"4711"}',
        output_index=1,
    ),
    FunctionArgumentsDone(
        response_id=resp(4),
        item_id=item(8),
        call_id=CALL,
        arguments="{}",
        name="find_order",
        output_index=1,
    ),
    RateLimitsUpdated(
        (RateLimit("requests", 5000, 4999, 0.012), RateLimit("tokens", 400000, 395214, 0.717))
    ),
    OutputBufferChanged(resp(1), "started"),
    OutputBufferChanged(resp(1), "stopped"),
    OutputBufferChanged(resp(1), "cleared"),
    ItemAdded(FunctionCallOutput(CALL, '{"state":"packed"}', item(10)), item(8)),
    ErrorReported(
        ApiError(
            "invalid_request_error",
            "Cancellation failed: no active response found",
            "response_cancel_not_active",
            client_event_id="cmd_17",
        )
    ),
]


@pytest.mark.parametrize(
    ("line", "expected"), list(zip(golden.lines("beta", "server"), EXPECTED, strict=True))
)
def test_decode_golden_line(line: str, expected: ServerEvent) -> None:
    decoding.assert_decodes(BETA, line, expected)


@pytest.mark.parametrize(
    ("line", "path", "wrong"),
    [
        (1, "session", None),
        (1, "session.id", 7),
        (1, "session.voice", {"id": "voice_8842"}),
        (1, "session.output_audio_format", 7),
        (6, "item.content", {}),
        (6, "item.role", "robot"),
        (9, "audio_end_ms", 1480.5),
        (20, "response.output.0.role", "robot"),
        (20, "response.usage.input_token_details.cached_tokens_details.text_tokens", -1),
        (29, "delta", "AQID BP/+"),
        (34, "arguments", {}),
        (36, "rate_limits.0", "tokens"),
        (41, "error", "no object"),
    ],
)
def test_decode_bad_payload_names_type_and_path_not_payload(
    line: int, path: str, wrong: object
) -> None:
    decoding.assert_refused(BETA, golden.server_line("beta", line), path, wrong)


def test_decode_audio_format_that_is_yet_unknown() -> None:
    root = json.loads(golden.server_line("beta", 1))
    root["session"]["input_audio_format"] = "opus"
    event = BETA.decode(json.dumps(root))
    assert isinstance(event, SessionCreated)
    assert event.session.input_format is None
