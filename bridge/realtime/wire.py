"""Typed reading of untyped JSON, dialect-free.

A *reader* takes an object and a key and returns a checked value or raises
:class:`FieldError`; combinators (:func:`optional`, :func:`nested`, :func:`each`) build readers of
shapes. Errors name the JSON path, never the payload: it may hold speech. Strings that leave here
can always be encoded as UTF-8 (JSON may spell lone surrogates; they become U+FFFD).
"""

import binascii
import math
import re
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

import pybase64

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

WireObject = dict[str, object]
"""One JSON object, unread."""

Reader = Callable[[WireObject, str], T]
"""Reads one key of an object."""

_MAX_INT = 2**53
"""Beyond this JSON numbers are not exact in most peers (RFC 8259 section 6)."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class FieldError(Exception):
    """A field is missing or of the wrong kind; never leaves `bridge/realtime/`.

    Args:
        path: where, from the object that was being read.
        problem: what is wrong, as the end of a sentence, without the value.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path} {problem}")
        self.path = path
        self.problem = problem

    def under(self, parent: str) -> "FieldError":
        """Return the same complaint as seen from one object further out."""
        joint = "" if self.path.startswith("[") else "."
        return FieldError(f"{parent}{joint}{self.path}", self.problem)


def _complaint(obj: WireObject, key: str, wanted: str) -> FieldError:
    return FieldError(key, f"is not {wanted}" if key in obj else "is missing")


def encodable(text: str) -> str:
    """Return ``text`` with lone surrogates replaced by U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def require_str(obj: WireObject, key: str) -> str:
    """Read a string."""
    value = obj.get(key)
    if not isinstance(value, str):
        raise _complaint(obj, key, "a string")
    return encodable(value)


def require_bool(obj: WireObject, key: str) -> bool:
    """Read true or false."""
    value = obj.get(key)
    if not isinstance(value, bool):
        raise _complaint(obj, key, "true or false")
    return value


def require_int(obj: WireObject, key: str) -> int:
    """Read a whole number from 0 up (indices, milliseconds, token counts; ``20.0`` is one)."""
    value = obj.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_INT:
        raise _complaint(obj, key, "a whole number from 0 up")
    return value


def require_number(obj: WireObject, key: str) -> float:
    """Read a finite number."""
    value = obj.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _complaint(obj, key, "a number")
    if abs(value) > _MAX_INT or not math.isfinite(value):
        raise _complaint(obj, key, "a number of a sane size")
    return float(value)


_PLAIN_ALPHABET = str.maketrans("-_", "+/")


def require_base64(obj: WireObject, key: str) -> bytes:
    """Read bytes out of base64 (RFC 4648 section 4), however its writer went about it.

    Missing or superfluous padding, the alphabet of section 5 and the line ends of MIME leave no
    doubt about the bytes. Two alphabets in one text, and a length that no bytes have, do.
    """
    value = obj.get(key)
    if not isinstance(value, str):
        raise _complaint(obj, key, "a string")
    try:
        # 0.6 us for 100 ms of audio, against 11 us of binascii's (x86-64 with AVX2).
        return pybase64.b64decode(value, validate=True)
    except ValueError:
        pass
    text = value.replace("\r", "").replace("\n", "").rstrip("=")
    if not ("-" in text or "_" in text):
        plain = text
    elif "+" in text or "/" in text:
        raise FieldError(key, "mixes two alphabets of base64")
    else:
        plain = text.translate(_PLAIN_ALPHABET)
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError:
        raise FieldError(key, "is not base64") from None


def require_enum(kind: type[E]) -> Reader[E]:
    """Build a reader of one of an enum's values."""
    values = {member.value: member for member in kind}

    def read(obj: WireObject, key: str) -> E:
        member = values.get(require_str(obj, key))
        if member is None:
            raise FieldError(key, f"is none of {', '.join(values)}")
        return member

    return read


def enum_or(kind: type[E], unknown: E) -> Reader[E]:
    """Build a reader of one of an enum's values; text that is none of them gives ``unknown``."""
    values = {member.value: member for member in kind}
    return lambda obj, key: values.get(require_str(obj, key), unknown)


def nested(read: Callable[[WireObject], T]) -> Reader[T]:
    """Build a reader of an object."""

    def read_nested(obj: WireObject, key: str) -> T:
        value = obj.get(key)
        if not isinstance(value, dict):
            raise _complaint(obj, key, "an object")
        try:
            return read(value)
        except FieldError as error:
            raise error.under(key) from None

    return read_nested


def each(read: Callable[[WireObject], T]) -> Reader[tuple[T, ...]]:
    """Build a reader of an array of objects."""
    read_element = nested(read)

    def read_each(obj: WireObject, key: str) -> tuple[T, ...]:
        value = obj.get(key)
        if not isinstance(value, list):
            raise _complaint(obj, key, "an array")
        elements: list[T] = []
        for index, element in enumerate(value):
            place = f"[{index}]"
            try:
                elements.append(read_element({place: element}, place))
            except FieldError as error:
                raise error.under(key) from None
        return tuple(elements)

    return read_each


def optional(read: Reader[T]) -> Reader[T | None]:
    """Build a reader that gives None where the key is absent or null."""
    return lambda obj, key: None if obj.get(key) is None else read(obj, key)


def if_readable(read: Reader[T]) -> Reader[T | None]:
    """Build a reader that gives None where there is nothing to be read, or no such thing."""

    def read_or_none(obj: WireObject, key: str) -> T | None:
        try:
            return read(obj, key)
        except FieldError:
            return None

    return read_or_none


def default_to(value: T, read: Reader[T]) -> Reader[T]:
    """Build a reader that gives ``value`` where the key is absent or null."""
    return lambda obj, key: value if obj.get(key) is None else read(obj, key)


def at(wire_key: str, read: Reader[T]) -> Reader[T]:
    """Build a reader of a field that the wire calls otherwise than we do."""
    return lambda obj, _key: read(obj, wire_key)


def inside(outer_key: str, read: Reader[T]) -> Reader[T]:
    """Build a reader of a field that stands one object deeper."""
    return lambda obj, key: nested(lambda inner: read(inner, key))(obj, outer_key)


def inside_if_any(outer_key: str, read: Reader[T]) -> Reader[T]:
    """Build a reader like :func:`inside` that takes an absent or null object for an empty one."""
    deeper = inside(outer_key, read)
    return lambda obj, key: deeper(obj if obj.get(outer_key) is not None else {outer_key: {}}, key)


def constant(value: T) -> Reader[T]:
    """Build a reader that reads nothing: the event's name says it."""
    return lambda _obj, _key: value


optional_str = optional(require_str)
count = default_to(0, require_int)
"""An index or a counter that peers leave out where it is 0."""


def given(**fields: object) -> WireObject:
    """Return the fields that are not None: what is not set is not sent."""
    return {name: value for name, value in fields.items() if value is not None}
