"""The check of a tool call's arguments, before anything runs.

What the model wrote is text that may be no JSON, no object, or not what the schema asks for; each
becomes a sentence that the model can mend its call by.
"""

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

_LONGEST_CHARS = 16_384
_COMPLAINTS = 3
_NO_OTHERS: Registry[Any] = Registry()
"""A schema's `$ref` leads nowhere but into itself: nothing is fetched."""


class BadArgumentsError(ValueError):
    """The arguments are not what the tool takes; the message is for the model."""


def parse_arguments(text: str, schema: Mapping[str, object]) -> dict[str, object]:
    """Return a tool call's arguments.

    Args:
        text: as the model wrote it; empty means no arguments.
        schema: JSON Schema (2020-12) of an object.

    Raises:
        BadArgumentsError: naming what is wrong.
    """
    if len(text) > _LONGEST_CHARS:
        raise BadArgumentsError("the arguments are too long")
    try:
        arguments = json.loads(text) if text.strip() else {}
    except (json.JSONDecodeError, RecursionError):
        raise BadArgumentsError("the arguments are no JSON") from None
    if not isinstance(arguments, dict):
        raise BadArgumentsError("the arguments are no JSON object")
    validator = Draft202012Validator(schema, registry=_NO_OTHERS)
    try:
        errors = sorted(validator.iter_errors(arguments), key=lambda error: error.json_path)
    except Unresolvable:
        raise BadArgumentsError("the tool's schema refers to something that is not there") from None
    if errors:
        complaints = "; ".join(
            f"{error.json_path.removeprefix('$.')}: {error.message[:200]}"
            for error in errors[:_COMPLAINTS]
        )
        raise BadArgumentsError(complaints)
    return arguments
