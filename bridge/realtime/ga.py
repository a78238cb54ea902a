"""The GA dialect of the Realtime API: its two tables (`PROTOCOL.md` sections 2 and 3).

Pure and stateless: one instance serves every session.
"""

from collections.abc import Mapping, Sequence

from bridge.realtime.commands import (
    CreateItem,
    CreateResponse,
    ProbeSession,
    UpdateSession,
)
from bridge.realtime.confirmed import Difference, differences, pick
from bridge.realtime.event_values import Phase
from bridge.realtime.events import (
    AudioDelta,
    AudioDone,
    DtmfReceived,
    InputTimedOut,
    InputTranscriptSegment,
    ItemAdded,
    ItemDone,
    McpArgumentsDelta,
    McpArgumentsDone,
    McpCallChanged,
    McpToolsListed,
    SessionCreated,
    SessionUpdated,
    TextDelta,
    TextDone,
    TranscriptDelta,
    TranscriptDone,
)
from bridge.realtime.ga_session import (
    PART_NAMES,
    PATHS,
    encode_ga_item,
    encode_response,
    encode_session,
    read_session,
    sayable_in_ga,
    unsupported_fields,
)
from bridge.realtime.session_config import SessionConfig, SessionInfo
from bridge.realtime.wire import (
    WireObject,
    at,
    constant,
    count,
    given,
    nested,
    optional,
    optional_str,
    require_base64,
    require_int,
    require_number,
    require_str,
)
from bridge.realtime.wire_frames import TableDialect
from bridge.realtime.wire_items import read_item
from bridge.realtime.wire_rows import (
    CONTENT,
    LIVE_ALONE,
    OUTPUT,
    SHARED_COMMANDS,
    SHARED_EVENTS,
    UNSAID,
)
from bridge.realtime.wire_tables import EventRow, Tables, command, event

_session = nested(read_session)
_item = nested(read_item)


def _mcp_tools_listed(phase: Phase) -> EventRow:
    return event(McpToolsListed, item_id=require_str, phase=constant(phase))


def _mcp_call_changed(phase: Phase) -> EventRow:
    return event(McpCallChanged, item_id=require_str, output_index=count, phase=constant(phase))


_EVENTS = {
    **SHARED_EVENTS,
    "session.created": event(SessionCreated, session=_session),
    "session.updated": event(SessionUpdated, session=_session),
    "conversation.item.added": event(ItemAdded, item=_item, previous_item_id=optional_str),
    "conversation.item.done": event(ItemDone, item=_item, previous_item_id=optional_str),
    "conversation.item.input_audio_transcription.segment": event(
        InputTranscriptSegment,
        item_id=require_str,
        content_index=count,
        text=require_str,
        speaker=require_str,
        start_s=at("start", require_number),
        end_s=at("end", require_number),
    ),
    "input_audio_buffer.timeout_triggered": event(
        InputTimedOut,
        item_id=require_str,
        audio_start_ms=require_int,
        audio_end_ms=require_int,
    ),
    "input_audio_buffer.dtmf_event_received": event(
        DtmfReceived,
        digit=at("event", require_str),
        received_at_s=at("received_at", optional(require_int)),
    ),
    "response.output_text.delta": event(TextDelta, **CONTENT, delta=require_str),
    "response.output_text.done": event(TextDone, **CONTENT, text=require_str),
    "response.output_audio.delta": event(AudioDelta, **CONTENT, audio=at("delta", require_base64)),
    "response.output_audio.done": event(AudioDone, **CONTENT),
    "response.output_audio_transcript.delta": event(TranscriptDelta, **CONTENT, delta=require_str),
    "response.output_audio_transcript.done": event(
        TranscriptDone, **CONTENT, transcript=require_str
    ),
    "mcp_list_tools.in_progress": _mcp_tools_listed(Phase.IN_PROGRESS),
    "mcp_list_tools.completed": _mcp_tools_listed(Phase.COMPLETED),
    "mcp_list_tools.failed": _mcp_tools_listed(Phase.FAILED),
    "response.mcp_call_arguments.delta": event(McpArgumentsDelta, **OUTPUT, delta=require_str),
    "response.mcp_call_arguments.done": event(McpArgumentsDone, **OUTPUT, arguments=require_str),
    "response.mcp_call.in_progress": _mcp_call_changed(Phase.IN_PROGRESS),
    "response.mcp_call.completed": _mcp_call_changed(Phase.COMPLETED),
    "response.mcp_call.failed": _mcp_call_changed(Phase.FAILED),
}


def _create_item(value: CreateItem) -> WireObject:
    return given(previous_item_id=value.previous_item_id, item=encode_ga_item(value.item))


def _create_response(value: CreateResponse) -> WireObject:
    return given(response=encode_response(value.config) or None)


_COMMANDS = {
    **SHARED_COMMANDS,
    **dict(
        [
            command(
                UpdateSession, "session.update", lambda c: {"session": encode_session(c.config)}
            ),
            command(ProbeSession, "session.update", lambda c: {"session": {"type": "realtime"}}),
            command(CreateItem, "conversation.item.create", _create_item),
            command(CreateResponse, "response.create", _create_response),
        ]
    ),
}


TABLES = Tables(_EVENTS, _COMMANDS, LIVE_ALONE, UNSAID)


class GaDialect(TableDialect):
    """The dialect of api.openai.com since 2025-08, named by the absence of a header.

    It cannot say :class:`~bridge.realtime.commands.ClearOutput`, nor an item with content that no
    client may create (assistant audio).
    """

    tables = TABLES
    parts = PART_NAMES

    @property
    def name(self) -> str:
        """``ga``."""
        return "ga"

    def handshake_headers(self) -> Mapping[str, str]:
        """Return no header: GA has none of its own, and the beta one is fatal."""
        return {}

    def sayable(self, config: SessionConfig) -> SessionConfig:
        """Return a session without the settings that this server does not take."""
        return sayable_in_ga(super().sayable(config), self.takes)

    def unsupported(self, config: SessionConfig) -> Mapping[str, str]:
        """Name the fields of ``config`` that GA has no word for, and why."""
        flavour = self.flavour
        lacking = unsupported_fields(flavour.sayable(config), self.takes)
        return {**flavour.unsupported(config), **lacking}

    def differences(self, config: SessionConfig, info: SessionInfo) -> Sequence[Difference]:
        """Name what was confirmed otherwise than ``config`` asked for."""
        return differences(pick(encode_session(self.sayable(config)), PATHS), info.settings)
