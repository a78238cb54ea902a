"""The base of both dialects' wires: one connection's session, and the responses asked for.

A dialect subclasses :class:`DialectWire` with its own session shapes, readers and writer.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Generic, Self, TypeVar

from pydantic import BaseModel

from bridge.realtime import commands as c
from bridge.realtime import events as e
from bridge.realtime.ids import ResponseId
from bridge.realtime.session_config import ResponseConfig, SessionConfig, SessionInfo, SessionKind
from bridge.simulator.names import new_name
from bridge.simulator.reading import read_append, read_request
from bridge.simulator.refusal import refuse
from bridge.simulator.server_events import SessionState
from bridge.simulator.wire import Identity, Request, WireObject

S = TypeVar("S", bound=BaseModel)

_OBJECTS = {
    SessionKind.REALTIME: "realtime.session",
    SessionKind.TRANSCRIPTION: "realtime.transcription_session",
}


class DialectWire(ABC, Generic[S]):
    """One connection (:class:`bridge.simulator.wire.Wire`).

    Args:
        session: what it begins with.
    """

    def __init__(self, identity: Identity, session: S) -> None:
        self._identity = identity
        self._asked: dict[str, ResponseConfig] = {}
        self._spoke = False
        self._take(session)

    @property
    def config(self) -> SessionConfig:
        """The settings in force."""
        return self._config

    @property
    def info(self) -> SessionInfo:
        """Who the session is."""
        return self._identity.info(self._config)

    @property
    def session(self) -> WireObject:
        """The session object as the client sees it."""
        return self._state.session

    def decode(self, text: str) -> Request:
        """Read one client event."""
        return read_request(text, self._readers()[self._identity.kind], self)

    def begin_response(self, response_id: ResponseId, asked: ResponseConfig) -> None:
        """Remember what a response was asked to be."""
        self._asked[response_id] = asked

    def encode(self, event: e.ServerEvent) -> list[WireObject]:
        """Write an event."""
        if isinstance(event, e.AudioDelta):
            # From now on the voice is fixed.
            self._spoke = True
        written = self._write(event, self._state)
        if isinstance(event, e.ResponseDone):
            self._asked.pop(event.response_id, None)
        return [{**each, "event_id": new_name("event")} for each in written]

    def read_append(self, event: WireObject) -> c.Command:
        """Read caller audio."""
        return read_append(event, self._config.input_format)

    def _take(self, session: S) -> None:
        """Put a session's settings in force."""
        self._current = session
        self._config = self._config_of(session)
        identity = self._identity
        named: WireObject = {
            "object": _OBJECTS[identity.kind],
            "id": identity.session_id,
            "expires_at": identity.expires_at_s,
        }
        self._state = SessionState(identity, {**named, **self._dump(session)}, self._asked)

    def _check_fixed(self, *, same_model: bool, same_voice: bool, voice: str) -> None:
        """Refuse to change what is fixed by now; ``voice`` is where the voice stands."""
        if not same_model:
            raise refuse(
                "invalid_value", "The model of a session cannot be changed.", "session.model"
            )
        if self._spoke and not same_voice:
            raise refuse(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                voice,
            )

    @classmethod
    @abstractmethod
    def _readers(
        cls,
    ) -> Mapping[SessionKind, Mapping[str, Callable[[Self, WireObject], c.Command]]]: ...

    @staticmethod
    @abstractmethod
    def _write(event: e.ServerEvent, state: SessionState) -> list[WireObject]: ...

    @staticmethod
    @abstractmethod
    def _dump(session: S) -> WireObject: ...

    @staticmethod
    @abstractmethod
    def _config_of(session: S) -> SessionConfig: ...
