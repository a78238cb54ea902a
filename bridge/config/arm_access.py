"""Settings of the way to an arm's service: key, headers, query, TLS, proxy."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from bridge.config.secret_places import SecretPlace, Variable, fault_of

Auth = Literal["bearer", "basic", "header", "query"]

_IN_AUTHORIZATION = ("bearer", "basic")

_OWNED = frozenset(
    {
        "host",
        "upgrade",
        "connection",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "te",
        "trailer",
        "keep-alive",
        "expect",
    }
)
"""Headers of the handshake (RFC 6455 section 4.1), and of HTTP's framing."""

_SECRET = re.compile(
    r"auth(?!ors?$)|key|token|secret|passw|credential|cookie|signature|^sig$|^code$", re.IGNORECASE
)


def looks_secret(name: str) -> bool:
    """Return whether what a header or a parameter of a query holds is a secret, by its name."""
    return _SECRET.search(name) is not None


def _free_header(name: str) -> str:
    lower = name.lower()
    if lower == "openai-beta":
        raise ValueError("is the dialect's own header: set the arm's dialect")
    if lower in _OWNED or lower.startswith(("sec-", "proxy-")):
        raise ValueError(f"is a header of the handshake's own ({name}): leave it out")
    return name


HttpHeaderName = Annotated[
    # RFC 9110 section 5.6.2, `token`.
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$"),
    AfterValidator(_free_header),
]
QueryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~\[\]-]{1,128}$")]


def _plain(value: str | SecretPlace) -> str | SecretPlace:
    if isinstance(value, str) and (wrong := fault_of(value)):
        raise ValueError(wrong)
    return value


RequestValue = Annotated[str | SecretPlace, AfterValidator(_plain)]


def _proxy(value: str) -> str:
    if value in ("env", "none"):
        return value
    try:
        parts = urlsplit(value)
        good = parts.scheme == "http" and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(
            "should be http://HOST:PORT, env or none: TLS to a proxy and SOCKS are not spoken"
        )
    if "@" in parts.netloc:
        raise ValueError("holds a name or a password: give them by proxy_credentials")
    return value


class AccessSettings(BaseModel):
    """The way to a service: key, headers, query, TLS, proxy; the same for its HTTP side.

    Attributes:
        url: WebSocket URL without the model, `wss://.../v1/realtime`.
        api_key_env: environment variable that holds the key: its name, never the key.
        api_key_file: file that holds the key; one of the two, or neither for a server without keys.
        auth: how the key goes: `bearer` and `basic` in Authorization, behind that word; `header` in
            a header and `query` in a parameter of the URL's query, by the name `auth_name`. Tokens
            always go as `bearer`.
        auth_name: of that header or parameter; Azure's is `api-key`.
        headers: name -> value of further headers: a text, or `env` or `file` that it is read from.
        query: name -> value of further parameters of the URL's query, likewise.
        model_parameter: of the query, that the model goes by; Azure's preview has `deployment`.
        ca_file: PEM of whoever signs the service's certificate, in the place of those that this
            machine trusts; null for these.
        client_cert_file: PEM that is shown to the service (mTLS), chain included; null for none.
        client_key_file: PEM, without a password; null where `client_cert_file` holds it, too.
        proxy: `http://HOST:PORT` that connections go through by CONNECT; `env` takes HTTPS_PROXY
            (of ws:// HTTP_PROXY) and NO_PROXY, and goes directly to this machine's own addresses;
            `none` goes directly.
        proxy_credentials: of `proxy`, as `name:password`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^wss?://")
    api_key_env: Variable | None = None
    api_key_file: Path | None = None
    auth: Auth = "bearer"
    auth_name: QueryName = "api-key"
    headers: dict[HttpHeaderName, RequestValue] = Field(default_factory=dict)
    query: dict[QueryName, RequestValue] = Field(default_factory=dict)
    model_parameter: QueryName = "model"
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    proxy: Annotated[str, AfterValidator(_proxy)] = "env"
    proxy_credentials: SecretPlace | None = None

    @property
    def key_place(self) -> SecretPlace | None:
        """Where the key is; None for a server without keys."""
        if self.api_key_env is None and self.api_key_file is None:
            return None
        return SecretPlace(env=self.api_key_env, file=self.api_key_file)

    @model_validator(mode="after")
    def _name_one_place(self) -> Self:
        if self.api_key_env is not None and self.api_key_file is not None:
            raise ValueError("names both api_key_env and api_key_file: keep one")
        return self

    @model_validator(mode="after")
    def _send_each_name_once(self) -> Self:
        headers = [name.lower() for name in self.headers]
        if twice := _twice(headers):
            raise ValueError(f"has the header {twice} twice: keep one")
        if (
            self.auth in _IN_AUTHORIZATION
            and "authorization" in headers
            and self.key_place is not None
        ):
            raise ValueError("has headers.Authorization and a key that goes there: keep one")
        if self.auth == "header":
            _free_header(self.auth_name)
            if self.auth_name.lower() in headers:
                raise ValueError(f"has headers.{self.auth_name}, where the key goes: keep one")
        written = [name for name, _ in parse_qsl(urlsplit(self.url).query, keep_blank_values=True)]
        own = (self.auth_name,) if self.auth == "query" else ()
        if twice := _twice([*written, *self.query, *own, self.model_parameter]):
            raise ValueError(f"has {twice} twice in its URL's query: keep one")
        return self

    @model_validator(mode="after")
    def _have_a_key_for_auth(self) -> Self:
        if self.auth != "bearer" and self.key_place is None:
            raise ValueError(f"has auth: {self.auth} and no key: set api_key_env or api_key_file")
        if self.auth in _IN_AUTHORIZATION and "auth_name" in self.model_fields_set:
            raise ValueError("has auth_name, which is for auth: header and query: set auth, too")
        return self

    @model_validator(mode="after")
    def _keep_secrets_out(self) -> Self:
        for kind, given in (("headers", self.headers), ("query", self.query)):
            for name, value in given.items():
                if isinstance(value, str) and looks_secret(name):
                    raise ValueError(
                        f"has a value in {kind}.{name} that looks like a secret by its name: put it"
                        f" in a variable or a file and write {kind}.{name}: {{env: NAME}}"
                    )
        return self

    @model_validator(mode="after")
    def _have_tls_for_certificates(self) -> Self:
        named = [
            name
            for name in ("ca_file", "client_cert_file", "client_key_file")
            if getattr(self, name) is not None
        ]
        if named and not self.url.startswith("wss://"):
            raise ValueError(f"has {named[0]} and a url without TLS: write wss://")
        if self.client_key_file is not None and self.client_cert_file is None:
            raise ValueError("has client_key_file and no client_cert_file: name both")
        return self

    @model_validator(mode="after")
    def _know_the_proxy(self) -> Self:
        if self.proxy_credentials is not None and self.proxy in ("env", "none"):
            raise ValueError("has proxy_credentials and names no proxy: set proxy, too")
        return self

    def secret_places(self, arm: str) -> Mapping[str, SecretPlace]:
        """Return where each of its secrets is, by the setting that names the place."""
        found = {}
        if self.key_place is not None:
            kind = "env" if self.api_key_file is None else "file"
            found[f"arms.{arm}.api_key_{kind}"] = self.key_place
        for kind, given in (("headers", self.headers), ("query", self.query)):
            for name, value in given.items():
                if isinstance(value, SecretPlace):
                    found[f"arms.{arm}.{kind}.{name}"] = value
        if self.proxy_credentials is not None:
            found[f"arms.{arm}.proxy_credentials"] = self.proxy_credentials
        return found


def _twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
