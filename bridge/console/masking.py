"""Numbers as people without a reason to know them see them: their last two digits."""

from bridge.routing.numbers import normalise_called, shown_number

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
