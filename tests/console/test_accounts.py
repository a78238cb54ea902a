"""Users: the first admin, invitations, passwords, roles, and the end of sign-ins."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.clock import ManualClock
from bridge.config.console import ConsoleSettings
from bridge.config.settings import RedisSettings
from bridge.console.access.accounts import AccountError
from bridge.console.access.audit import AuditEntry
from bridge.console.access.passwords import Passwords, TooBusyError
from bridge.console.services import Sources, first_admin_link, open_services
from bridge.store.client import RedisLink
from bridge.store.local import start_local_redis
from tests.console.conftest import Browser, Console

PASSWORD = "correct horse battery"


async def first_admin(console: Console, browser: Browser, name: str = "ada") -> None:
    link = await first_admin_link(console.services, console.url)
    assert link is not None
    given = {"token": link.partition("#")[2], "user": name, "password": PASSWORD}
    status, found = await browser.post("/api/v1/invitation/accept", given)
    assert (status, found["roles"]) == (200, ["admin"])
    browser.csrf_token = found["csrf_token"]


async def sign_in(browser: Browser, name: str, password: str = PASSWORD) -> int:
    given = {"user": name, "password": password}
    status, found = await browser.post("/api/v1/session", given)
    if status == 200:
        browser.csrf_token = found["csrf_token"]
    return status


async def invited(admin: Browser, name: str, *roles: str, **more: object) -> str:
    status, found = await admin.post("/api/v1/users", {"user": name, "roles": list(roles), **more})
    assert status == 201, found
    return str(found["link"]).partition("#")[2]


async def accept(browser: Browser, token: str, name: str, password: str = PASSWORD) -> int:
    given = {"token": token, "user": name, "password": password}
    status, found = await browser.post("/api/v1/invitation/accept", given)
    if status == 200:
        browser.csrf_token = found["csrf_token"]
    return status


async def test_the_first_admins_link_waits_for_a_redis_that_is_slow(
    console: Console, redis: RedisLink
) -> None:
    pause_ms = round(RedisSettings().connect_timeout_s * 1000) + 500
    await redis.ask(["CLIENT", "PAUSE", pause_ms, "ALL"])
    assert await first_admin_link(console.services, console.url) is not None


async def test_it_is_logged_that_redis_does_not_know_of_an_admin(tmp_path: Path) -> None:
    with start_local_redis(tmp_path / "redis") as gone:
        url = gone.url
    services = open_services(
        *(ConsoleSettings(), RedisSettings(), url, ManualClock(), Sources(tmp_path)),
        count_audit_failure=lambda: None,
    )
    with capture_logs() as logged:
        assert await first_admin_link(services, "http://127.0.0.1") is None
    assert [each["event"] for each in logged] == ["console_admins_unknown"]
    await services.aclose()


async def test_the_first_admin_comes_by_a_link_that_is_good_once(
    console: Console, browser: Browser
) -> None:
    link = await first_admin_link(console.services, console.url)
    assert link is not None
    assert link.startswith(f"{console.url}/welcome#")
    token = link.partition("#")[2]
    assert await browser.post("/api/v1/invitation", {"token": token}) == (200, {"user": ""})
    assert await accept(browser, token, "ada") == 200
    status, found = await browser.get("/api/v1/session")
    assert (status, found["user"], "users.admin" in found["permissions"]) == (200, "ada", True)
    async with console.browser() as other:
        assert await accept(other, token, "eve") == 409
    assert await first_admin_link(console.services, console.url) is None


async def test_of_two_links_for_a_first_admin_one_is_good(console: Console) -> None:
    links = [await first_admin_link(console.services, console.url) for _ in range(2)]
    browsers = [console.browser(), console.browser()]
    results = await asyncio.gather(
        *(
            accept(browser, str(link).partition("#")[2], name)
            for browser, link, name in zip(browsers, links, ("ada", "eve"), strict=True)
        )
    )
    for each in browsers:
        await each.http.close()
    assert sorted(results) == [200, 409]


async def test_nothing_has_a_default_password(console: Console, browser: Browser) -> None:
    for name in ("admin", "root", ""):
        for password in ("", "admin", "password"):
            assert await sign_in(browser, name, password) in (401, 429)
    assert (await browser.get("/api/v1/session"))[0] == 401


async def test_somebody_is_invited_and_signs_in(console: Console, browser: Browser) -> None:
    await first_admin(console, browser)
    token = await invited(browser, "sue", "supervisor", routes=["billing", "sales-*"])
    async with console.browser() as sue:
        assert await sue.post("/api/v1/invitation", {"token": token}) == (200, {"user": "sue"})
        # Another name than the invitation's is not listened to.
        assert await accept(sue, token, "ada") == 200
        _, found = await sue.get("/api/v1/session")
        assert (found["user"], found["routes"]) == ("sue", ["billing", "sales-*"])
        assert (await sue.get("/api/v1/users"))[0] == 403
        assert (await sue.ask("DELETE", "/api/v1/session"))[0] == 204
        assert (await sue.get("/api/v1/session"))[0] == 401
        assert await sign_in(sue, "sue") == 200


async def test_signing_in_makes_another_session(console: Console, browser: Browser) -> None:
    await first_admin(console, browser)
    before = {each.key: each.value for each in browser.http.cookie_jar}["bridge_session"]
    assert await sign_in(browser, "ada") == 200
    after = {each.key: each.value for each in browser.http.cookie_jar}["bridge_session"]
    assert before != after
    async with console.browser() as other:
        other.http.cookie_jar.update_cookies({"bridge_session": before})
        assert (await other.get("/api/v1/session"))[0] == 401


async def test_the_cookie_is_for_the_server_alone(console: Console, browser: Browser) -> None:
    await first_admin(console, browser)
    async with browser.http.post(
        "/api/v1/session",
        json={"user": "ada", "password": PASSWORD},
        headers={"Origin": console.url},
    ) as response:
        cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


async def test_another_sites_page_signs_nobody_in(console: Console, browser: Browser) -> None:
    await first_admin(console, browser)
    given = {"user": "ada", "password": PASSWORD}
    async with console.browser() as other:
        status, _ = await other.post("/api/v1/session", given, Origin="https://evil.example")
        assert status == 403


async def test_a_changed_password_ends_the_other_sign_ins(
    console: Console, browser: Browser
) -> None:
    await first_admin(console, browser)
    async with console.browser() as other:
        assert await sign_in(other, "ada") == 200
        given = {"old": PASSWORD, "new": "another horse battery"}
        assert (await browser.post("/api/v1/session/password", given))[0] == 204
        assert (await other.get("/api/v1/session"))[0] == 401
        assert (await browser.get("/api/v1/session"))[0] == 200
        assert await sign_in(other, "ada") == 401
        assert await sign_in(other, "ada", "another horse battery") == 200


@pytest.mark.parametrize("password", ["short", "x" * 300, "adaadaadaada"[:12]])
async def test_a_bad_password_is_refused(console: Console, browser: Browser, password: str) -> None:
    link = await first_admin_link(console.services, console.url)
    assert await accept(browser, str(link).partition("#")[2], "adaadaada", password) in (409, 422)


async def test_a_password_comes_back_in_no_answer(console: Console, browser: Browser) -> None:
    secret = "p" * 300
    status, found = await browser.post("/api/v1/session", {"user": "ada", "password": secret})
    assert status == 422
    assert secret not in json.dumps(found)


async def test_who_is_disabled_is_out_and_stays_out(console: Console, browser: Browser) -> None:
    await first_admin(console, browser)
    token = await invited(browser, "sue", "supervisor")
    async with console.browser() as sue:
        await accept(sue, token, "sue")
        assert (await browser.ask("PATCH", "/api/v1/users/sue", {"disabled": True}))[0] == 200
        assert (await sue.get("/api/v1/session"))[0] == 401
        assert await sign_in(sue, "sue") == 401
        assert (await browser.ask("PATCH", "/api/v1/users/sue", {"disabled": False}))[0] == 200
        assert (await sue.get("/api/v1/session"))[0] == 401  # the old one does not come back
        assert await sign_in(sue, "sue") == 200


async def test_a_new_link_takes_the_password_away(console: Console, browser: Browser) -> None:
    await first_admin(console, browser)
    token = await invited(browser, "sue", "supervisor")
    async with console.browser() as sue:
        await accept(sue, token, "sue")
        status, found = await browser.post("/api/v1/users/sue/reset")
        assert status == 200
        assert (await sue.get("/api/v1/session"))[0] == 401
        assert await sign_in(sue, "sue") == 401
        assert await accept(sue, found["link"].partition("#")[2], "sue", "a new long one") == 200


async def test_an_admin_stays(console: Console, browser: Browser) -> None:
    await first_admin(console, browser)
    for change in ({"roles": ["viewer"]}, {"disabled": True}):
        status, told = await browser.ask("PATCH", "/api/v1/users/ada", change)
        assert (status, "nobody would be admin" in told["detail"]) == (409, True)
    assert (await browser.post("/api/v1/users/ada/reset"))[0] == 409
    token = await invited(browser, "eve", "admin")
    # Who is only invited can't help.
    assert (await browser.ask("PATCH", "/api/v1/users/ada", {"disabled": True}))[0] == 409
    async with console.browser() as eve:
        await accept(eve, token, "eve")
        both = [{"disabled": True}, {"disabled": True}]
        results = await asyncio.gather(
            browser.ask("PATCH", "/api/v1/users/eve", both[0]),
            eve.ask("PATCH", "/api/v1/users/ada", both[1]),
        )
    # At once each would have left the other.
    assert sorted(status for status, _ in results)[0] == 200
    users = await console.services.accounts.all()
    assert sum(not user.disabled for user in users) == 1


async def test_changes_at_once_are_made_one_after_another(console: Console) -> None:
    for name in ("ada", "eve"):
        await console.add_user(name, "admin", password_hash="x")
    accounts = console.services.accounts
    results = await asyncio.gather(
        *(accounts.change(AuditEntry(name, ""), name, disabled=True) for name in ("ada", "eve")),
        return_exceptions=True,
    )
    # Both have read that there is another admin.
    assert sum(isinstance(each, AccountError) for each in results) == 1
    assert sum(not user.disabled for user in await accounts.all()) == 1


async def test_names_and_roles_are_checked(console: Console, browser: Browser) -> None:
    await first_admin(console, browser)
    for given in (
        {"user": "Sue", "roles": ["viewer"]},
        {"user": "<script>", "roles": ["viewer"]},
        {"user": "sue", "roles": ["god"]},
        {"user": "sue", "roles": []},
        {"user": "sue", "roles": ["viewer"], "routes": ["../x"]},
    ):
        assert (await browser.post("/api/v1/users", given))[0] == 422
    assert (await browser.post("/api/v1/users", {"user": "ada", "roles": ["viewer"]}))[0] == 409
    assert (await browser.ask("PATCH", "/api/v1/users/nobody", {"disabled": True}))[0] == 409


async def test_tries_are_limited_and_forgiven(console: Console, browser: Browser) -> None:
    await first_admin(console, browser)
    async with console.browser() as other:
        for _ in range(4):
            assert await sign_in(other, "ada", "a wrong password") == 401
        assert await sign_in(other, "ada") == 200
        for _ in range(5):
            assert await sign_in(other, "ada", "a wrong password") == 401
        # The right one doesn't help while one has to wait.
        assert await sign_in(other, "ada") == 429


async def test_thousand_logins_are_mostly_not_even_looked_at(
    console: Console, browser: Browser
) -> None:
    await first_admin(console, browser)
    began = time.monotonic()
    async with console.browser() as attacker:
        async with asyncio.timeout(30):
            answers = [
                await asyncio.gather(*(sign_in(attacker, "ada", f"guess {i}") for i in range(50)))
                for _ in range(20)
            ]
    statuses = [status for some in answers for status in some]
    looked_at = statuses.count(401)
    assert len(statuses) == 1000
    assert set(statuses) <= {401, 429}
    # Five are free; each further one comes after a lock twice as long.
    most = 5 + int(time.monotonic() - began).bit_length() + 1
    assert 5 <= looked_at <= most
    # Those who are let in are still answered.
    assert (await browser.get("/api/v1/session"))[0] == 200


async def test_many_users_from_one_address_are_limited(console: Console, browser: Browser) -> None:
    statuses = [await sign_in(browser, f"user{n}", "a wrong password") for n in range(32)]
    assert statuses.count(401) in range(30, 32)
    assert statuses[-1] == 429


async def test_a_name_that_is_nobodys_takes_as_long() -> None:
    passwords = Passwords()
    kept = await passwords.hash(PASSWORD)
    assert kept.startswith("$argon2id$")

    async def seconds(of: str) -> float:
        began = time.monotonic()
        assert not await passwords.verify(of, "a wrong password")
        return time.monotonic() - began

    await seconds("")  # the first one makes what the others are compared with
    pairs = [(await seconds(kept), await seconds("")) for _ in range(5)]
    passwords.close()
    known, unknown = map(min, zip(*pairs, strict=True))
    # Without argon2 it would take microseconds, a thousandth; a busy machine doubles either.
    assert 0.2 < unknown / known < 5.0


async def test_a_password_is_checked_for_whoever_it_is(
    console: Console, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    verify = Passwords.verify

    async def count(self: Passwords, kept: str, password: str) -> bool:
        checked.append(kept)
        return await verify(self, kept, password)

    monkeypatch.setattr(Passwords, "verify", count)
    await console.add_user("off", "admin", disabled=True, password_hash="x")
    await console.add_user("new", "admin")
    for name in ("nobody", "off", "new"):
        assert await sign_in(browser, name) == 401
    assert checked == ["", "x", ""]


async def test_too_many_at_once_are_sent_away() -> None:
    passwords = Passwords()
    tries = [passwords.verify("", "a wrong password") for _ in range(20)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    passwords.close()
    assert sum(isinstance(each, TooBusyError) for each in results) == 4
