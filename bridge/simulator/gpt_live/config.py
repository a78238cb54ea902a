"""The settings of a GPT-Live session: begun once, and of them only delegation ever changes.

`PROTOCOL.md` section 11. Pure.
"""

from collections.abc import Mapping

from bridge.audio.g711 import Law
from bridge.realtime.items import ContentPart, Message, PartKind, Role
from bridge.simulator.conversation import text_tokens
from bridge.simulator.formats import WireFormat
from bridge.simulator.gpt_live.shapes import (
    BackendShape,
    ClientDelegationShape,
    LiveFunctionShape,
    LiveSessionShape,
    LiveSessionUpdate,
    PcmShape,
    ResponsesDelegationShape,
)
from bridge.simulator.refusal import EventRefused, refuse
from bridge.simulator.wire import WireObject

MOST_INSTRUCTIONS_TOKENS = 16_384
MOST_HISTORY_TOKENS = 8_192

_LAWS = {"audio/pcmu": Law.PCMU, "audio/pcma": Law.PCMA}
_ROLES = {"developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
# Known, but not for a WebSocket, or not played here.
_NOT_HERE = {
    "client": "client is for WebRTC sessions only.",
    "triggers": "This server plays no Decisions triggers.",
}


class LiveConfig:
    """A session's settings in force.

    Args:
        shape: as the client asked for them.
        session_id: the server's name for the session.
        expires_at_s: Unix time, seconds.
    """

    def __init__(self, shape: LiveSessionShape, session_id: str, expires_at_s: int) -> None:
        self._shape = shape
        self._identity: WireObject = {"id": session_id, "expires_at": expires_at_s}
        self._delegation = shape.delegation or ClientDelegationShape(type="client")
        _check_length(shape)

    @property
    def audio_format(self) -> WireFormat:
        """The format of both ways."""
        asked = self._shape.audio.format
        law = None if isinstance(asked, PcmShape) else _LAWS[asked.type]
        return WireFormat(asked.rate, law)

    @property
    def backend(self) -> BackendShape | None:
        """The Responses model that work is delegated to; None where the application has it."""
        delegation = self._delegation
        return delegation.responses if isinstance(delegation, ResponsesDelegationShape) else None

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the functions that the backend may call."""
        backend = self.backend
        if backend is None or backend.tool_choice == "none":
            return ()
        return tuple(
            tool.name for tool in backend.tools or () if isinstance(tool, LiveFunctionShape)
        )

    @property
    def history(self) -> tuple[Message, ...]:
        """What was said before the session, as the client has it."""
        return tuple(
            Message(_ROLES[each.role], (ContentPart(PartKind.INPUT_TEXT, each.content[0].text),))
            for each in self._shape.input
        )

    @property
    def resource(self) -> WireObject:
        """The session object as the client sees it."""
        shape = self._shape
        shown = shape.model_dump(exclude={"delegation"}, exclude_none=True)
        delegation: WireObject = self._delegation.model_dump()
        backend = delegation.get("responses")
        if isinstance(backend, dict):
            delegation["responses"] = {"tools": [], **backend}
        return {**self._identity, "status": "active", **shown, "delegation": delegation}

    def update(self, event: WireObject) -> None:
        """Take ``session.update``, whole or not at all.

        Raises:
            EventRefused: it changes what is fixed.
        """
        _check_changeable(event.get("session"))
        asked = LiveSessionUpdate.model_validate(event).session.delegation
        if asked is None:
            return
        if asked.type != self._delegation.type:
            raise _immutable("session.delegation.type")
        old: WireObject = self._delegation.model_dump()
        merged = _merge(old, asked.model_dump(exclude_unset=True))
        self._delegation = type(self._delegation).model_validate(merged)


def check_startable(session: object) -> None:
    """Refuse what ``session.start`` can't ask of a WebSocket.

    Raises:
        EventRefused: it does.
    """
    for name, why in _NOT_HERE.items():
        if isinstance(session, dict) and session.get(name):
            raise refuse("invalid_value", why, f"session.{name}")


def _check_length(shape: LiveSessionShape) -> None:
    if text_tokens(shape.instructions or "") > MOST_INSTRUCTIONS_TOKENS:
        what = f"Instructions have more than {MOST_INSTRUCTIONS_TOKENS} tokens."
        raise refuse("invalid_value", what, "session.instructions")
    if sum(text_tokens(each.content[0].text) for each in shape.input) > MOST_HISTORY_TOKENS:
        what = f"The history has more than {MOST_HISTORY_TOKENS} tokens."
        raise refuse("invalid_value", what, "session.input")


def _check_changeable(session: object) -> None:
    for name in session if isinstance(session, dict) else ():
        if name in LiveSessionShape.model_fields and name != "delegation":
            raise _immutable(f"session.{name}")


def _immutable(param: str) -> EventRefused:
    what = f"'{param}' cannot be changed after the session has started."
    return refuse("immutable_field_update", what, param)


def _merge(old: Mapping[str, object], new: Mapping[str, object]) -> WireObject:
    """Lay ``new`` over ``old``, objects by key."""
    merged: WireObject = dict(old)
    for key, value in new.items():
        here = merged.get(key)
        both = isinstance(here, dict) and isinstance(value, dict)
        merged[key] = _merge(here, value) if both else value  # type: ignore[arg-type]
    return merged
