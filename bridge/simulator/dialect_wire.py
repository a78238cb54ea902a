"""One connection's wire: its session in its dialect's shape, requests read and events written.

An implementation apart from :mod:`bridge.realtime.dialect`: the same canonical commands and events,
read and written here by different code, so that a mistake in an adapter shows.
"""

from collections.abc import Callable

from pydantic import BaseModel

from bridge.realtime import commands as c
from bridge.realtime import events as e
from bridge.realtime.ids import ResponseId
from bridge.realtime.session_config import ResponseConfig, SessionConfig, SessionInfo, SessionKind
from bridge.simulator.dialects import DIALECTS
from bridge.simulator.names import new_name
from bridge.simulator.reading import read_append, read_request, readers_for
from bridge.simulator.refusal import refuse
from bridge.simulator.server_events import write_event
from bridge.simulator.session_reading import at_place, read_session
from bridge.simulator.wire import ClientRequest, DialectName, SessionIdentity, WireObject, WireState

_OBJECTS = {
    SessionKind.REALTIME: "realtime.session",
    SessionKind.TRANSCRIPTION: "realtime.transcription_session",
}


class Wire:
    """One connection's dialect, and the session settings in that dialect's shape.

    Args:
        settings: what the session begins with beside the server's defaults, as in the request for
            its token; already checked.

    Attributes:
        ping_s: time between pings; None for none.
    """

    def __init__(
        self, dialect: DialectName, identity: SessionIdentity, settings: WireObject | None = None
    ) -> None:
        self._dialect = DIALECTS[dialect]
        self._identity = identity
        self.ping_s: float | None = None
        self._asked: dict[str, ResponseConfig] = {}
        self._spoke = False
        kind = identity.kind
        shape = self._dialect.shapes.sessions[kind]
        named = {"type": kind.value} if "type" in shape.model_fields else {}
        begun = _merge(shape.model_validate(named).model_dump(), settings or {})
        if kind is SessionKind.REALTIME:
            begun["model"] = identity.model
        self._take(shape.model_validate(begun))
        updates = self._dialect.update_types
        self._readers: dict[str, Callable[[WireObject], c.Command]] = {
            updates[kind]: self._read_update,
            **{each: self._refuse_update for each in updates.values() if each != updates[kind]},
            "input_audio_buffer.append": lambda event: read_append(event, self.config.input_format),
            **readers_for(self._dialect, kind),
        }

    @property
    def config(self) -> SessionConfig:
        """The settings in force; unlike a client's, complete."""
        return self._config

    @property
    def info(self) -> SessionInfo:
        """The session's identity, with its settings in force."""
        return self._identity.info(self._config)

    @property
    def session(self) -> WireObject:
        """The session object as the client sees it."""
        return self._state.session

    def decode(self, text: str) -> ClientRequest[c.Command]:
        """Read one client event; a ``session.update`` is in force once it is read.

        Raises:
            Refused: the event is not as the protocol has it. Nothing has changed.
        """
        return read_request(text, self._readers)

    def overlooks(self, text: str) -> bool:
        """Return whether a client event is passed over without a word: none is."""
        return False

    def begin_response(self, response_id: ResponseId, asked: ResponseConfig) -> None:
        """Remember what a response was asked to be: its events say so."""
        self._asked[response_id] = asked

    def encode(self, event: e.ServerEvent) -> list[WireObject]:
        """Write an event: one object, several, or none where the dialect has no such event."""
        if isinstance(event, e.AudioDelta):
            # From now on the voice is fixed.
            self._spoke = True
        written = write_event(event, self._dialect, self._state)
        if isinstance(event, e.ResponseDone):
            self._asked.pop(event.response_id, None)
        return [{**each, "event_id": new_name("event")} for each in written]

    def _read_update(self, event: WireObject) -> c.Command:
        """Merge an update into the session, whole or not at all."""
        old, kind = self._current, self._identity.kind
        asked = self._dialect.shapes.updates[kind].model_validate(event).session
        merged = _merge(old.model_dump(), asked.model_dump(exclude_unset=True))
        changed = type(old).model_validate(merged)
        if kind is SessionKind.REALTIME:
            self._check_fixed(old, changed)
        self._take(changed)
        return c.UpdateSession(self._config)

    def _refuse_update(self, _: WireObject) -> c.Command:
        kind = self._identity.kind
        other = next(each for each in SessionKind if each is not kind)
        raise refuse(
            "invalid_value",
            f"Passing a {other} session update event to a {kind} session is not allowed.",
            "type",
        )

    def _check_fixed(self, old: BaseModel, changed: BaseModel) -> None:
        """Refuse to change what is fixed by now."""
        if at_place(changed, "model") != at_place(old, "model"):
            raise refuse(
                "invalid_value", "The model of a session cannot be changed.", "session.model"
            )
        voice = self._dialect.places.voice
        if self._spoke and at_place(changed, voice) != at_place(old, voice):
            raise refuse(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                f"session.{voice}",
            )

    def _take(self, session: BaseModel) -> None:
        """Put a session's settings in force."""
        identity, dialect = self._identity, self._dialect
        self._current = session
        self._config = read_session(session, dialect, identity.kind)
        named: WireObject = {
            "object": _OBJECTS[identity.kind],
            "id": identity.session_id,
            "expires_at": identity.expires_at_s,
        }
        hidden = dialect.hidden.get(identity.kind, {})
        left_out: dict[str, bool | set[str]] = {**dict.fromkeys(dialect.rare, True), **hidden}
        shown = session.model_dump(exclude=left_out)
        rare = session.model_dump(include=set(dialect.rare), exclude_none=True)
        self._state = WireState(identity, {**named, **shown, **rare}, self._asked)


def _merge(old: WireObject, new: WireObject) -> WireObject:
    """Lay ``new`` over ``old``: GA's ``audio`` and its sides by key, everything else whole."""
    merged = {**old, **new}
    sides, asked = old.get("audio"), new.get("audio")
    if isinstance(sides, dict) and isinstance(asked, dict):
        merged["audio"] = {
            side: {**settings, **asked.get(side, {})} for side, settings in sides.items()
        }
    return merged
