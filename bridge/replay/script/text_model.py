"""A text model behind an OpenAI-compatible URL, as call scripts name it."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from bridge.config.parts import Part, Text

_OURS = "BRIDGE_"


def _leads_somewhere(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("should be a URL that begins with http:// or https://")
    if parts.username or parts.password:
        raise ValueError("holds a password: name its variable in api_key_env instead")
    return url


def _reaches_callers(name: str) -> str:
    if name.startswith(_OURS):
        raise ValueError("begins with BRIDGE_, which callers don't get: choose another variable")
    return name


BaseUrl = Annotated[Text, AfterValidator(_leads_somewhere)]
Variable = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"),
    AfterValidator(_reaches_callers),
]


class Prices(Part):
    """The price of a model, in USD for a million tokens.

    Attributes:
        input: for what it reads.
        output: for what it writes.
    """

    input: float = Field(ge=0, le=10_000)
    output: float = Field(ge=0, le=10_000)


class TextModel(Part):
    """A text model behind a URL that speaks OpenAI's chat completions.

    Attributes:
        url: up to and with `/v1`; `/chat/completions` is added.
        model: its name there.
        api_key_env: environment variable with the key: its name, never the key.
        api_key_file: file with the key; one of the two, or neither.
        timeout_s: how long one answer may take.
        max_tokens: of one answer.
        usd_per_million: its prices, for limits on cost.
    """

    url: BaseUrl
    model: Text
    api_key_env: Variable | None = None
    api_key_file: Path | None = None
    timeout_s: float = Field(20.0, gt=0, le=120)
    max_tokens: int = Field(400, ge=16, le=8_000)
    usd_per_million: Prices | None = None

    @model_validator(mode="after")
    def _has_one_key(self) -> Self:
        if self.api_key_env is not None and self.api_key_file is not None:
            raise ValueError("has api_key_env and api_key_file: name one place of the key")
        return self


LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def goes_in_the_clear(model: TextModel) -> bool:
    """Return whether what is sent to a model leaves this machine without TLS."""
    parts = urlsplit(model.url)
    return parts.scheme == "http" and parts.hostname not in LOOPBACK
