"""A newcomer in a real browser: the first link, a name, somebody invited, the way in."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from bridge.console.services import first_admin_link
from tests.console.conftest import Console
from tests.support.browser import open_browser, open_page

pytestmark = [pytest.mark.redis, pytest.mark.slow]

PASSWORD = "correct horse battery"


async def test_a_first_admin_invites_somebody_who_signs_in(
    console: Console, tmp_path: Path
) -> None:
    link = await first_admin_link(console.services, console.url)
    assert link is not None
    async with open_browser() as browser:
        async with open_page(browser, link) as page:
            assert "#" not in page.url
            await page.get_by_label("Name", exact=True).fill("ada")
            await page.get_by_label("Password", exact=True).fill(PASSWORD)
            await page.get_by_label("Password again").fill("something else")
            await page.get_by_role("button", name="Set the password").click()
            await page.get_by_text("The passwords are not the same.").wait_for()
            await page.get_by_label("Password again").fill(PASSWORD)
            await page.get_by_role("button", name="Set the password").click()
            await page.get_by_role("button", name="Sign out").wait_for()

            await page.goto(f"{console.url}/users")
            await page.get_by_role("button", name="Invite somebody").click()
            dialog = page.get_by_role("dialog")
            await dialog.locator("input[name=user]").fill("sue")
            await dialog.get_by_role("button", name="Make a link").click()
            await page.get_by_text("A link for sue").wait_for()
            invitation = await page.get_by_label("Link", exact=True).input_value()
            assert invitation.startswith(f"{console.url}/welcome#")
            await page.get_by_role("row", name=re.compile("sue.*supervisor.*invited")).wait_for()

            await page.goto(f"{console.url}/audit")
            await page.get_by_role("row", name=re.compile("ada .*user invite sue")).wait_for()
            await page.get_by_role("button", name="Verify the chain").click()
            await page.get_by_text("The chain holds").wait_for()
        async with open_page(browser, invitation) as page:
            await page.get_by_text("You are invited as sue").wait_for()
            await page.get_by_label("Password", exact=True).fill(PASSWORD)
            await page.get_by_label("Password again").fill(PASSWORD)
            await page.get_by_role("button", name="Set the password").click()
            await page.get_by_role("button", name="Sign out").wait_for()
        refused = [r"status of 401"]
        async with open_page(browser, f"{console.url}/account", expected_errors=refused) as page:
            await page.get_by_role("heading", name="Sign in").wait_for()
            await page.get_by_label("Name", exact=True).fill("sue")
            await page.get_by_label("Password", exact=True).fill("not the password")
            await page.get_by_role("button", name="Sign in").click()
            await page.get_by_text("name or password is wrong").wait_for()
            await page.get_by_label("Password", exact=True).fill(PASSWORD)
            await page.get_by_role("button", name="Sign in").click()
            await page.get_by_text("What you may do").wait_for()
            assert await page.get_by_role("link", name="Users").count() == 0


async def test_signing_in_leads_to_no_other_host(console: Console) -> None:
    kept = await console.services.passwords.hash(PASSWORD)
    await console.add_user("sue", "supervisor", password_hash=kept)
    async with open_browser() as browser:
        for wanted in ("/.//evil.example/", "//evil.example/", "javascript:alert(1)"):
            url = f"{console.url}/login?next={quote(wanted)}"
            async with open_page(browser, url, expected_errors=[r"status of 404"]) as page:
                gone_to: list[str] = []
                page.on("request", lambda request: gone_to.append(request.url))  # noqa: B023
                await page.get_by_label("Name", exact=True).fill("sue")
                await page.get_by_label("Password", exact=True).fill(PASSWORD)
                await page.get_by_role("button", name="Sign in").click()
                await page.wait_for_url(lambda at: "/login" not in at)
                assert [each for each in gone_to if not each.startswith(console.url)] == []
                assert page.url.startswith(f"{console.url}/")
