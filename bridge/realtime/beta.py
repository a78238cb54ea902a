"""The beta dialect of the Realtime API: its two tables (`PROTOCOL.md` sections 2 and 3).

Gone from api.openai.com since 2026-05-12; previews, compatible servers and our simulator speak it.
Pure and stateless: one instance serves every session.
"""

from collections.abc import Mapping, Sequence

from bridge.realtime.beta_session import (
    PART_NAMES,
    PATHS,
    encode_beta_item,
    encode_response,
    encode_session,
    read_session,
    unsupported_fields,
)
from bridge.realtime.commands import (
    CreateItem,
    CreateResponse,
    ProbeSession,
    UpdateSession,
)
from bridge.realtime.confirmed import Difference, differences, pick
from bridge.realtime.events import (
    AudioDelta,
    AudioDone,
    DtmfReceived,
    InputTimedOut,
    InputTranscriptSegment,
    ItemDone,
    McpArgumentsDelta,
    McpArgumentsDone,
    McpCallChanged,
    McpToolsListed,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    TextDelta,
    TextDone,
    TranscriptDelta,
    TranscriptDone,
)
from bridge.realtime.session_config import SessionConfig, SessionInfo, SessionKind
from bridge.realtime.wire import WireObject, at, given, nested, require_base64, require_str
from bridge.realtime.wire_frames import TableDialect
from bridge.realtime.wire_rows import CONTENT, LIVE_ALONE, SHARED_COMMANDS, SHARED_EVENTS, UNSAID
from bridge.realtime.wire_tables import CommandRow, Tables, command, event

_session = nested(read_session)

# Items are announced once, by conversation.item.created, which is a shared row.
_EVENTS = {
    **SHARED_EVENTS,
    "session.created": event(SessionCreated, session=_session),
    "session.updated": event(SessionUpdated, session=_session),
    "transcription_session.created": event(SessionCreated, session=_session),
    "transcription_session.updated": event(SessionUpdated, session=_session),
    "response.text.delta": event(TextDelta, **CONTENT, delta=require_str),
    "response.text.done": event(TextDone, **CONTENT, text=require_str),
    "response.audio.delta": event(AudioDelta, **CONTENT, audio=at("delta", require_base64)),
    "response.audio.done": event(AudioDone, **CONTENT),
    "response.audio_transcript.delta": event(TranscriptDelta, **CONTENT, delta=require_str),
    "response.audio_transcript.done": event(TranscriptDone, **CONTENT, transcript=require_str),
}

_ABSENT: frozenset[type[ServerEvent]] = frozenset(
    {
        ItemDone,
        InputTranscriptSegment,
        InputTimedOut,
        DtmfReceived,
        McpToolsListed,
        McpArgumentsDelta,
        McpArgumentsDone,
        McpCallChanged,
    }
)

_UPDATES = {
    SessionKind.REALTIME: "session.update",
    SessionKind.TRANSCRIPTION: "transcription_session.update",
}


def _update_session(value: UpdateSession) -> WireObject:
    return {"type": _UPDATES[value.config.kind], "session": encode_session(value.config)}


def _create_item(value: CreateItem) -> WireObject:
    return given(previous_item_id=value.previous_item_id, item=encode_beta_item(value.item))


def _create_response(value: CreateResponse) -> WireObject:
    return given(response=encode_response(value.config) or None)


_COMMANDS = {
    **SHARED_COMMANDS,
    UpdateSession: CommandRow(tuple(_UPDATES.values()), _update_session),
    **dict(
        [
            command(ProbeSession, "session.update", lambda c: {"session": {}}),
            command(CreateItem, "conversation.item.create", _create_item),
            command(CreateResponse, "response.create", _create_response),
        ]
    ),
}

TABLES = Tables(_EVENTS, _COMMANDS, _ABSENT | LIVE_ALONE, UNSAID)


class BetaDialect(TableDialect):
    """The dialect of 2024-10 to 2026-05, named by a header whatever the model.

    It cannot say :class:`~bridge.realtime.commands.ClearOutput`, nor an item with content that no
    client may create here (assistant audio, images, MCP approvals).
    """

    tables = TABLES
    parts = PART_NAMES

    @property
    def name(self) -> str:
        """``beta``."""
        return "beta"

    def handshake_headers(self) -> Mapping[str, str]:
        """Return the header that chooses it; api.openai.com now closes with 4000 for it."""
        return {"OpenAI-Beta": "realtime=v1"} if self.flavour.names_itself else {}

    def unsupported(self, config: SessionConfig) -> Mapping[str, str]:
        """Name the fields of ``config`` that came with GA, by their path in it, and why."""
        flavour = self.flavour
        return {**flavour.unsupported(config), **unsupported_fields(flavour.sayable(config))}

    def differences(self, config: SessionConfig, info: SessionInfo) -> Sequence[Difference]:
        """Name what was confirmed otherwise than ``config`` asked for."""
        return differences(pick(encode_session(self.sayable(config)), PATHS), info.settings)
