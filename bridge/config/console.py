"""What the settings say of the console: who may reach it, and how long a sign-in lasts."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ConsoleSettings(_Part):
    """The supervisors' console, on the HTTP port.

    Without TLS, its own or a trusted proxy's, only this machine's browsers may use it.

    Attributes:
        session_idle_s: a sign-in that is not used for so long is over.
        session_max_s: a sign-in is over then, whatever happens.
        insecure_remote: let other machines in without TLS; for closed networks alone.
        public_url: what browsers call the console, where a proxy has another name than we hear.
        tls_cert_file: PEM, chain included; with it the whole port speaks HTTPS.
        tls_key_file: PEM.
        replays_dir: where `bridge replay --report` writes, a directory each.
        trusted_proxies: addresses and networks whose `X-Forwarded-For` and `-Proto` are believed.
    """

    enabled: bool = True
    session_idle_s: int = Field(3600, ge=60, le=7 * 24 * 3600)
    session_max_s: int = Field(12 * 3600, ge=60, le=30 * 24 * 3600)
    insecure_remote: bool = False
    public_url: str | None = Field(None, pattern=r"^https?://[^/?#@]+/?$")
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    replays_dir: Path = Path(".bridge/replay")
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()

    @model_validator(mode="after")
    def _have_both_halves(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("names one of tls_cert_file and tls_key_file: name both or none")
        return self

    @property
    def tls(self) -> bool:
        """Whether the port speaks HTTPS itself."""
        return self.tls_cert_file is not None
