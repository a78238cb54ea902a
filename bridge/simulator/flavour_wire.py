"""One connection's wire as a certain server has it: its own words outside, its dialect's inside.

Read and written on JSON, around the dialect's wire, so that a row of
:mod:`bridge.simulator.flavours` is all that there is to a server.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

from pydantic import BaseModel

from bridge.realtime import events as e
from bridge.realtime.commands import Command
from bridge.realtime.session_config import AudioFormat
from bridge.simulator.dialect_wire import Wire
from bridge.simulator.flavours import Place, ServerRow
from bridge.simulator.names import new_name
from bridge.simulator.reading import parse_event
from bridge.simulator.refusal import refuse
from bridge.simulator.wire import ClientRequest, DialectName, SessionIdentity, WireObject

_INPUT_RATE = "audio.input.format.rate"
_DIALECTS_HZ = 24_000


class FlavourWire(Wire):
    """A connection's wire.

    Args:
        row: the server's.
        settings: what the session begins with, as the dialect has them.
    """

    def __init__(
        self,
        row: ServerRow,
        dialect: DialectName,
        identity: SessionIdentity,
        settings: WireObject | None = None,
    ) -> None:
        self._row = row
        super().__init__(dialect, identity, settings)
        self.ping_s = row.ping_s
        self._asked_before = False
        self._begun = row.first != "update"
        self._heard = False

    def decode(self, text: str) -> ClientRequest[Command]:
        """Read one client event.

        Raises:
            EventRefused: this server doesn't take it.
        """
        event = parse_event(text)
        kind = event.get("type")
        if not isinstance(kind, str):
            return super().decode(text)
        if kind in self._row.refuses:
            code, what = self._row.refuses[kind]
            raise refuse(code, what)
        if self._row.takes is not None and kind not in self._row.takes:
            raise refuse("invalid_value", f"Invalid value: '{kind}'.", "type")
        session = event.get("session")
        if kind == "session.update" and isinstance(session, dict):
            event = {**event, "session": self._read_session(session)}
        elif kind == "response.create":
            self._check_response()
        elif kind == "conversation.item.create":
            self._check_item(event.get("item"))
        return super().decode(json.dumps(event))

    def overlooks(self, text: str) -> bool:
        """Return whether a client event is passed over without a word."""
        return bool(self._row.overlooks) and parse_event(text).get("type") in self._row.overlooks

    def encode(self, event: e.ServerEvent) -> list[WireObject]:
        """Write an event as this server does."""
        if isinstance(event, e.SessionCreated) and not self._begun:
            return []
        if isinstance(event, e.InputCommitted):
            self._heard = True
        written = [self._spelled(each) for each in super().encode(event)]
        if isinstance(event, e.SessionUpdated) and not self._begun:
            self._begun = True
            written = [*self.encode(e.SessionCreated(self.info)), *written]
        return [each for whole in written for each in self._sent(whole)]

    def _take(self, session: BaseModel) -> None:
        super()._take(session)
        if self._row.hears_hz == AudioFormat.PCM_16KHZ.rate_hz:
            self._config = replace(self._config, input_format=AudioFormat.PCM_16KHZ)

    def _sent(self, event: WireObject) -> list[WireObject]:
        kind = str(event["type"])
        if kind in self._row.unsent:
            return []
        twin = self._row.doubles.get(kind)
        return [event] if twin is None else [{**event, "type": twin}, event]

    def _spelled(self, event: WireObject) -> WireObject:
        kind = str(event["type"])
        if kind == "session.created" and self._row.first == "conversation":
            conversation = {"id": new_name("conv"), "object": "realtime.conversation"}
            return {
                "type": "conversation.created",
                "conversation": conversation,
                "event_id": event["event_id"],
            }
        for place in self._row.leaves_out.get(kind, ()):
            event = _moved(event, place, "")
        for place, home in self._row.renames.get(kind, {}).items():
            event = _moved(event, place, home)
        if self._row.nameless_speech:
            event = _unnamed(kind, event)
        session = event.get("session")
        return {**event, "session": self._shown(session)} if isinstance(session, dict) else event

    def _shown(self, session: WireObject) -> WireObject:
        row = self._row
        if _at(session, _INPUT_RATE) is not None:
            session = _put(session, _INPUT_RATE, row.hears_hz)
        for place, words in row.words.items():
            session = _translated(session, place, {theirs: ours for ours, theirs in words.items()})
        for place, home in row.homes.items():
            session = _moved(session, home, place) if home else session
        if row.nests_tools and isinstance(tools := session.get("tools"), list):
            nested = [{"type": "function", "function": _less(tool, "type")} for tool in tools]
            session = {**session, "tools": nested}
        return session if row.shows is None else _only(session, row.shows)

    def _read_session(self, session: WireObject) -> WireObject:
        row = self._row
        if not self._asked_before:
            for name in sorted(row.demands - session.keys()):
                what = f"Missing required parameter: 'session.{name}'."
                raise refuse("missing_required_parameter", what, f"session.{name}")
        self._asked_before = True
        if row.session is not None:
            _check(session, row.session, row.only)
        if row.nests_tools and "tools" in session:
            session = {**session, "tools": _flat_tools(session["tools"])}
        for place, words in row.words.items():
            session = _translated(session, place, words)
        session = self._read_rate(session)
        for place, home in row.homes.items():
            session = _moved(session, place, home)
        if row.answers_by_itself:
            session = self._by_itself(session)
        if self._dialect.name is DialectName.GA:
            session = {"type": "realtime", **session}
        return session

    def _read_rate(self, session: WireObject) -> WireObject:
        """Check the rate of what it hears, and put the dialect's own in its place."""
        asked = _at(session, _INPUT_RATE)
        if asked is None:
            return session
        if asked != self._row.hears_hz:
            what = f"Invalid value: '{asked}'. Supported values are: {self._row.hears_hz}."
            raise refuse("invalid_value", what, f"session.{_INPUT_RATE}")
        return _put(session, _INPUT_RATE, _DIALECTS_HZ)

    def _by_itself(self, session: WireObject) -> WireObject:
        place = self._dialect.places.turn_detection
        turns = _at(session, place)
        if not isinstance(turns, dict):
            return session
        if turns.get("type") is None:  # how one server says off
            return _put(session, place, None)
        own = {"create_response": True, "interrupt_response": True}
        return _put(session, place, {**turns, **own})

    def _check_response(self) -> None:
        if self._row.answers_audio_alone and not self._heard:
            raise refuse(
                "response_create_without_input", "response.create requires committed audio input."
            )

    def _check_item(self, item: object) -> None:
        if not self._row.users_alone or not isinstance(item, dict):
            return
        is_users = item.get("type") == "message" and item.get("role") == "user"
        if not is_users and item.get("type") != "function_call_output":
            raise refuse("unsupported_item", "Only user items can be created.", "item")


def _unnamed(kind: str, event: WireObject) -> WireObject:
    if kind.startswith("input_audio_buffer.speech_"):
        return {**event, "item_id": ""}
    if kind in (
        "input_audio_buffer.committed",
        "conversation.item.input_audio_transcription.completed",
    ):
        return {**event, "item_id": new_name("item")}
    return event


def _check(
    session: WireObject,
    places: frozenset[Place],
    only: Mapping[Place, tuple[object, ...]],
    above: str = "",
) -> None:
    for key, value in session.items():
        place = f"{above}{key}"
        within = any(each.startswith(f"{place}.") for each in places)
        if place not in places and not within:
            what = f"Unknown parameter: 'session.{place}'."
            raise refuse("unknown_parameter", what, f"session.{place}")
        if place in only and value not in only[place]:
            what = f"Invalid value: '{value}'. Supported values are: {only[place]}."
            raise refuse("invalid_value", what, f"session.{place}")
        if within and isinstance(value, dict):
            _check(value, places, only, f"{place}.")


def _flat_tools(tools: object) -> object:
    if not isinstance(tools, list):
        return tools
    for place, tool in enumerate(tools):
        if not isinstance(tool, dict) or not isinstance(tool.get("function"), dict):
            param = f"session.tools[{place}].function"
            what = f"Missing required parameter: '{param}'."
            raise refuse("missing_required_parameter", what, param)
    return [{"type": "function", **tool["function"]} for tool in tools]


def _less(obj: WireObject, key: str) -> WireObject:
    return {name: value for name, value in obj.items() if name != key}


def _at(obj: object, place: Place) -> object:
    for key in place.split("."):
        obj = obj.get(key) if isinstance(obj, dict) else None
    return obj


def _put(obj: WireObject, place: Place, value: object) -> WireObject:
    first, _, rest = place.partition(".")
    if not rest:
        return {**obj, first: value}
    below = obj.get(first)
    return {**obj, first: _put(below if isinstance(below, dict) else {}, rest, value)}


def _without(obj: WireObject, place: Place) -> WireObject:
    first, _, rest = place.partition(".")
    below = obj.get(first)
    if not rest:
        return _less(obj, first)
    return {**obj, first: _without(below, rest)} if isinstance(below, dict) else obj


def _moved(obj: WireObject, place: Place, home: Place) -> WireObject:
    above, _, last = place.rpartition(".")
    holder = _at(obj, above) if above else obj
    if not isinstance(holder, dict) or last not in holder:
        return obj
    left = _without(obj, place)
    return _put(left, home, holder[last]) if home else left


def _translated(obj: WireObject, place: Place, words: Mapping[str, str]) -> WireObject:
    value = _at(obj, place)
    return _put(obj, place, words[value]) if isinstance(value, str) and value in words else obj


def _only(session: WireObject, places: frozenset[Place]) -> WireObject:
    shown: WireObject = {}
    for place in sorted(places):
        above, _, last = place.rpartition(".")
        holder = _at(session, above) if above else session
        if isinstance(holder, dict) and last in holder:
            shown = _put(shown, place, holder[last])
    return shown
