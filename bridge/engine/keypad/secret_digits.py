"""Sensitive digits: a reference for the model, the digits for the operator's own tools.

The reference is good for nothing outside of its call, so it needs no randomness. It stands in the
arguments that the model writes, and is replaced just before a webhook is called; should the webhook
say the digits in its answer, the reference stands there again.
"""

from collections.abc import Mapping

from bridge.engine.keypad.state import KeypadState

_SHORTEST_CONCEALED = 4
"""Two or three digits stand in any answer by chance."""


def keep_secret(keypad: KeypadState, digits: str) -> str:
    """Keep digits; return their reference."""
    reference = f"secret_digits_{len(keypad.secrets) + 1}"
    keypad.secrets[reference] = digits
    return reference


def reveal(keypad: KeypadState, arguments: Mapping[str, object]) -> dict[str, object]:
    """Return a tool's arguments with every reference replaced by its digits."""
    return {name: _revealed(keypad.secrets, value) for name, value in arguments.items()}


def conceal(keypad: KeypadState, output: str) -> str:
    """Return a tool's output with all secret digits replaced by their references."""
    for reference, digits in keypad.secrets.items():
        if len(digits) >= _SHORTEST_CONCEALED:
            output = output.replace(digits, reference)
    return output


def _revealed(secrets: Mapping[str, str], value: object) -> object:
    match value:
        case str():
            return secrets.get(value, value)
        case Mapping():
            return {name: _revealed(secrets, inner) for name, inner in value.items()}
        case list():
            return [_revealed(secrets, inner) for inner in value]
        case _:
            return value
