"""The keys of encrypted recordings: age's recipients and identities, read from files.

A *recipient* (``age1...``) is a public key: whoever has it can encrypt, and read nothing. An
*identity* (``AGE-SECRET-KEY-1...``) opens what was encrypted to its recipient. Both files are those
of age's own tools (`age -R`, `age -i`, `age-keygen -o`): one key a line, ``#`` begins a comment.
The format is https://age-encryption.org/v1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyrage

from bridge.errors import ConfigError

Key = TypeVar("Key")

_SECRET = "AGE-SECRET-KEY-"
_LARGEST_BYTES = 64 * 1024
_RECIPIENTS_REMEDY = (
    "recordings.recipients_file holds public keys alone, age1..., one a line:"
    " `age-keygen -y IDENTITIES` prints those of an identities file"
)
_IDENTITIES_REMEDY = (
    "recordings.identities_file holds the secret keys, AGE-SECRET-KEY-1..., one a line, as"
    " `age-keygen -o IDENTITIES` writes them"
)


@dataclass(frozen=True, slots=True)
class Recipients:
    """The public keys to which recordings are encrypted; each of them alone can open one.

    Attributes:
        names: as they are written, ``age1...``, in the file's order.
        keys: the same for pyrage.
    """

    names: tuple[str, ...]
    keys: tuple[pyrage.x25519.Recipient, ...]


@dataclass(frozen=True, slots=True)
class Identities:
    """The secret keys that open recordings.

    Attributes:
        opens: the recipients that they belong to, ``age1...``.
        keys: the secrets themselves, for pyrage.
    """

    opens: frozenset[str]
    keys: tuple[pyrage.x25519.Identity, ...]

    def __repr__(self) -> str:
        return f"Identities(opens={sorted(self.opens)})"


def read_recipients(path: Path) -> Recipients:
    """Read a file of recipients.

    Raises:
        ConfigError: it can't be read, holds none, or a line is none; a secret key in it, too.
    """
    keys = tuple(_parse(path, pyrage.x25519.Recipient.from_str, "recipient", _RECIPIENTS_REMEDY))
    return Recipients(tuple(map(str, keys)), keys)


def read_identities(path: Path) -> Identities:
    """Read a file of identities.

    Raises:
        ConfigError: it can't be read, holds none, or a line is none; no line is repeated.
    """
    keys = tuple(_parse(path, pyrage.x25519.Identity.from_str, "identity", _IDENTITIES_REMEDY))
    return Identities(frozenset(str(key.to_public()) for key in keys), keys)


def check_keys(recipients_file: Path | None, identities_file: Path | None) -> None:
    """Check before any call is taken that recordings can be encrypted, and played again here.

    Args:
        recipients_file, identities_file: of the settings; None where there is none.

    Raises:
        ConfigError: a file is not what it has to be, or no identity opens what is encrypted.
    """
    recipients = None if recipients_file is None else read_recipients(recipients_file)
    identities = None if identities_file is None else read_identities(identities_file)
    if recipients and identities and identities.opens.isdisjoint(recipients.names):
        raise ConfigError(
            "no identity of it opens what is encrypted to the recipients in"
            f" {recipients_file} ({', '.join(recipients.names)})",
            path=str(identities_file),
            remedy="add the identity of one of them, or add the recipient of one of these:"
            f" {', '.join(sorted(identities.opens))}",
        )


def _parse(path: Path, read: Callable[[str], Key], what: str, remedy: str) -> Iterator[Key]:
    """Yield the keys of a file."""
    count = 0
    for number, line in enumerate(_content(path, what, remedy).splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        secret = text.upper().startswith(_SECRET)
        if secret and what == "recipient":
            said = "is a secret key: whoever reads this file can open every recording"
            raise ConfigError(said, path=str(path), line=number, remedy=remedy)
        try:
            key = read(text)
        except (pyrage.RecipientError, pyrage.IdentityError) as error:
            # Not chained: what can't be read may be a secret key with a slip in it.
            said = f"is no {what}: {error}"
            raise ConfigError(said, path=str(path), line=number, remedy=remedy) from None
        count += 1
        yield key
    if not count:
        raise ConfigError(f"holds no {what}", path=str(path), remedy=remedy)


def _content(path: Path, what: str, remedy: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_LARGEST_BYTES)
    except OSError as error:
        said = f"the {what} file cannot be read: {error.strerror}"
        raise ConfigError(said, path=str(path), remedy=remedy) from error
    except UnicodeDecodeError:
        # Not chained: the decoder's error carries the file's bytes.
        said = f"the {what} file is not text"
        raise ConfigError(said, path=str(path), remedy=remedy) from None
