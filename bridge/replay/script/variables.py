"""Variables of a call script: ``{name}`` in its texts stands for a value of ``setup.vars``.

They are put in before anything else is checked, so the checks see what will be said.
"""

import re
from collections.abc import Iterator, Mapping

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from bridge.config.complaints import Location, suggest

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_SPOKEN = frozenset({"called", "hears", "caller", "persona", "end", "judge"})
"""Where a name that nobody set is a mistake. Elsewhere braces may be another's: a simulator's rule
writes ``{field}`` for what a tool has answered."""


def fill_in(document: object) -> object:
    """Put the variables into a script's document.

    Raises:
        ValidationError: a text names a variable that isn't set; with its place.
    """
    if not isinstance(document, dict):
        return document
    setup = document.get("setup")
    values = setup.get("vars") if isinstance(setup, dict) else None
    known = {name: str(value) for name, value in values.items()} if isinstance(values, dict) else {}
    strays: list[InitErrorDetails] = []
    filled = {}
    for key, part in document.items():
        filled[key] = _fill(part, known)
        if key in _SPOKEN:
            strays.extend(_strays((key,), filled[key], known))
    if strays:
        raise ValidationError.from_exception_data("CallScript", strays)
    return filled


def _fill(part: object, values: Mapping[str, str]) -> object:
    if isinstance(part, str):
        return _PLACE.sub(lambda found: values.get(found[1], found[0]), part)
    if isinstance(part, dict):
        return {key: _fill(value, values) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_fill(value, values) for value in part]
    return part


def _strays(place: Location, part: object, known: Mapping[str, str]) -> Iterator[InitErrorDetails]:
    if isinstance(part, str):
        for name in _PLACE.findall(part):
            hint = suggest(name, known) or "set it there"
            error = PydanticCustomError(
                "unknown_variable", f"names {{{name}}}, which is not in setup.vars; {hint}"
            )
            yield InitErrorDetails(type=error, loc=place, input=part)
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _strays((*place, str(key)), value, known)
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from _strays((*place, number), value, known)
