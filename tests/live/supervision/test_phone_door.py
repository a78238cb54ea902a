"""A supervisor's phone calls in: with a ticket it hears the call, without one it is refused."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bridge.console.access.phone_tickets import Ticket
from bridge.console.services import ConsoleServices
from bridge.store.users import User
from tests.audio.signals import tone
from tests.live.conftest import StartGateway
from tests.live.sip_kept import kept
from tests.live.supervision.test_supervisors import AGENT_HZ, PHONE_HZ, sound_of
from tests.live.talk import Talk, talking
from tests.support.person import a_person
from tests.support.ports import free_port
from tests.support.raw_phone import Received
from tests.support.rtp_caller import RtpCaller
from tests.support.supervisor import RATE_HZ, Supervisor, has_tone, heard_by
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]


@asynccontextmanager
async def watched(
    start_gateway: StartGateway, *phones: str
) -> AsyncIterator[tuple[Talk, ConsoleServices]]:
    """A call, and a supervisor who may listen to it; ``phones`` that may be called."""
    sip = {"supervisor_phones": list(phones)}
    async with talking(start_gateway, greeting_ms=30_000, tone_hz=AGENT_HZ, sip=sip) as talk:
        console = talk.gateway._console
        assert console is not None
        await put(console, User("eve", ("supervisor",), ("test",), made_ms=1))

        async def known() -> bool:
            return bool(await console.calls.call(talk.runner.call_id))

        await wait_until(known, "the call is not in Redis")
        yield talk, console


async def put(console: ConsoleServices, user: User) -> None:
    await console.link.ask_all(console.users.put(user))


async def number(
    talk: Talk,
    console: ConsoleServices,
    by: str = "eve",
    *,
    may_take_over: bool = False,
    private: bool = False,
) -> str:
    call_id = talk.runner.call_id
    secret, _ = await console.phone_tickets.issue(Ticket(by, call_id, may_take_over, private))
    return f"listen-{call_id}-{secret}"


async def audited(talk: Talk, console: ConsoleServices) -> list[dict[str, str]]:
    entries = [fields for _, fields in await console.auditor.audit.latest(20)]
    return [each for each in reversed(entries) if each.get("call_id") == talk.runner.call_id]


def hears(phone: RtpCaller, hz: float) -> Callable[[], bool]:
    return lambda: bool(has_tone(heard_by(phone.heard[-50:]), hz).sum() > 25)


async def test_phone_with_a_ticket_hears_the_call_once(start_gateway: StartGateway) -> None:
    async with watched(start_gateway) as (talk, console):
        dialled = await number(talk, console)
        async with RtpCaller(talk.caller.port) as phone:
            assert await phone.call(dialled) == 200
            await phone.until(hears(phone, AGENT_HZ))
            phone.press("*3")  # not theirs
            async with RtpCaller(talk.caller.port) as other:
                assert await other.call(dialled) == 403  # used up
            async with RtpCaller(talk.caller.port) as other:
                assert await other.call(await number(talk, console)) == 486  # they listen already
            assert not talk.runner.record.summary.supervised
            await phone.hang_up()

        async def over() -> bool:
            return len(await audited(talk, console)) == 4

        await wait_until(over, "its end was not audited")
        entries = await audited(talk, console)
        results = {each["result"] for each in entries}
        assert results == {"asked", "over", "refused: already"}
        for each in entries:
            told = (each["actor"], each["action"], each["roles"], each["address"])
            assert told == ("eve", "listen", "supervisor", "127.0.0.1")
        assert len(talk.gateway.calls) == 1  # a phone is no call of a dialplan's


async def test_phone_takes_over_by_key_and_gives_back(start_gateway: StartGateway) -> None:
    async with watched(start_gateway) as (talk, console), RtpCaller(talk.caller.port) as phone:
        assert await phone.call(await number(talk, console, may_take_over=True)) == 200
        await phone.until(hears(phone, AGENT_HZ))
        phone.press("*3")
        await talk.first.until_sent("response.cancel")
        phone.speak(tone(PHONE_HZ, RATE_HZ, 60 * RATE_HZ, amplitude=8_000))
        taken = len(talk.caller.heard)
        await talk.caller.until(lambda: has_tone(sound_of(talk, taken), PHONE_HZ).sum() > 25)
        await phone.hang_up()
        await talk.first.until(
            lambda: sum(each["type"] == "response.create" for each in talk.first.sent) == 2
        )


async def test_phones_that_listen_have_names_but_private_ones(start_gateway: StartGateway) -> None:
    async with watched(start_gateway) as (talk, console):
        runner = talk.runner

        async def watchers() -> tuple[str, str]:
            call = await console.calls.call(runner.call_id) or {}
            return call.get("watchers", "0"), call.get("watched_by", "")

        async def until(count: str, names: str) -> None:
            async def told() -> bool:
                return await watchers() == (count, names)

            await wait_until(told, f"not told that {names or 'nobody'} listens")

        await put(console, User("ada", ("admin",), ("test",), made_ms=1))
        async with (
            RtpCaller(talk.caller.port) as unseen,
            RtpCaller(talk.caller.port) as phone,
            RtpCaller(talk.caller.port) as third,
        ):
            assert await third.call(await number(talk, console, private=True)) == 403  # eve's
            assert await unseen.call(await number(talk, console, "ada", private=True)) == 200
            await unseen.until(hears(unseen, AGENT_HZ))
            assert await phone.call(await number(talk, console)) == 200
            await until("1", '{"eve": "listens"}')
            assert Supervisor(runner, "sam").orders("whisper", text="Be kind.").accepted
            await until("2", '{"eve": "listens", "sam": "whispers"}')
            assert Supervisor(runner, "sam").orders("say", text="One moment, please.").accepted
            await until("2", '{"eve": "listens", "sam": "says"}')
            await phone.hang_up()
            await until("1", '{"sam": "says"}')
            (entry, *_) = await audited(talk, console)
            assert (entry["actor"], '"private": true' in entry["detail"]) == ("ada", True)
            await put(console, User("ada", ("supervisor",), ("test",), made_ms=1))
            async with asyncio.timeout(60):
                await unseen.ended.wait()  # who may do it openly alone is let go
        events = [fields for _, fields in await console.calls.events(runner.call_id)]
        assert "eve" in str(events)
        assert "ada" not in str(events)
        await talk.caller.hang_up()
        await talk.over()
        await until("0", "")
    _, messages = await kept(talk.gateway._settings.media.recordings_dir, runner.call_id)
    dialogs = {(each["party"], Received(each["text"]).header("Call-ID")) for each in messages}
    seen = {"caller": talk.caller, "supervisor": phone}  # and not the one that is there privately
    assert dialogs == {(party, each.header("Call-ID")) for party, each in seen.items()}
    tickets = [re.search(r"listen-c_[0-9a-f]+-([0-9a-f]+)", each["text"]) for each in messages]
    assert not any(tickets)


async def test_phone_is_let_go_with_the_role(start_gateway: StartGateway) -> None:
    async with watched(start_gateway) as (talk, console), RtpCaller(talk.caller.port) as phone:
        assert await phone.call(await number(talk, console)) == 200
        await phone.until(hears(phone, AGENT_HZ))
        await put(console, User("eve", ("viewer",), ("test",), made_ms=1))
        async with asyncio.timeout(60):
            await phone.ended.wait()


async def test_phone_that_was_called_is_let_go_with_its_user(start_gateway: StartGateway) -> None:
    port = free_port()
    via = f"sip:eve@127.0.0.1:{port}"
    async with (
        watched(start_gateway, via) as (talk, console),
        a_person(talk.caller.port, port) as person,
    ):
        assert Supervisor(talk.runner, "eve").orders("listen", via=via).accepted
        await person.hears(AGENT_HZ)
        await put(console, User("eve", ("supervisor",), ("test",), disabled=True, made_ms=1))
        async with asyncio.timeout(60):
            await person.call.ended.wait()


async def test_phone_without_a_good_ticket_is_refused(start_gateway: StartGateway) -> None:
    async with watched(start_gateway) as (talk, console):
        call_id = talk.runner.call_id
        good = await number(talk, console)
        elsewhere = re.sub("c_[0-9a-f]{16}", "c_" + 16 * "0", await number(talk, console))
        forged = f"listen-{call_id}-{24 * '0'}"
        for dialled in (f"listen-{call_id}", forged, elsewhere, "listen-", "listen-c_1-x"):
            async with RtpCaller(talk.caller.port) as phone:
                assert await phone.call(dialled) == 403, dialled
        await put(console, User("eve", ("supervisor",), ("billing",), made_ms=1))  # none of theirs
        async with RtpCaller(talk.caller.port) as phone:
            assert await phone.call(good) == 403
        assert await audited(talk, console) == []
        assert len(talk.gateway.calls) == 1
