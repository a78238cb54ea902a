"""The official `openai` types as judge of wire events (`PROTOCOL.md` section 10).

The SDK's models take any extra key, so a valid event is still wrong where it holds a key that no
model names: after validation a walk over `model_extra` finds those, less the few that the real
server is known to send. Its unions are plain to pydantic, so the class is picked by `type`.
"""

import copy
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from openai.types.beta.realtime import RealtimeClientEvent as BetaClientEvent
from openai.types.beta.realtime import RealtimeServerEvent as BetaServerEvent
from openai.types.live import ClientEvent as LiveClientEvent
from openai.types.live import ServerEvent as LiveServerEvent
from openai.types.realtime import RealtimeClientEvent as GaClientEvent
from openai.types.realtime import RealtimeServerEvent as GaServerEvent
from openai.types.realtime.response_create_event_with_references_param import (
    ResponseCreateEventWithReferencesParam,
)
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter, ValidationError

DialectName = Literal["beta", "ga", "live"]
Direction = Literal["client", "server"]
Event = dict[str, Any]  # JSON, which is what is on trial here


def _by_type(union: object) -> dict[str, type[BaseModel]]:
    members = typing.get_args(typing.get_args(union)[0])  # Annotated[Union[...], ...]
    return {typing.get_args(m.model_fields["type"].annotation)[0]: m for m in members}


CLASSES: Mapping[tuple[DialectName, Direction], Mapping[str, type[BaseModel]]] = {
    ("beta", "client"): _by_type(BetaClientEvent),
    ("beta", "server"): _by_type(BetaServerEvent),
    ("ga", "client"): _by_type(GaClientEvent),
    ("ga", "server"): _by_type(GaServerEvent),
    ("live", "client"): _by_type(LiveClientEvent),
    ("live", "server"): _by_type(LiveServerEvent),
}

_BACKEND_EVENTS = _by_type(ResponseStreamEvent)

# (event types, paths): what the server sends and the types don't name. A client has none.
_EXTRAS: Mapping[DialectName, tuple[tuple[str, str], ...]] = {
    "beta": (
        ("session.*", "session.object"),
        ("session.*", "session.expires_at"),
        ("session.*", "session.client_secret"),
        ("response.done", "response.usage.input_token_details.cached_tokens_details"),
        ("response.function_call_arguments.done", "name"),
        ("*.delta", "obfuscation"),
    ),
    "ga": (
        ("session.*", "session.id"),
        ("session.*", "session.object"),
        ("session.*", "session.expires_at"),
        ("*.delta", "obfuscation"),
        ("*", "item.phase"),
        ("response.*", "response.output[[]*].phase"),
    ),
    "live": (),
}


def _extras(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, BaseModel):
        joint = f"{path}." if path else ""
        yield from (f"{joint}{key}" for key in value.model_extra or {})
        for name in type(value).model_fields:
            yield from _extras(getattr(value, name), f"{joint}{name}")
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _extras(element, f"{path}[{index}]")


def _has_reference(event: Event) -> bool:
    response = event.get("response")
    items = response.get("input") if isinstance(response, dict) else None
    return any(_is_reference(item) for item in items) if isinstance(items, list) else False


def _is_reference(item: object) -> bool:
    return isinstance(item, dict) and item.get("type") == "item_reference"


_WITH_REFERENCES: TypeAdapter[Any] = TypeAdapter(ResponseCreateEventWithReferencesParam)


def _reference_problems(event: Event) -> Iterator[str]:
    """Judge by the TypedDict, then walk through the rest: a TypedDict drops extras unseen."""
    try:
        # Its arrays are Iterables, which pydantic validates only as they are read.
        _WITH_REFERENCES.dump_python(_WITH_REFERENCES.validate_python(event), mode="json")
    except ValidationError as error:
        yield from _complaints(error)
    rest = copy.deepcopy(event)
    items = rest["response"]["input"]
    for index, item in enumerate(items):
        if _is_reference(item) and item.keys() != {"type", "id"}:
            yield f"response.input[{index}]: a reference is a type and an id"
    rest["response"]["input"] = [item for item in items if not _is_reference(item)]
    yield from problems("ga", "client", rest)


def _complaints(error: ValidationError) -> Iterator[str]:
    details = error.errors(include_url=False, include_input=False)
    # A member of a plain union that isn't even the type in question has nothing to say.
    strangers = [
        detail["loc"][:-1]
        for detail in details
        if detail["type"] == "literal_error"
        and detail["loc"][-1] in ("type", "role")
        and str(detail["loc"][-2:-1])[2:3].isupper()
    ]
    shown = [d for d in details if not any(d["loc"][: len(s)] == s for s in strangers)]
    for detail in shown or details:
        yield f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"


def problems(dialect: DialectName, direction: Direction, event: Event) -> list[str]:
    """Say what the official types of a dialect have against an event; nothing if it is right."""
    if (dialect, direction) == ("ga", "client") and _has_reference(event):
        return list(_reference_problems(event))
    kind = str(event.get("type"))
    model = CLASSES[dialect, direction].get(kind)
    if model is None:
        return [f"type: {kind!r} is no {direction} event of {dialect}"]
    found = _judge(model, event, _EXTRAS[dialect] if direction == "server" else ())
    if kind == "response.event" and isinstance(event.get("event"), dict):
        found += _backend_problems(event["event"])
    return found


def _backend_problems(nested: Event) -> list[str]:
    """Judge an event of the Responses API that GPT-Live passes on as any object at all."""
    model = _BACKEND_EVENTS.get(str(nested.get("type")))
    if model is None:
        return [f"event.type: {nested.get('type')!r} is no event of the Responses API"]
    return [f"event.{problem}" for problem in _judge(model, nested, ())]


def _judge(model: type[BaseModel], event: Event, known: tuple[tuple[str, str], ...]) -> list[str]:
    kind = str(event.get("type"))
    try:
        value = model.model_validate(event, strict=True)
    except ValidationError as error:
        return list(_complaints(error))
    return [
        f"{path}: no such field"
        for path in _extras(value)
        if not any(fnmatchcase(kind, kinds) and fnmatchcase(path, paths) for kinds, paths in known)
    ]


@dataclass(frozen=True)
class Gap:
    """A documented event that the official types of its dialect don't cover.

    Attributes:
        mend: gives an event that says the same within the types; None if the gap is not in it.
    """

    dialect: DialectName
    direction: Direction
    reason: str
    mend: Callable[[Event], Event | None]


_NOISE_REDUCTIONS = (None, {"type": "near_field"}, {"type": "far_field"})


def _mend_transcription_session(event: Event) -> Event | None:
    kinds = {"transcription_session.created", "transcription_session.updated"}
    session = event.get("session")
    if event.get("type") not in kinds or not isinstance(session, dict):
        return None
    if event["type"] == "transcription_session.updated" and "client_secret" in session:
        return None
    # What the wire has and the type has not; the rest of the session is judged.
    wire = {"id", "object", "expires_at", "include"}
    if session.get("input_audio_noise_reduction") in _NOISE_REDUCTIONS:
        wire.add("input_audio_noise_reduction")
    typed = {key: value for key, value in session.items() if key not in wire}
    secret = {"client_secret": {"value": "", "expires_at": 0}}
    return {**event, "type": "transcription_session.updated", "session": {**typed, **secret}}


def _mend_retrieved(event: Event) -> Event | None:
    item = event.get("item")
    parts = item.get("content") if isinstance(item, dict) else None
    if event.get("type") != "conversation.item.retrieved" or not isinstance(parts, list):
        return None
    if not any(isinstance(part, dict) and part.get("type") == "audio" for part in parts):
        return None
    mended = copy.deepcopy(event)
    for part in mended["item"]["content"]:
        if part.get("type") == "audio":
            part["type"] = "output_audio"
            part.pop("format", None)
    return mended


GAPS = {
    "transcription_session": Gap(
        "beta",
        "server",
        "transcription_session.created is in no SDK union, and the wire's .updated has neither the "
        "client_secret that its type requires nor only its fields (PROTOCOL.md section 3)",
        _mend_transcription_session,
    ),
    "retrieved_audio": Gap(
        "ga",
        "server",
        "the official example of conversation.item.retrieved has an assistant part of type audio "
        "with a format, its type has output_audio without (PROTOCOL.md section 6)",
        _mend_retrieved,
    ),
}


def assert_official(dialect: DialectName, direction: Direction, event: Event) -> None:
    """Fail unless the official types have nothing against the event, the known gaps apart."""
    for gap in GAPS.values():
        if (gap.dialect, gap.direction) == (dialect, direction):
            event = gap.mend(event) or event
    found = problems(dialect, direction, event)
    assert not found, f"{dialect} {direction} event {event.get('type')}: {'; '.join(found)}"
