"""Signing in with an identity provider: OpenID Connect Core 1.0, code flow, PKCE (RFC 7636).

    /login/oidc             -> the provider, with state, nonce and the challenge
    /login/oidc/callback    <- the code, which is exchanged for the ID token; its claims say who

Authlib makes the requests and checks the token: signature, `iss`, `aud`, `exp`, `nonce`,
`at_hash`. State, nonce and verifier are kept in Redis for ten minutes and used once; a cookie binds
them to the browser that began, so that nobody is signed in by another's link.
"""

import hmac
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization
from joserfc.jws import JWSRegistry

from bridge.clock import NS_PER_S, Clock
from bridge.config.console import OidcSettings
from bridge.console.access.identity import BEGUN_LIFE_S, OidcRefusedError, ProvidedIdentity
from bridge.console.access.roles import UserRole
from bridge.console.access.secrets import new_token
from bridge.errors import ConfigError
from bridge.store.digests import digest
from bridge.store.pending import PendingStore

log = structlog.get_logger(__name__)

_TIMEOUT_S = 5.0
_LEEWAY_S = 60
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures with the provider's own key; `none` and those with the client's secret are none."""

_NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._@-")
_MAX_NAME = 64

Json = dict[str, Any]  # Any: what a provider says


class OidcProvider:
    """Signs users in with an identity provider, by the code flow.

    Args:
        settings: of it; there is an issuer.
        roles: value of the claim -> role.
        secret: of the client; None for a public one.
        begun: sign-ins under way.
        clock: wall time that tokens are checked by.
    """

    def __init__(
        self,
        settings: OidcSettings,
        roles: Mapping[str, UserRole],
        secret: str | None,
        begun: PendingStore,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self._roles = roles
        self._secret = secret
        self._begun = begun
        self._clock = clock
        self._issuer = str(settings.issuer).rstrip("/")
        self._metadata: Json | None = None
        # Made once: it takes 10 ms and more to read the system's certificates.
        self._tls = ssl.create_default_context()

    async def begin(self, redirect_uri: str) -> tuple[str, str]:
        """Return where to send a browser, and a secret that its cookie has to bring back.

        Raises:
            OidcRefusedError: the provider can't be asked what it is.
        """
        metadata = await self._discover()
        state, nonce, verifier, browser = (new_token() for _ in range(4))
        async with self._client(redirect_uri) as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"], state=state, code_verifier=verifier, nonce=nonce
            )
        begun = {"nonce": nonce, "verifier": verifier, "browser": digest(browser)}
        await self._begun.put(state, begun, BEGUN_LIFE_S)
        return str(url), browser

    async def finish(
        self, query: Mapping[str, str], browser: str | None, redirect_uri: str
    ) -> ProvidedIdentity:
        """Return who has signed in.

        Args:
            query: what the provider sent with the browser.
            browser: the cookie of :meth:`begin`.
            redirect_uri: the same as there.

        Raises:
            OidcRefusedError: nobody; it can't be tried again with the same query.
        """
        begun = await self._begun.take(query.get("state", ""))
        if begun is None:
            raise _refused("the state is unknown, used before, or too old")
        if not hmac.compare_digest(begun["browser"], digest(browser or "")):
            raise _refused("another browser began this sign-in")
        if query.get("iss", self._issuer).rstrip("/") != self._issuer:  # RFC 9207
            raise _refused("another provider answered")
        if "code" not in query:
            raise _refused(f"the provider says: {query.get('error', 'nothing')}")
        token = await self._exchange(query["code"], begun["verifier"], redirect_uri)
        claims = await self._check(token, begun["nonce"])
        return self._identity(claims)

    async def _exchange(self, code: str, verifier: str, redirect_uri: str) -> Json:
        metadata = await self._discover()
        try:
            async with self._client(redirect_uri) as client:
                token: Json = await client.fetch_token(
                    metadata["token_endpoint"], code=code, code_verifier=verifier
                )
        except (AuthlibBaseError, httpx2.HTTPError, ValueError) as error:
            raise _refused(f"no token for the code: {type(error).__name__}") from None
        return token

    async def _check(self, token: Json, nonce: str) -> Json:
        """Return the claims of an ID token that is for us, now, and from this sign-in."""
        metadata = await self._discover()
        client_id = self.settings.client_id
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        registry = JWSRegistry(
            algorithms=[each for each in _ALGORITHMS if each in offered],
            strict_check_header=False,
        )
        try:
            # Asked for each time: keys are changed, and people sign in rarely.
            keys = KeySet.import_key_set(_key_set(await self._ask(metadata["jwks_uri"])))
            decoded = jwt.decode(str(token.get("id_token", "")), keys, registry=registry)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": metadata["issuer"]},
                    "aud": {"essential": True, "value": client_id},
                },
                {
                    "nonce": nonce,
                    "client_id": client_id,
                    "access_token": token.get("access_token", ""),
                },
            )
            claims.validate(now=self._clock.wall_ns() // NS_PER_S, leeway=_LEEWAY_S)
        except (JoseError, AuthlibBaseError, ValueError, KeyError) as error:
            raise _refused(f"the ID token is not good: {error}") from None
        return dict(claims)

    def _identity(self, claims: Json) -> ProvidedIdentity:
        given = _values(claims, self.settings.roles_claim)
        roles = tuple(sorted({self._roles[each] for each in given if each in self._roles}))
        if not roles:
            raise _refused(f"none of the values of '{self.settings.roles_claim}' gives a role")
        wanted = str(claims.get(self.settings.user_claim) or claims["sub"]).lower()
        name = "".join(each if each in _NAME_CHARS else "-" for each in wanted)[:_MAX_NAME]
        return ProvidedIdentity(
            f"{self._issuer} {claims['sub']}", name.lstrip("._@-") or "user", roles
        )

    async def _discover(self) -> Json:
        """Return what the provider says of itself (OpenID Connect Discovery 1.0 section 4)."""
        if self._metadata is None:
            found = await self._ask(f"{self._issuer}/.well-known/openid-configuration")
            if str(found.get("issuer", "")).rstrip("/") != self._issuer:
                raise _refused("the provider calls itself otherwise than console.oidc.issuer")
            self._metadata = found
        return self._metadata

    async def _ask(self, url: str) -> Json:
        try:
            async with httpx2.AsyncClient(
                verify=self._tls, timeout=_TIMEOUT_S, trust_env=False
            ) as client:
                answer = await client.get(url)
                answer.raise_for_status()
                found: Json = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            host = urlsplit(url).hostname
            raise _refused(f"{host} does not answer as it should: {type(error).__name__}") from None
        return found

    def _client(self, redirect_uri: str) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self.settings.client_id,
            self._secret,
            scope=" ".join(("openid", *self.settings.scopes)),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if self._secret else "none",
            verify=self._tls,
            timeout=_TIMEOUT_S,
            trust_env=False,
        )


def open_provider(settings: OidcSettings, begun: PendingStore, clock: Clock) -> OidcProvider | None:
    """Return the provider that the settings name, if any.

    Raises:
        ConfigError: a role is unknown, or the secret can't be read.
    """
    if settings.issuer is None:
        return None
    known = frozenset(UserRole)
    unknown = sorted(set(settings.roles.values()) - known)
    if unknown:
        raise ConfigError(
            f"console.oidc.roles gives unknown roles: {', '.join(unknown)}",
            remedy=f"use {', '.join(sorted(known))}",
        )
    roles = {value: UserRole(name) for value, name in settings.roles.items()}
    path = settings.client_secret_file
    secret = None if path is None else _read_secret(path)
    return OidcProvider(settings, roles, secret, begun, clock)


def _read_secret(path: Path) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        # Not chained: the decoder's error carries the file's bytes.
        raise ConfigError(
            f"the secret of console.oidc can't be read: {reason}", path=str(path)
        ) from None
    if not secret:
        raise ConfigError("the secret of console.oidc is empty", path=str(path))
    return secret


def _key_set(found: Json) -> KeySetSerialization:
    """Return a provider's answer as the keys that it is meant to be; joserfc checks each."""
    return {"keys": list(found["keys"])}


def _values(claims: Json, path: str) -> list[str]:
    """Return the values of a claim; dots lead into objects, unless a name has them itself."""
    found: object = claims.get(path)
    if found is None:
        found = claims
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
    return [str(each) for each in found] if isinstance(found, list) else [str(found or "")]


def _refused(reason: str) -> OidcRefusedError:
    log.warning("oidc_refused", reason=reason)
    return OidcRefusedError("the identity provider did not sign you in", remedy="try again")
