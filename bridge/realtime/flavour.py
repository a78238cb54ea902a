"""Differences of a server from its dialect, as data; they change what is said and read. Pure.

A dialect's tables stay as they are: a flavour changes the session that is asked for, the objects
that leave (:meth:`Flavour.spelled`), and those that come (:meth:`Flavour.read`). Its servers'
documentation is cited beside each row (:mod:`bridge.realtime.flavours`).
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bridge.realtime.commands import Command, CreateItem
from bridge.realtime.events import ConversationCreated, SessionCreated
from bridge.realtime.items import ContentPart, FunctionCall, Item, Message, PartKind, Role
from bridge.realtime.session_config import AudioFormat, SemanticVad, SessionConfig
from bridge.realtime.wire import WireObject

S = TypeVar("S")

Place = str
"""Keys of an object with dots between them: ``audio.output.voice``."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """A server's own way with its dialect; what is left at its default is as the dialect has it.

    Attributes:
        dialects: that it speaks, the usual one first; empty for whichever it is asked for.
        names_itself: its dialect's handshake headers are sent; its documentation knows of none.
        fresh_parameter: of the URL's query, that holds a new id for each connection.
        names_model: the session says which model it is, and not the URL alone.
        opens_by_update: there is no session, and no event of it, before the first update.
        opens_with: the events, any of which begins a session.
        session_s: longest life of a session that names no end of its own.
        hears, says: audio formats, the usual one first.
        takes: settings that its dialect lacks.
        lacks: settings that it has no word for or takes no notice of, by their path in
            :class:`SessionConfig`, each with the reason.
        no_semantic_vad: why it has none; empty where it has.
        answers_by_itself: why nobody can have it wait with its answers; empty where one can.
        answers_audio_alone: why it can't be asked to speak first; empty where it can.
        homes: where its session objects have what the dialect has at another place; None: nowhere.
        words: by place in the dialect's session, the dialect's value -> its own.
        nests_tools: functions stand in an object of their own within their tool.
        user_items_alone: other messages of a talk that is given back go as the user's, and say so.
        not_taken: commands that are not sent, with what that means for the talk.
        no_tokens: why its key buys no client secrets as its dialect does; empty where it does.
        quiet: its own events that say nothing of the talk, pings among them.
        hollow: events that say nothing where they lack this key.
        moved: by event, where the dialect has what the server has at another place.
    """

    name: str
    dialects: tuple[str, ...] = ()
    names_itself: bool = True
    fresh_parameter: str = ""
    names_model: bool = False
    opens_by_update: bool = False
    opens_with: tuple[type[SessionCreated | ConversationCreated], ...] = (SessionCreated,)
    session_s: int | None = None
    hears: tuple[AudioFormat, ...] = tuple(AudioFormat)
    says: tuple[AudioFormat, ...] = tuple(AudioFormat)
    takes: frozenset[str] = frozenset()
    lacks: Mapping[str, str] = field(default_factory=dict)
    no_semantic_vad: str = ""
    answers_by_itself: str = ""
    answers_audio_alone: str = ""
    homes: Mapping[Place, Place | None] = field(default_factory=dict)
    words: Mapping[Place, Mapping[str, str]] = field(default_factory=dict)
    nests_tools: bool = False
    user_items_alone: bool = False
    not_taken: Mapping[type[Command], str] = field(default_factory=dict)
    no_tokens: str = ""
    quiet: frozenset[str] = frozenset()
    hollow: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, Mapping[Place, Place]] = field(default_factory=dict)

    def sayable(self, config: SessionConfig) -> SessionConfig:
        """Return a session without what this server lacks."""
        if self.no_semantic_vad and isinstance(config.turn_detection, SemanticVad):
            config = replace(config, turn_detection=None)
        for path in self.lacks:
            config = without(config, path)
        # What it lacks is off already: a null for it would be one more unknown key.
        return replace(config, switched_off=config.switched_off - self.lacks.keys())

    def unsupported(self, config: SessionConfig) -> Mapping[str, str]:
        """Name the fields of ``config`` that this server lacks, by their path in it, and why."""
        named = {path: why for path, why in self.lacks.items() if _is_set(config, path)}
        if self.no_semantic_vad and isinstance(config.turn_detection, SemanticVad):
            named["turn_detection"] = self.no_semantic_vad
        return named

    def command(self, command: Command) -> Command:
        """Return a command as this server may be given it."""
        if self.user_items_alone and isinstance(command, CreateItem):
            return replace(command, item=_as_users(command.item))
        return command

    def spelled(self, payload: WireObject) -> WireObject:
        """Return what stands beside a command's type as this server spells it."""
        session = payload.get("session")
        if isinstance(session, dict):
            payload = {**payload, "session": self._spelled_session(session)}
        response = payload.get("response")
        if self.nests_tools and isinstance(response, dict):
            payload = {**payload, "response": _with_tools(response, _nested_tool)}
        return payload

    def read(self, event_type: str, obj: WireObject) -> WireObject:
        """Return an event's object as the dialect has it."""
        for theirs, ours in self.moved.get(event_type, {}).items():
            obj = _moved(obj, theirs, ours)
        session = obj.get("session")
        if isinstance(session, dict) and (self.homes or self.words or self.nests_tools):
            obj = {**obj, "session": self._read_session(session)}
        return obj

    def says_nothing(self, event_type: str, obj: WireObject) -> bool:
        """Return whether an event is one that says nothing of the talk."""
        key = self.hollow.get(event_type)
        return event_type in self.quiet or (key is not None and obj.get(key) is None)

    def _spelled_session(self, session: WireObject) -> WireObject:
        for place, words in self.words.items():
            session = _translated(session, place, words)
        for place, home in self.homes.items():
            session = _moved(session, place, home)
        return _with_tools(session, _nested_tool) if self.nests_tools else session

    def _read_session(self, session: WireObject) -> WireObject:
        if self.nests_tools:
            session = _with_tools(session, _flat_tool)
        for place, home in self.homes.items():
            if home is not None:
                session = _moved(session, home, place)
        for place, words in self.words.items():
            session = _translated(session, place, {theirs: ours for ours, theirs in words.items()})
        return session


PLAIN = Flavour("openai")
"""A server that does what its dialect says."""


def without(settings: S, path: str) -> S:
    """Return settings with one of them at its default; a required one stays.

    Args:
        settings: a dataclass.
        path: fields with dots between them; one that isn't there changes nothing.
    """
    name, _, inner = path.partition(".")
    fields = _fields(settings)
    if name not in fields:
        return settings
    value = getattr(settings, name)
    if inner:
        return settings if value is None else _with(settings, name, without(value, inner))
    default = _default(fields[name])
    return settings if default is dataclasses.MISSING else _with(settings, name, default)


def _with(settings: S, name: str, value: object) -> S:
    changed: S = replace(settings, **{name: value})  # type: ignore[type-var]  # a dataclass
    return changed


def _is_set(settings: object, path: str) -> bool:
    name, _, inner = path.partition(".")
    fields = _fields(settings)
    if name not in fields:
        return False
    value = getattr(settings, name)
    return _is_set(value, inner) if inner else value != _default(fields[name])


def _fields(settings: object) -> Mapping[str, "dataclasses.Field[object]"]:
    if not dataclasses.is_dataclass(settings):
        return {}
    return {each.name: each for each in dataclasses.fields(settings)}


def _default(each: "dataclasses.Field[object]") -> object:
    if each.default_factory is not dataclasses.MISSING:
        return each.default_factory()
    return each.default


def _moved(obj: WireObject, place: Place, home: Place | None) -> WireObject:
    """Take what stands at a place out of an object, and put it at another one, if any."""
    *above, last = place.split(".")
    holder = _at(obj, above)
    if holder is None or last not in holder:
        return obj
    value = holder[last]
    obj = _put(obj, above, {key: each for key, each in holder.items() if key != last})
    if home is None:
        return obj
    *above, last = home.split(".")
    return _put(obj, above, {**(_at(obj, above) or {}), last: value})


def _translated(obj: WireObject, place: Place, words: Mapping[str, str]) -> WireObject:
    *above, last = place.split(".")
    holder = _at(obj, above)
    value = holder.get(last) if holder is not None else None
    if holder is None or not isinstance(value, str) or value not in words:
        return obj
    return _put(obj, above, {**holder, last: words[value]})


def _at(obj: WireObject, keys: Collection[str]) -> WireObject | None:
    for key in keys:
        inner = obj.get(key)
        if not isinstance(inner, dict):
            return None
        obj = inner
    return obj


def _put(obj: WireObject, keys: list[str], inner: WireObject) -> WireObject:
    """Return an object with another one at a place in it; an empty one is left out."""
    if not keys:
        return inner
    first, *rest = keys
    below = obj.get(first)
    put = _put(below if isinstance(below, dict) else {}, rest, inner)
    kept = {key: value for key, value in obj.items() if key != first}
    return {**kept, first: put} if put else kept


def _with_tools(obj: WireObject, spell: Callable[[WireObject], WireObject]) -> WireObject:
    tools = obj.get("tools")
    if not isinstance(tools, list):
        return obj
    return {**obj, "tools": [spell(tool) if isinstance(tool, dict) else tool for tool in tools]}


def _nested_tool(tool: WireObject) -> WireObject:
    if tool.get("type") != "function":
        return tool
    return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}


def _flat_tool(tool: WireObject) -> WireObject:
    function = tool.get("function")
    return {"type": "function", **function} if isinstance(function, dict) else tool


_WHOSE = {Role.SYSTEM: "(Note to the agent) ", Role.ASSISTANT: "(The agent said) "}


def _as_users(item: Item) -> Item:
    """Return an item as a user's message, with words that say whose it was."""
    if isinstance(item, FunctionCall):
        text = f"(The agent called the function {item.name}) {item.arguments}"
        return Message(Role.USER, (ContentPart(PartKind.INPUT_TEXT, text),), item.item_id)
    if not isinstance(item, Message) or item.role is Role.USER:
        return item
    text = _WHOSE[item.role] + " ".join(part.text or "" for part in item.parts)
    return replace(item, role=Role.USER, parts=(ContentPart(PartKind.INPUT_TEXT, text),))
