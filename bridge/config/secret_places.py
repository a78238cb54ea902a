"""The places of secrets: settings name a variable or a file, never the secret itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from bridge.errors import ConfigError

Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""An environment variable's name."""

LONGEST_SECRET = 8000
"""Letters; servers take header lines of 8 KiB at most (websockets' own limit among them)."""


class SecretPlace(BaseModel):
    """The place of a value that is not written into the settings.

    Attributes:
        env: environment variable that holds it.
        file: file that holds it and nothing else but a line end; read anew when it changes. One of
            the two.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: Variable | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _name_one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("should name one of env and file")
        return self

    @property
    def key(self) -> str:
        """The name by which what was read of it is kept: the variable's, or the file's."""
        return self.env or str(self.file)

    def __str__(self) -> str:
        return f"variable {self.env}" if self.file is None else f"file {self.file}"


def read_secret(given: SecretPlace, setting: str, what: str, environ: Mapping[str, str]) -> str:
    """Read a secret, without white space around it.

    Args:
        setting: that names the place, for messages.
        what: the secret is, for messages.

    Raises:
        ConfigError: the variable is not set, the file can't be read, or there is nothing in it.
    """
    if given.file is not None:
        return _read_file(given.file, setting, what)
    value = environ.get(given.env or "", "").strip()
    if not value:
        raise ConfigError(
            f"the environment variable {given.env} is not set, and {setting} names it",
            remedy=f"export {given.env} with the {what}",
        )
    return value


def check_text(text: str, setting: str) -> str:
    """Return what can stand in a header or a query.

    Raises:
        ConfigError: it holds line ends or other control characters, or letters beyond ASCII; it is
            not repeated, for it may be a secret.
    """
    if wrong := fault_of(text):
        raise ConfigError(
            f"{setting} {wrong}", remedy="the place that it names must hold the value alone"
        )
    return text


def fault_of(text: str) -> str:
    """Return why a text can stand in no header (RFC 9110 section 5.5); empty where it can."""
    if not text.strip():
        return "holds nothing"
    if any(letter < " " or letter == "\x7f" for letter in text):
        return "holds line ends or other control characters"
    if not text.isascii():
        return "holds letters beyond ASCII, which servers read in different ways"
    return "is too long" if len(text) > LONGEST_SECRET else ""


def _read_file(path: Path, setting: str, what: str) -> str:
    remedy = f"{setting} must name a file that holds the {what} and nothing else"
    try:
        with path.open(encoding="utf-8") as file:
            secret = file.read(2 * LONGEST_SECRET).strip()
    except OSError as error:
        said = f"the {what} cannot be read: {error.strerror}"
        raise ConfigError(said, path=str(path), remedy=remedy) from error
    except UnicodeDecodeError:
        # Not chained: the decoder's error carries the file's bytes.
        raise ConfigError(f"the {what} is not text", path=str(path), remedy=remedy) from None
    if not secret:
        raise ConfigError(f"the {what} file is empty", path=str(path), remedy=remedy)
    return secret
