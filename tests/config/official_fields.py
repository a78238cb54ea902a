"""The fields of a session that the official SDK's types let a client write, each by its path.

A path goes through objects by ``.``, through lists by ``[]``, through mappings by ``{}``:
``tools[].headers{}``. Models and typed dictionaries are walked alike, because the SDK has both of
each session, and one of them may come to have a field before the other.
"""

import types
import typing
from collections.abc import Iterable, Iterator, Mapping

from openai.types.beta.realtime.session_update_event import SessionUpdateEvent as BetaUpdate
from openai.types.beta.realtime.session_update_event_param import (
    SessionUpdateEventParam as BetaUpdateParam,
)
from openai.types.beta.realtime.transcription_session_update import TranscriptionSessionUpdate
from openai.types.beta.realtime.transcription_session_update_param import (
    TranscriptionSessionUpdateParam,
)
from openai.types.realtime.session_update_event import SessionUpdateEvent
from openai.types.realtime.session_update_event_param import SessionUpdateEventParam
from pydantic import BaseModel


def members(annotation: object) -> Iterator[object]:
    """Yield what a union is made of; of an annotated or required type the type."""
    if typing.get_origin(annotation) in (typing.Annotated, typing.Required, typing.NotRequired):
        yield from members(typing.get_args(annotation)[0])
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for each in typing.get_args(annotation):
            yield from members(each)
    elif annotation is not type(None):
        yield annotation


def fields_of(kind: object) -> Mapping[str, object]:
    """Return the fields of a model or a typed dictionary; of anything else none."""
    if not isinstance(kind, type):
        return {}
    if issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    return typing.get_type_hints(kind) if hasattr(kind, "__required_keys__") else {}


def walked(annotation: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield every path below a type, and its type: those of objects, too."""
    for kind in members(annotation):
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        yield path, kind
        if origin is dict:
            yield from walked(arguments[1], f"{path}{{}}")
        elif isinstance(origin, type) and issubclass(origin, Iterable):
            yield from walked(arguments[0], f"{path}[]")
        for name, below in fields_of(kind).items():
            yield from walked(below, f"{path}.{name}" if path else name)


def paths(annotation: object) -> frozenset[str]:
    """Return the paths of all that has a value of its own: ``tools[].name``, ``tracing``."""
    return frozenset(path for path, kind in walked(annotation) if not _is_made_of_parts(kind))


def _is_made_of_parts(kind: object) -> bool:
    origin = typing.get_origin(kind)
    lists = isinstance(origin, type) and issubclass(origin, Iterable)
    return lists or bool(fields_of(kind))


def session_of(*updates: object) -> object:
    """Return the type of ``session`` in events, a union of all of them."""
    found = [fields_of(update)["session"] for update in updates]
    return typing.Union[*found]


GA_SESSION = session_of(SessionUpdateEvent, SessionUpdateEventParam)
BETA_SESSION = session_of(
    *(BetaUpdate, BetaUpdateParam, TranscriptionSessionUpdate, TranscriptionSessionUpdateParam)
)
"""Both kinds of session: those that talk, and those that transcribe."""


def models(annotation: object) -> list[type[BaseModel]]:
    """Return the models that a walk goes through."""
    found = {kind for _, kind in walked(annotation) if isinstance(kind, type)}
    return sorted(
        (kind for kind in found if issubclass(kind, BaseModel)), key=lambda kind: kind.__qualname__
    )


def leaves(value: object, path: str) -> bool:
    """Return whether a JSON object has something at a path."""
    head, _, rest = path.partition(".")
    name = head.rstrip("[]{}")
    if not isinstance(value, dict) or name not in value:
        return False
    found = value[name]
    if head.endswith("[]"):
        below = found if isinstance(found, list) else []
    elif head.endswith("{}"):
        below = [*found.values()] if isinstance(found, dict) else []
    else:
        below = [found]
    return any(not rest or leaves(each, rest) for each in below)
