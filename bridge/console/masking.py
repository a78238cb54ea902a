"""Numbers as people without a reason to know them see them: their last two digits."""

from bridge.routing.numbers import normalise_called, shown_number
from bridge.telemetry.redaction import mask_numbers

_SHOWN = 2
WITHHELD = "withheld"


def mask_caller(uri: str, *, whole: bool = False) -> str:
    """Return who a SIP or tel URI names: digits as ``***`` and the last two.

    Args:
        whole: the line's own number, which is nobody's secret, as it is.
    """
    user = normalise_called(uri) if whole else shown_number(uri)
    if not user:
        return WITHHELD
    digits = sum(each.isdigit() for each in user)
    if whole or digits < 5:
        return user
    return f"***{user[-_SHOWN:]}"


def mask_within(value: object) -> object:
    """Return JSON with every number of a phone in its texts masked, however deep."""
    match value:
        case str():
            return mask_numbers(value)
        case dict():
            return {name: mask_within(inner) for name, inner in value.items()}
        case list():
            return [mask_within(inner) for inner in value]
        case _:
            return value
