"""Types that the sections of a dialplan share: phrases, languages, transfer targets."""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MAX_PHRASE_CHARS = 400
Phrase = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PHRASE_CHARS)
]
"""What the bridge itself says; half a minute at the longest."""

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
"""A BCP 47 tag: ``en``, ``de``, ``pt-BR``."""

_TARGET = re.compile(r"(sips?|tel):[^\s<>\"]+")


def _is_target(uri: str) -> str:
    if not _TARGET.fullmatch(uri):
        raise ValueError("should be a SIP or tel URI, like 'sip:queue@pbx.example'")
    return uri


TransferTarget = Annotated[str, AfterValidator(_is_target)]
"""Where a call may be sent (RFC 3515 section 2.1): a SIP or tel URI without display name."""

AtHand = Callable[[str | None], str | None]
"""Gives a phrase back if it was rendered, else None."""


def in_ms(seconds: float) -> int:
    """Return a dialplan's seconds as the core takes them."""
    return round(seconds * 1000)
