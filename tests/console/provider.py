"""An identity provider on a real port: OpenID Connect Core 1.0, as strict as the real ones.

It checks client, redirect URI and PKCE, and gives a code once. What its ID token says, and what it
is signed with, a test may spoil.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from aiohttp import BasicAuth, web
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "bridge-console", "a client's secret"

Json = dict[str, Any]  # Any: claims


KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})


class Provider:
    """Signs in whoever asks.

    Attributes:
        claims: of the ID token, over the usual ones; None takes one out.
        key: what it is signed with.
        header: of the ID token.
        sign: makes the token of claims, with that header and key.
        subject: who signs in.
    """

    def __init__(self, redirect_uri: str) -> None:
        self.url = ""
        self.redirect_uri = redirect_uri
        self.published = KEY
        self.key = self.published
        self.header: Json = {"alg": "RS256", "kid": "k1"}
        self.claims: Json = {"groups": ["floor"]}
        self.sign: Callable[[Json], str] = self._sign
        self.issuer_said: str | None = None
        self._codes: dict[str, Mapping[str, str]] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._describe),
                web.get("/authorize", self._authorize),
                web.post("/token", self._token),
                web.get("/keys", self._keys),
            ]
        )
        return app

    async def _describe(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer_said or self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            }
        )

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = request.query
        assert asked["client_id"] == CLIENT
        assert asked["redirect_uri"] == self.redirect_uri
        assert asked["response_type"] == "code"
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["nonce"]) >= 32
        code = secrets.token_urlsafe(16)
        self._codes[code] = dict(asked)
        back = urlencode({"code": code, "state": asked["state"], "iss": self.url})
        raise web.HTTPFound(f"{self.redirect_uri}?{back}")

    async def _token(self, request: web.Request) -> web.Response:
        given = await request.post()
        auth = BasicAuth.decode(request.headers.get("Authorization", ""))
        asked = self._codes.pop(str(given["code"]), None)
        verifier = str(given.get("code_verifier", ""))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        good = (
            asked is not None
            and (auth.login, auth.password) == (CLIENT, SECRET)
            and given["redirect_uri"] == self.redirect_uri
            and challenge.decode().rstrip("=") == asked["code_challenge"]
        )
        if not good or asked is None:
            return web.json_response({"error": "invalid_grant"}, status=400)
        token = self.sign(self._said(asked["nonce"]))
        return web.json_response(
            {"access_token": "opaque", "token_type": "Bearer", "id_token": token}
        )

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [self.published.as_dict(private=False)]})

    def _sign(self, claims: Json) -> str:
        return jwt.encode(self.header, claims, self.key, algorithms=["RS256", "none"])

    def _said(self, nonce: str) -> Json:
        now = int(time.time())
        usual = {"iss": self.url, "sub": "u-17", "aud": CLIENT, "iat": now, "exp": now + 300}
        claims = {**usual, "nonce": nonce, "preferred_username": "Sue", **self.claims}
        return {name: value for name, value in claims.items() if value is not None}


@asynccontextmanager
async def providing(redirect_uri: str) -> AsyncIterator[Provider]:
    """Run a provider."""
    provider = Provider(redirect_uri)
    runner = web.AppRunner(provider.app(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield provider
    finally:
        await runner.cleanup()
