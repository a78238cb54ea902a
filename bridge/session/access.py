"""The way to an arm's service: key, headers, query, TLS, proxies.

One frozen :class:`Access` serves the WebSocket, the token service and the list of models alike. No
secret of it is in a repr, and :meth:`Access.without_secrets` takes them out of what a service says.
"""

import functools
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from urllib.parse import quote, quote_plus, urlencode

from bridge.config.arm_access import Auth
from bridge.session.proxies import DIRECT, Proxies

_LEAST_LETTERS = 8
"""Shorter secrets are no secrets, and taking them out would take words apart."""

MASK = "[secret]"


@functools.cache
def _machines_trust() -> ssl.SSLContext:
    """Return the one context without an arm's own; loading the CA bundle takes ~20 ms."""
    return ssl.create_default_context()


@dataclass(frozen=True)
class Access:
    """What the requests to an arm's service carry, and the way that they take.

    Attributes:
        arm: its name, for messages; empty where there is none.
        key: a long-lived key or a token, None for a server without keys; never shown.
        key_setting: that names the key's place, for messages.
        auth: how the key goes, by ``auth_name`` where that is no bearer.
        headers, query: of every request, beside the key; never shown.
        secrets: those of them that come from a variable or a file.
        tls: for wss:// and https://; None for what this machine trusts.
        proxies: that connections go through.
        renews: whether some of it is in a file, which may be renewed.
    """

    key: str | None = field(default=None, repr=False)
    arm: str = ""
    key_setting: str = "api_key_env or api_key_file"
    auth: Auth = "bearer"
    auth_name: str = "api-key"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    proxies: Proxies = DIRECT
    renews: bool = False

    def with_token(self, token: str) -> "Access":
        """Return the same way with a short-lived token, which goes as a bearer."""
        known = self.secrets if self.key is None else (*self.secrets, self.key)
        return replace(self, key=token, auth="bearer", secrets=known)

    @property
    def tls_context(self) -> ssl.SSLContext:
        """Whom wss:// and https:// trust, and what certificate they show."""
        return self.tls or _machines_trust()

    @cached_property
    def request_headers(self) -> dict[str, str]:
        """The headers of a request, with the key where it goes by one."""
        if self.key is None or self.auth == "query":
            return dict(self.headers)
        if self.auth == "header":
            return {**self.headers, self.auth_name: self.key}
        return {**self.headers, "Authorization": f"{self.auth.capitalize()} {self.key}"}

    def url_with(self, url: str, **more: str) -> str:
        """Return a URL with the query that it is asked by; it may hold the key: never show it."""
        query = {**self.query, **more}
        if self.key is not None and self.auth == "query":
            query[self.auth_name] = self.key
        if not query:
            return url
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"

    def setting(self, name: str) -> str:
        """Return a setting's full name, as in ``arms.azure.ca_file``."""
        return f"arms.{self.arm}.{name}" if self.arm else f"the arm's {name}"

    def without_secrets(self, text: str) -> str:
        """Return what a service said without the secrets that it was sent, in any spelling."""
        for each in self._spellings:
            if each in text:
                text = text.replace(each, MASK)
        return text

    @cached_property
    def _spellings(self) -> tuple[str, ...]:
        own = () if self.key is None else (self.key,)
        found: set[str] = set()
        for secret in (*own, *self.secrets, *self.proxies.secrets):
            if len(secret) < _LEAST_LETTERS:
                continue
            quoted = json.dumps(secret)[1:-1]
            found |= {secret, quoted, quoted.replace("/", "\\/"), quote(secret, safe="")}
            found |= {quote(secret), quote_plus(secret)}
        return tuple(sorted(found, key=len, reverse=True))


NO_KEY = Access()
"""Of a server that wants nothing."""
