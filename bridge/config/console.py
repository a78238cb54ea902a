"""The console's settings: reach, TLS, sign-ins, identity provider."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bridge.config.parts import Network


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OidcSettings(_Part):
    """An identity provider that users sign in with (OpenID Connect Core 1.0, code flow with PKCE).

    Attributes:
        issuer: its URL; what it says of itself is read from `/.well-known/openid-configuration`.
        client_id: what it knows the console by.
        client_secret_file: holds the client's secret; None for a public client.
        name: what the button is called.
        scopes: asked for beside `openid`.
        user_claim: whose value becomes the user's name.
        roles_claim: whose values `roles` gives roles for; dots lead inside, ``realm_access.roles``.
        roles: value of the claim -> role. Who gets none may not sign in.
        routes: patterns of dialplans for users who come so; an admin may change a user's.
    """

    issuer: str | None = Field(None, pattern=r"^https?://")
    client_id: str = ""
    client_secret_file: Path | None = None
    name: str = "single sign-on"
    scopes: tuple[str, ...] = ("profile", "email")
    user_claim: str = "preferred_username"
    roles_claim: str = "groups"
    roles: dict[str, str] = Field(default_factory=dict)
    routes: tuple[str, ...] = ("*",)

    @model_validator(mode="after")
    def _be_whole(self) -> Self:
        if self.issuer is not None and not (self.client_id and self.roles):
            raise ValueError("names an issuer, but no client_id or no roles: say both")
        if self.issuer is not None and not _is_private(self.issuer):
            raise ValueError("has an issuer without TLS: use https://")
        return self

    @property
    def name_shown(self) -> str | None:
        """What the button is called; None where there is none."""
        return None if self.issuer is None else self.name


def _is_private(url: str) -> bool:
    """Return whether nobody on the way can read or change what this URL answers."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "::1", "localhost")


class ConsoleSettings(_Part):
    """The supervisors' console, on the HTTP port.

    Without TLS, its own or a trusted proxy's, only this machine's browsers may use it.

    Attributes:
        enabled: False leaves the probes and `/metrics` alone on the port.
        session_idle_s: a sign-in that is not used for so long is over.
        session_max_s: a sign-in is over then, whatever happens.
        second_factor: codes of an authenticator app beside the password: each user's choice, or
            asked of every local user. An identity provider asks for its own.
        insecure_remote: let other machines in without TLS; for closed networks alone.
        public_url: what browsers call the console, where a proxy has another name than we hear.
        tls_cert_file: PEM, chain included; with it the whole port speaks HTTPS.
        tls_key_file: PEM.
        node_ca_file: PEM of whoever signs the certificates of the other nodes; None for whom this
            machine trusts.
        replays_dir: where `bridge replay --report` writes, a directory each.
        scripts_dir: where call scripts that are made of recorded calls go.
        audit_file: a copy of the audit, a JSON line for each entry that this node writes.
        oidc: another way to sign in.
        trusted_proxies: addresses and networks whose `X-Forwarded-For` and `-Proto` are believed.
    """

    enabled: bool = True
    session_idle_s: int = Field(3600, ge=60, le=7 * 24 * 3600)
    session_max_s: int = Field(12 * 3600, ge=60, le=30 * 24 * 3600)
    second_factor: Literal["optional", "required"] = "optional"
    insecure_remote: bool = False
    public_url: str | None = Field(None, pattern=r"^https?://[^/?#@]+/?$")
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    node_ca_file: Path | None = None
    replays_dir: Path = Path(".bridge/replay")
    scripts_dir: Path = Path("call_scripts/recorded")
    audit_file: Path | None = None
    trusted_proxies: tuple[Network, ...] = ()
    oidc: OidcSettings = OidcSettings()

    @model_validator(mode="after")
    def _have_both_halves(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("names one of tls_cert_file and tls_key_file: name both or none")
        return self

    @property
    def tls(self) -> bool:
        """Whether the port speaks HTTPS itself."""
        return self.tls_cert_file is not None
