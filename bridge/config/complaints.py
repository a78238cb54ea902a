"""Readable text for pydantic's validation errors.

A complaint names the field's path, what is wrong and what is allowed. Of the value itself only
numbers and the words of a fixed choice are repeated: everything else may be a secret, a phone
number or a sentence for a caller.
"""

import difflib
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Location = tuple[str | int, ...]
"""Keys and list positions from the top of a document down to a value."""

_UNIONS = (Union, types.UnionType)
_CHOICES = frozenset({"literal_error", "enum", "union_tag_invalid"})
_MAPPINGS = frozenset({"dict_type", "model_type", "model_attributes_type", "mapping_type"})
_LISTS = frozenset({"list_type", "tuple_type"})
_KEY_MARK = "[key]"
"""What pydantic puts last when a mapping's key is wrong, not its value."""


def explain(error: ValidationError, model: type[BaseModel]) -> list[tuple[Location, str]]:
    """Return what is wrong, one entry for each of pydantic's errors.

    Args:
        error: what the validation raised.
        model: the model that was validated.

    Returns:
        (location, maybe with parts that aren't in the document, text) in pydantic's order.
    """
    details = error.errors(include_url=False)
    return [(_place(detail), _explain_one(detail, model)) for detail in details]


def suggest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return ``did you mean 'x'?`` for the closest known word, or an empty string.

    Args:
        cutoff: least likeness, 0 to 1 (:func:`difflib.get_close_matches`).
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"did you mean '{close[0]}'?" if close else ""


def dotted(location: Location) -> str:
    """Write a location the way a person would: ``agent.tools[0].name``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the document"


def _place(detail: ErrorDetails) -> Location:
    """Return the location whose line to report: a bad choice of type stands at that key."""
    if detail["type"] == "union_tag_invalid":
        return (*detail["loc"], _tag_field(detail))
    return detail["loc"]


def _explain_one(detail: ErrorDetails, model: type[BaseModel]) -> str:
    location, kind = detail["loc"], detail["type"]
    holders, where = _follow(model, location)
    name = f"the key {dotted(where[:-1])}" if where[-1:] == (_KEY_MARK,) else dotted(where)
    match kind:
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            return f"{name} is not known{_allowed_keys(str(location[-1]), holders)}"
        case "union_tag_not_found":
            return f"{name}.{_tag_field(detail)} is missing"
        case _ if kind in _CHOICES:
            return f"{name}{_choice(detail)}"
        case _:
            return f"{name} {_message(detail)}"


def _message(detail: ErrorDetails) -> str:
    kind, value = detail["type"], detail["input"]
    if kind in _MAPPINGS:
        return "should be a mapping (key: value)"
    if kind in _LISTS:
        return "should be a list"
    if kind == "string_type" and isinstance(value, bool | int | float):
        read_as = "true or false" if isinstance(value, bool) else "a number"
        return f"should be text, and YAML reads it as {read_as}: put it in quotes"
    if kind == "invalid-json-value":
        return f"has no form in JSON: YAML reads it as a {type(value).__name__}; put it in quotes"
    message = detail["msg"].removeprefix("Value error, ")
    message = message.removeprefix("Input ").replace("String should", "should", 1)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{message}, not {value}"
    return message


def _choice(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    value: object = detail["input"]
    field = ""
    if detail["type"] == "union_tag_invalid":
        field, value = f".{_tag_field(detail)}", context.get("tag")
    allowed = str(context.get("expected") or context.get("expected_tags"))
    words = [word.strip().strip("'") for word in allowed.replace(" or ", ", ").split(",")]
    said = f", not {value!r}" if isinstance(value, str | int | float) else ""
    hint = suggest(value, words) if isinstance(value, str) else ""
    choice = words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    return f"{field} should be {choice}{said}{'; ' + hint if hint else ''}"


def _tag_field(detail: ErrorDetails) -> str:
    return str(detail.get("ctx", {}).get("discriminator", "type")).strip("'")


def _allowed_keys(key: str, holders: Sequence[type[BaseModel]]) -> str:
    known = sorted({name for holder in holders for name in keys_of(holder)})
    if not known:
        return ""
    hint = suggest(key, known)
    return f"; {hint}" if hint else f" (known here: {', '.join(known)})"


def keys_of(model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys that a document may use for a model's fields."""
    for name, field in model.model_fields.items():
        yield field.alias or name


def _follow(
    model: type[BaseModel], location: Location
) -> tuple[Sequence[type[BaseModel]], Location]:
    """Walk a location along the annotations.

    pydantic puts union tags and class names between the keys; they narrow the union and are no
    part of what the person wrote.

    Returns:
        the models that can hold the last key, and the location without tags.
    """
    here: list[object] = [model]
    holders: Sequence[type[BaseModel]] = [model]
    written: list[str | int] = []
    for part in location:
        models = [each for each in here if isinstance(each, type) and issubclass(each, BaseModel)]
        inner = [arm for each in here for arm in _inner(each, part)]
        tagged = [each for each in models if _is_tagged(each, part)]
        if not inner and tagged:
            here = list(tagged)
            continue
        holders, here = models, inner
        written.append(part)
    return holders, tuple(written)


def _inner(annotation: object, part: str | int) -> Iterator[object]:
    """Yield the types that a value under one more key or position may have."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if part in (name, field.alias):
                yield from _arms(field.annotation)
        return
    arguments = get_args(annotation)
    if get_origin(annotation) in (list, tuple, dict) and arguments:
        yield from _arms(arguments[1] if get_origin(annotation) is dict else arguments[0])


def _arms(annotation: object) -> Iterator[object]:
    """Yield the members of a union, or the annotation itself."""
    if get_origin(annotation) is Annotated:
        yield from _arms(get_args(annotation)[0])
    elif get_origin(annotation) in _UNIONS:
        for member in get_args(annotation):
            yield from _arms(member)
    else:
        yield annotation


def _is_tagged(model: type[BaseModel], tag: str | int) -> bool:
    """Return whether pydantic would call this member of a union by ``tag``."""
    return tag == model.__name__ or any(
        get_origin(field.annotation) is Literal and tag in get_args(field.annotation)
        for field in model.model_fields.values()
    )
