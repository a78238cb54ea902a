"""Reads an arm's way to its service from its settings, and anew when a file of it is renewed.

Secrets, certificates and their key may be renewed while calls go on: before each connection the
files' stamps are looked at, and whatever was refused is read anew in any case. Files that are not
good any more (half written, a certificate whose key is still the old one) change nothing, and are
tried again. Files are read in a worker thread.
"""

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog

from bridge.config.secret_places import SecretPlace, check_text, read_secret
from bridge.config.settings import ArmSettings
from bridge.errors import ConfigError
from bridge.session.access import Access
from bridge.session.proxies import DIRECT, Proxies

log = structlog.get_logger(__name__)

_Stamp = tuple[int, int, int] | None


class AccessReader:
    """Gives the present :class:`Access` of one arm, shared by its calls. In the loop's thread.

    Args:
        arm: its name.
        environ: usually ``os.environ``.

    Raises:
        ConfigError: a secret, a certificate or the proxy can't be used; it names the setting.
    """

    def __init__(self, arm: str, settings: ArmSettings, environ: Mapping[str, str]) -> None:
        self._arm = arm
        self._settings = settings
        self._environ = environ
        self._places = settings.secret_places(arm)
        self._secret_files = [each.file for each in self._places.values() if each.file is not None]
        self._tls_files = [
            each
            for each in (settings.ca_file, settings.client_cert_file, settings.client_key_file)
            if each is not None
        ]
        self._lock = asyncio.Lock()
        self._secret_stamps, self._tls_stamps = self._stamps()
        self._failed: object = None
        self._tls = self._read_tls()
        self._access = self._read()

    @property
    def current(self) -> Access:
        """What was read last."""
        return self._access

    async def get(self, *, anew: bool = False) -> Access:
        """Return the way as its files have it now, or as they had it when they were good last.

        Args:
            anew: the last one was refused: the secrets are read whatever the stamps say.
        """
        if not self._secret_files and not self._tls_files:
            return self._access
        async with self._lock:
            return await asyncio.to_thread(self._look, anew)

    def _look(self, anew: bool) -> Access:
        secret_stamps, tls_stamps = self._stamps()
        other_tls = tls_stamps != self._tls_stamps
        if not (anew or other_tls or secret_stamps != self._secret_stamps):
            return self._access
        try:
            if other_tls:
                self._tls = self._read_tls()
            access = self._read()
        except ConfigError as error:
            self._report_once((secret_stamps, tls_stamps), error)
            return self._access
        self._failed = None
        self._secret_stamps, self._tls_stamps = secret_stamps, tls_stamps
        if access != self._access:
            log.info("arm.access_renewed", arm=self._arm, certificates=other_tls)
            self._access = access
        return self._access

    def _report_once(self, seen: object, error: ConfigError) -> None:
        if self._failed != seen:
            self._failed = seen
            log.warning("arm.access_not_renewed", arm=self._arm, error=str(error))

    def _stamps(self) -> tuple[list[_Stamp], list[_Stamp]]:
        return [_stamp(each) for each in self._secret_files], [
            _stamp(each) for each in self._tls_files
        ]

    def _read(self) -> Access:
        settings = self._settings
        values = {
            setting: check_text(read_secret(place, setting, "secret", self._environ), setting)
            for setting, place in self._places.items()
        }
        key, key_setting = None, ""
        for setting, value in values.items():
            if setting.startswith(f"arms.{self._arm}.api_key_"):
                key, key_setting = value, setting
        if key is not None and " " in key:
            raise ConfigError(
                f"{key_setting}: the API key holds blanks",
                remedy="the variable or file must hold the key alone",
            )
        return Access(
            key,
            self._arm,
            key_setting or "api_key_env or api_key_file",
            settings.auth,
            settings.auth_name,
            self._given("headers", settings.headers, values),
            self._given("query", settings.query, values),
            tuple(value for setting, value in values.items() if setting != key_setting),
            self._tls,
            self._proxies(values.get(f"arms.{self._arm}.proxy_credentials")),
            renews=bool(self._secret_files),
        )

    def _given(
        self, kind: str, given: Mapping[str, str | SecretPlace], values: Mapping[str, str]
    ) -> dict[str, str]:
        return {
            name: value if isinstance(value, str) else values[f"arms.{self._arm}.{kind}.{name}"]
            for name, value in given.items()
        }

    def _proxies(self, credentials: str | None) -> Proxies:
        match self._settings.proxy:
            case "none":
                return DIRECT
            case "env":
                return Proxies.from_environment(self._environ)
            case url:
                name, colon, _ = (credentials or "name:").partition(":")
                if not (name and colon):
                    raise ConfigError(
                        f"arms.{self._arm}.proxy_credentials: they are not name:password",
                        remedy="the place that it names must hold both, with a colon between",
                    )
                return Proxies.explicit(url, credentials)

    def _read_tls(self) -> ssl.SSLContext | None:
        """Return the TLS context; None where nothing of it is the arm's own."""
        settings = self._settings
        if not self._tls_files:
            return None
        with _named(f"arms.{self._arm}.ca_file", settings.ca_file, "certificates of signers"):
            context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.client_cert_file is not None:
            place = f"arms.{self._arm}.client_cert_file"
            with _named(place, settings.client_cert_file, "a certificate and the key to it"):
                context.load_cert_chain(
                    settings.client_cert_file, settings.client_key_file, password=_no_password
                )
        return context


def read_access(
    arms: Mapping[str, ArmSettings], environ: Mapping[str, str]
) -> dict[str, AccessReader]:
    """Read the ways to all arms' services.

    Raises:
        ConfigError: as :class:`AccessReader`.
    """
    return {name: AccessReader(name, arm, environ) for name, arm in arms.items()}


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@contextmanager
def _named(setting: str, path: Path | None, what: str) -> Iterator[None]:
    """Name the setting and the file of what fails in the block."""
    try:
        yield
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
        said = f": {reason}" if isinstance(reason, str) else ""
        raise ConfigError(
            f"{setting} can't be used{said}",
            path=str(path),
            remedy=f"it must name a PEM file with {what}, which no password locks",
        ) from None


def _no_password() -> str:
    """Give OpenSSL no password in place of its question on the terminal."""
    return ""
