"""The second factor: codes as RFC 6238 has them, each good once; tries counted; recovery codes.

The codes come from the arithmetic of RFC 4226 and RFC 6238, written here, not from the library that
the console uses.
"""

import base64
import hashlib
import hmac
import struct
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from bridge.clock import NS_PER_S, ManualClock
from bridge.console.services import first_admin_link
from bridge.store.users import User
from tests.console.conftest import Browser, Console, MakeConsole
from tests.support.browser import open_browser, open_page

pytestmark = pytest.mark.redis

PASSWORD = "correct horse battery"
STEP_NS, STEP_MS = 30 * NS_PER_S, 30_000


def code_of(secret: str, wall_ns: int) -> str:
    """RFC 6238 section 4 over RFC 4226 section 5.3, six digits."""
    counter = struct.pack(">Q", wall_ns // STEP_NS)
    mac = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


def test_the_arithmetic_is_the_rfcs() -> None:
    # RFC 6238 appendix B, SHA-1, the last six of its eight digits.
    secret = base64.b32encode(b"12345678901234567890").decode()
    assert code_of(secret, 59 * NS_PER_S) == "287082"
    assert code_of(secret, 20_000_000_000 * NS_PER_S) == "353130"


async def try_(browser: Browser, code: str = "", **more: str) -> tuple[int, str]:
    """Sign sue in; return the status, and what is asked for or said."""
    given = {"user": "sue", "password": PASSWORD, "code": code, **more}
    status, found = await browser.post("/api/v1/session", given)
    if status == 200:
        browser.csrf_token = found["csrf_token"]
        return status, ""
    return status, found.get("second_factor") or found["detail"]


async def sue(console: Console, **more: object) -> User:
    kept = await console.services.passwords.hash(PASSWORD)
    return await console.add_user("sue", "supervisor", password_hash=kept, **more)


async def enrolled(console: Console, browser: Browser) -> tuple[str, list[str]]:
    """Give sue a second factor by the API; return its secret and her recovery codes."""
    await sue(console)
    assert (await try_(browser))[0] == 200
    status, made = await browser.post("/api/v1/session/second-factor", {"password": PASSWORD})
    assert status == 200, made
    given = {"token": made["token"], "code": code_of(made["secret"], console.clock.wall_ns())}
    status, found = await browser.post("/api/v1/session/second-factor/confirm", given)
    assert status == 200, found
    console.clock.advance_ms(STEP_MS)
    return made["secret"], found["recovery_codes"]


async def test_a_right_password_alone_does_not_sign_in(console: Console, browser: Browser) -> None:
    secret, _ = await enrolled(console, browser)
    async with console.browser() as other:
        assert await try_(other) == (401, "code")
        assert (await other.get("/api/v1/session"))[0] == 401
        assert (await try_(other, code_of(secret, console.clock.wall_ns())))[0] == 200


async def test_a_code_is_good_once_and_a_step_early_or_late(
    console: Console, browser: Browser
) -> None:
    secret, _ = await enrolled(console, browser)
    now_ns = console.clock.wall_ns() + 10 * STEP_NS
    console.clock.advance_ms(10 * STEP_MS)
    codes = {step: code_of(secret, now_ns + step * STEP_NS) for step in (-2, -1, 0, 1, 2)}
    async with console.browser() as other:
        for step in (-2, 2):
            assert (await try_(other, codes[step]))[0] == 401
        for step in (-1, 0, 1):
            assert (await try_(other, codes[step]))[0] == 200
        for step in (-1, 0, 1):
            assert (await try_(other, codes[step]))[0] == 401


async def test_codes_are_not_guessed_though_the_password_is_known(
    console: Console, browser: Browser
) -> None:
    secret, _ = await enrolled(console, browser)
    async with console.browser() as thief:
        said = []
        for number in range(8):
            await try_(thief)  # a right password, which must forgive nothing
            said.append((await try_(thief, f"{number:06d}"))[0])
        assert said == [401] * 5 + [429] * 3
        # Nor does the right code get past the lock, nor from another address.
        assert (await try_(thief, code_of(secret, console.clock.wall_ns())))[0] == 429
    audit = console.services.auditor.audit
    entries = [fields async for _, fields in audit.read()]
    assert [each["result"] for each in entries].count("refused: code") == 5


async def test_a_recovery_code_is_good_once(console: Console, browser: Browser) -> None:
    _, codes = await enrolled(console, browser)
    assert len(set(codes)) == 8
    async with console.browser() as other:
        assert (await try_(other, codes[3].upper().replace("-", " ")))[0] == 200
        assert (await try_(other, codes[3]))[0] == 401
        assert (await try_(other, codes[4]))[0] == 200
        _, found = await other.get("/api/v1/session/second-factor")
        assert found == {"on": True, "required": False, "recovery_codes_left": 6, "local": True}


async def test_nothing_of_it_is_shown_or_audited(console: Console, browser: Browser) -> None:
    secret, codes = await enrolled(console, browser)
    await console.add_user("ada", "admin")
    async with console.browser() as admin:
        await console.sign_in(admin, "ada")
        shown = str(await admin.get("/api/v1/users")) + str(await admin.get("/api/v1/audit"))
    assert secret not in shown
    assert not any(code in shown for code in codes)
    stored = str(await console.services.link.ask(("HGETALL", "bridge:users")))
    assert not any(code.replace("-", "") in stored for code in codes)


async def test_a_wrong_first_code_turns_nothing_on(console: Console, browser: Browser) -> None:
    await sue(console)
    await try_(browser)
    _, made = await browser.post("/api/v1/session/second-factor", {"password": PASSWORD})
    given = {"token": made["token"], "code": "000000"}
    assert (await browser.post("/api/v1/session/second-factor/confirm", given))[0] == 403
    assert (await browser.get("/api/v1/session"))[0] == 200  # still signed in
    async with console.browser() as other:
        assert (await try_(other))[0] == 200


async def test_an_enrolment_is_its_users_alone(console: Console, browser: Browser) -> None:
    await sue(console)
    await try_(browser)
    _, made = await browser.post("/api/v1/session/second-factor", {"password": PASSWORD})
    await console.add_user("eve", "supervisor")
    async with console.browser() as other:
        await console.sign_in(other, "eve")
        given = {"token": made["token"], "code": code_of(made["secret"], console.clock.wall_ns())}
        assert (await other.post("/api/v1/session/second-factor/confirm", given))[0] == 403


async def test_it_is_taken_away_by_password_and_code(console: Console, browser: Browser) -> None:
    secret, _ = await enrolled(console, browser)
    code = code_of(secret, console.clock.wall_ns())
    off = "/api/v1/session/second-factor/off"
    assert (await browser.post(off, {"password": PASSWORD, "code": "000000"}))[0] == 403
    assert (await browser.post(off, {"password": "wrong", "code": code}))[0] == 403
    assert (await browser.post(off, {"password": PASSWORD, "code": code}))[0] == 204
    async with console.browser() as other:
        assert (await try_(other))[0] == 200


async def test_a_new_link_takes_it_away(console: Console, browser: Browser) -> None:
    await enrolled(console, browser)
    await console.add_user("ada", "admin")
    async with console.browser() as admin:
        await console.sign_in(admin, "ada")
        _, me = await admin.get("/api/v1/session")
        admin.csrf_token = me["csrf_token"]
        assert (await admin.post("/api/v1/users/sue/reset"))[0] == 200
    user = await console.services.users.get("sue")
    assert user is not None
    assert (user.password_hash, user.totp_secret, user.recovery) == ("", "", ())


async def test_a_user_of_before_has_none(console: Console) -> None:
    kept = '{"name": "old", "roles": ["viewer"], "routes": ["*"], "password_hash": "x"}'
    assert User.from_json(kept) == User("old", ("viewer",), password_hash="x")


async def test_where_it_is_wanted_of_all_it_is_set_up_at_the_first_sign_in(
    make_console: MakeConsole,
) -> None:
    clock = ManualClock(wall_ns=1_800_000_000 * NS_PER_S)
    console = await make_console(clock=clock, second_factor="required")
    await sue(console)
    async with console.browser() as browser:
        given = {"user": "sue", "password": PASSWORD}
        status, found = await browser.post("/api/v1/session", given)
        assert (status, found["second_factor"]) == (401, "enrol")
        enrolment = found["enrolment"]
        link = urlsplit(enrolment["uri"])
        assert (link.scheme, link.netloc) == ("otpauth", "totp")
        assert unquote(link.path).endswith(":sue")
        assert parse_qs(link.query)["secret"] == [enrolment["secret"]]
        code = code_of(enrolment["secret"], clock.wall_ns())
        assert (await try_(browser, "123456", enrolment=enrolment["token"]))[0] == 401
        status, found = await browser.post(
            "/api/v1/session", {**given, "code": code, "enrolment": enrolment["token"]}
        )
        assert (status, len(found["recovery_codes"])) == (200, 8)
        browser.csrf_token = found["csrf_token"]
        clock.advance_ms(STEP_MS)
        off = {"password": PASSWORD, "code": code_of(enrolment["secret"], clock.wall_ns())}
        assert (await browser.post("/api/v1/session/second-factor/off", off))[0] == 409


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "qwertyuiop12",
        "iloveyou1234",
        "Passw0rd!!!!",
        "aaaaaaaaaaaaaaaa",
        "sue-sue-sue-sue",
        "123456789012",
    ],
)
async def test_a_leaked_password_is_refused(
    console: Console, browser: Browser, password: str
) -> None:
    link = await first_admin_link(console.services, console.url)
    assert link is not None
    token = link.partition("#")[2]
    given = {"token": token, "user": "sue", "password": password}
    status, found = await browser.post("/api/v1/invitation/accept", given)
    assert (status, "leaked" in found["detail"].lower()) == (409, True)
    given["password"] = "the order is on the table"  # and the link is good still
    assert (await browser.post("/api/v1/invitation/accept", given))[0] == 200


@pytest.mark.browser
@pytest.mark.slow
async def test_a_supervisor_sets_it_up_in_a_browser_and_signs_in_with_it(
    console: Console, tmp_path: Path
) -> None:
    await sue(console)
    refused = [r"status of 401"]
    async with open_browser() as browser:
        async with open_page(browser, f"{console.url}/account", expected_errors=refused) as page:
            await page.get_by_label("Name", exact=True).fill("sue")
            await page.get_by_label("Password", exact=True).fill(PASSWORD)
            await page.get_by_role("button", name="Sign in").click()
            card = page.locator("#factor")
            await card.locator("#factor-on").get_by_label("Your password").fill(PASSWORD)
            await card.get_by_role("button", name="Set up").click()
            secret = card.locator("#factor-secret")
            await secret.wait_for()
            picture = card.locator("#factor-picture")
            assert await picture.evaluate("img => img.decode().then(() => img.naturalWidth > 50)")
            value = await secret.input_value()
            code = code_of(value, console.clock.wall_ns())
            await card.locator("#factor-confirm").get_by_label("Code").fill(code)
            await card.get_by_role("button", name="Turn it on").click()
            await card.get_by_text("8 recovery codes are left").wait_for()
            recovery = (await card.locator("#factor-codes").inner_text()).split()
            assert len(recovery) == 8
        console.clock.advance_ms(STEP_MS)
        async with open_page(browser, f"{console.url}/account", expected_errors=refused) as page:
            await page.get_by_label("Name", exact=True).fill("sue")
            await page.get_by_label("Password", exact=True).fill(PASSWORD)
            await page.get_by_role("button", name="Sign in").click()
            await page.get_by_label("Code", exact=True).fill("000000")
            await page.get_by_role("button", name="Sign in").click()
            await page.get_by_text("the code is wrong").wait_for()
            await page.get_by_label("Code", exact=True).fill(
                code_of(value, console.clock.wall_ns())
            )
            await page.get_by_role("button", name="Sign in").click()
            await page.get_by_text("What you may do").wait_for()
