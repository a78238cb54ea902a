"""Signing in with an identity provider: who may, and every way to be let in wrongly."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import unused_port
from joserfc.jwk import RSAKey

from bridge.clock import SystemClock
from bridge.config.console import ConsoleSettings
from bridge.config.settings import RedisSettings
from bridge.console.services import open_services
from bridge.errors import ConfigError
from tests.console.conftest import Browser, Console, MakeConsole
from tests.console.provider import CLIENT, SECRET, Json, Provider, providing


@pytest.fixture
async def port() -> int:
    return unused_port()


@pytest.fixture
async def provider(port: int) -> AsyncIterator[Provider]:
    async with providing(f"http://127.0.0.1:{port}/login/oidc/callback") as provider:
        yield provider


@pytest.fixture
async def console(
    make_console: MakeConsole, provider: Provider, port: int, tmp_path: Path
) -> Console:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    made: Console = await make_console(
        port=port,
        clock=SystemClock(),
        oidc={
            "issuer": provider.url,
            "client_id": CLIENT,
            "client_secret_file": secret,
            "name": "Work",
            "roles": {"floor": "supervisor", "boss": "admin"},
            "routes": ["billing"],
        },
    )
    return made


async def come_back(browser: Browser) -> str:
    """Go to the provider and sign in there; return the path that it sends the browser back to."""
    async with browser.http.get("/login/oidc", allow_redirects=False) as response:
        assert response.status == 303
        there = response.headers["Location"]
    async with browser.http.get(there, allow_redirects=False) as response:
        assert response.status == 302
        back = urlsplit(response.headers["Location"])
    return f"{back.path}?{back.query}"


async def sign_in(browser: Browser) -> int:
    status, page = await browser.get(await come_back(browser))
    assert ("Signed in" in page) == (status == 200)
    return status


async def test_a_user_of_the_provider_signs_in(console: Console, browser: Browser) -> None:
    assert "Sign in with Work" in (await browser.get("/login"))[1]
    assert await sign_in(browser) == 200
    _, found = await browser.get("/api/v1/session")
    assert (found["user"], found["roles"], found["routes"]) == ("sue", ["supervisor"], ["billing"])


async def test_roles_are_what_the_provider_says_now(
    console: Console, browser: Browser, provider: Provider
) -> None:
    assert await sign_in(browser) == 200
    provider.claims = {"groups": ["boss"], "preferred_username": "Susan"}
    assert await sign_in(browser) == 200
    _, found = await browser.get("/api/v1/session")
    # It is the subject that stays, not the name.
    assert (found["user"], found["roles"]) == ("sue", ["admin"])


async def test_who_has_no_role_is_not_let_in(
    console: Console, browser: Browser, provider: Provider
) -> None:
    provider.claims = {"groups": ["kitchen"]}
    assert await sign_in(browser) == 403
    assert (await browser.get("/api/v1/session"))[0] == 401


async def test_who_is_disabled_here_is_not_let_in(console: Console, browser: Browser) -> None:
    assert await sign_in(browser) == 200
    user = await console.services.users.get("sue")
    assert user is not None
    await console.add_user("sue", subject=user.subject, disabled=True)
    assert await sign_in(browser) == 403


async def test_a_local_users_name_is_not_taken_over(console: Console, browser: Browser) -> None:
    await console.add_user("sue", "admin", password_hash="x")
    assert await sign_in(browser) == 403


async def test_a_user_of_the_provider_has_no_password_here(
    console: Console, browser: Browser
) -> None:
    assert await sign_in(browser) == 200
    for password in ("", "a wrong password"):
        given = {"user": "sue", "password": password}
        assert (await browser.post("/api/v1/session", given))[0] == 401


OTHER_KEY = RSAKey.generate_key(2048, {"kid": "k1"})


def other_key(provider: Provider) -> None:
    provider.key = OTHER_KEY


def public_key_as_secret(provider: Provider) -> None:
    # By hand: joserfc refuses to make such a key of the text. Attackers don't.
    secret = provider.published.as_pem(private=False)
    header = {"alg": "HS256", "kid": "k1"}

    def sign(claims: Json) -> str:
        parts = [urlsafe_b64encode(json.dumps(part).encode()) for part in (header, claims)]
        body = b".".join(part.rstrip(b"=") for part in parts)
        signature = urlsafe_b64encode(hmac.digest(secret, body, "sha256")).rstrip(b"=")
        return (body + b"." + signature).decode()

    provider.sign = sign


def no_signature(provider: Provider) -> None:
    provider.header = {"alg": "none"}


def claims(**more: object) -> Callable[[Provider], None]:
    def spoil(provider: Provider) -> None:
        provider.claims = {"groups": ["floor"], **more}

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        other_key,
        public_key_as_secret,
        no_signature,
        claims(nonce="another's"),
        claims(nonce=None),
        claims(aud="another client"),
        claims(aud=None),
        claims(aud="another client", azp=CLIENT),
        claims(iss="https://evil.example"),
        claims(exp=int(time.time()) - 3600),
        claims(at_hash="wrong"),
    ],
)
async def test_a_token_that_is_not_good_lets_nobody_in(
    console: Console, browser: Browser, provider: Provider, spoil: Callable[[Provider], None]
) -> None:
    spoil(provider)
    assert await sign_in(browser) == 403
    assert (await browser.get("/api/v1/session"))[0] == 401


async def test_an_answer_is_good_once(console: Console, browser: Browser) -> None:
    back = await come_back(browser)
    assert (await browser.get(back))[0] == 200
    assert (await browser.get(back))[0] == 403


async def test_anothers_answer_signs_nobody_in(console: Console, browser: Browser) -> None:
    async with console.browser() as attacker:
        link = await come_back(attacker)
    # The victim follows the attacker's link, without and with a sign-in of his own under way.
    assert (await browser.get(link))[0] == 403
    await come_back(browser)
    async with console.browser() as attacker:
        link = await come_back(attacker)
    assert (await browser.get(link))[0] == 403
    assert (await browser.get("/api/v1/session"))[0] == 401


async def test_a_made_up_state_and_another_issuer_are_refused(
    console: Console, browser: Browser
) -> None:
    assert (await browser.get("/login/oidc/callback?code=x&state=y"))[0] == 403
    back = await come_back(browser)
    changed = back.partition("&iss=")[0] + "&iss=https%3A%2F%2Fevil.example"
    assert (await browser.get(changed))[0] == 403


async def test_a_provider_that_calls_itself_otherwise_is_not_asked(
    console: Console, browser: Browser, provider: Provider
) -> None:
    provider.issuer_said = "https://evil.example"
    status, told = await browser.get("/login/oidc")
    assert (status, "provider" in told["detail"]) == (502, True)


async def test_without_a_provider_there_is_no_such_page(
    make_console: MakeConsole,
) -> None:
    console: Console = await make_console()
    async with console.browser() as browser:
        assert (await browser.get("/login/oidc"))[0] == 404
        assert "Sign in with" not in (await browser.get("/login"))[1]


def test_an_unknown_role_is_named_at_the_start() -> None:
    oidc = {"issuer": "https://id.example", "client_id": "x", "roles": {"a": "god"}}
    settings = ConsoleSettings.model_validate({"oidc": oidc})
    with pytest.raises(ConfigError, match="god"):
        open_services(
            settings, RedisSettings(), "redis://x", SystemClock(), count_audit_failure=lambda: None
        )


def test_an_issuer_without_tls_is_refused() -> None:
    oidc = {"issuer": "http://id.example", "client_id": "x", "roles": {"a": "qa"}}
    with pytest.raises(ValueError, match="https"):
        ConsoleSettings.model_validate({"oidc": oidc})
