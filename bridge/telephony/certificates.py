"""The certificate, key and authorities of SIP over TLS: read from files at once, checked, held.

PJSIP reads such files again for each connection that it opens, so a renewal that is half written
would reach it. It gets copies that nobody changes, in memory.
"""

import os
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from cryptography import x509

from bridge.config.secure_sip import TlsSettings
from bridge.errors import ConfigError

_NO_PASSWORD = ""


@dataclass(frozen=True, slots=True)
class TlsCredentials:
    """What a side of TLS shows, and whom it believes; all PEM.

    Attributes:
        cert: chain included.
        authorities: may be none.
    """

    cert: bytes
    key: bytes
    authorities: bytes

    @classmethod
    def read(cls, settings: TlsSettings) -> Self:
        """Read the files of the settings, and see that they belong together.

        Raises:
            ConfigError: one can't be read, is no PEM, or the key is of another certificate.
        """
        trusted = settings.ca_file or _authorities_of_this_machine()
        cert = _read(settings.cert_file, "cert_file")
        key = _read(settings.key_file, "key_file")
        found = cls(cert, key, _read(trusted, "ca_file") if trusted else b"")
        found._check(settings)
        return found

    @property
    def ends(self) -> datetime:
        """When the certificate is valid no more."""
        return x509.load_pem_x509_certificates(self.cert)[0].not_valid_after_utc

    def _check(self, settings: TlsSettings) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        place = str(settings.cert_file)
        with HeldCredentials(self) as held:
            try:
                context.load_cert_chain(held.cert_path, held.key_path, password=_NO_PASSWORD)
                if self.authorities:
                    place = str(settings.ca_file)
                    context.load_verify_locations(held.authorities_path)
            except (ssl.SSLError, ValueError) as error:
                raise ConfigError(
                    f"the certificate, key or authorities of SIP over TLS can't be used: {error}",
                    path=place,
                    remedy="sip.tls.cert_file and key_file are PEM files that belong together, the"
                    " key without a password; ca_file holds certificates in PEM",
                ) from error


class HeldCredentials:
    """Holds credentials where C code finds them as files, in memory; close it at the end."""

    def __init__(self, credentials: TlsCredentials) -> None:
        self._fds = [
            _in_memory(name, data)
            for name, data in (
                ("cert", credentials.cert),
                ("key", credentials.key),
                ("ca", credentials.authorities),
            )
        ]
        paths = [f"/proc/self/fd/{fd}" for fd in self._fds]
        self.cert_path, self.key_path, ca_path = paths
        self.authorities_path = ca_path if credentials.authorities else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget them; safe to call twice."""
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)


def _in_memory(name: str, data: bytes) -> int:
    fd = os.memfd_create(f"sip-tls-{name}")
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(data)
    return fd


def _authorities_of_this_machine() -> Path | None:
    found = ssl.get_default_verify_paths().cafile
    return Path(found) if found else None


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"sip.tls.{setting} can't be read: {error.strerror or error}",
            path=str(path),
            remedy=f"name a PEM file in sip.tls.{setting} that this user may read",
        ) from error
