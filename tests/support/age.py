"""Debian's `age`, another program than the one under test: makes keys, encrypts, decrypts."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import need_program


@dataclass(frozen=True, slots=True)
class AgeKey:
    """A key pair in two files, as an operator has them.

    Attributes:
        identities: file of the secret key.
        recipients: file of the public key.
        public: the public key, ``age1...``.
    """

    identities: Path
    recipients: Path
    public: str


def make_key(directory: Path, name: str = "key") -> AgeKey:
    """Make a key pair with `age-keygen`."""
    keygen = need_program("age-keygen", "age")
    identities, recipients = directory / f"{name}.identities", directory / f"{name}.recipients"
    _run(keygen, "-o", str(identities))
    public = _run(keygen, "-y", str(identities)).decode().strip()
    recipients.write_text(f"{public}\n")
    return AgeKey(identities, recipients, public)


def decrypt_with_age(encrypted: Path, identities: Path) -> bytes:
    """Return what `age -d` makes of a file."""
    return _run(need_program("age", "age"), "-d", "-i", str(identities), str(encrypted))


def encrypt_with_age(plain: Path, encrypted: Path, public: str) -> None:
    """Have `age` encrypt a file."""
    age = need_program("age", "age")
    _run(age, "-r", public, "-o", str(encrypted), str(plain))


def _run(*command: str) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout
