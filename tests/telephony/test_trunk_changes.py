"""Other trunks while the endpoint runs: new calls have theirs, those that go on keep their own."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from bridge.app.watches.registrations import Registrations
from bridge.app.watches.troubles import Troubles
from bridge.clock import SystemClock
from bridge.config.sip import MOST_TRUNK_ACCOUNTS, SipSettings
from bridge.errors import TelephonyError
from bridge.telemetry.metrics import Metrics
from bridge.telephony import accounts
from tests.support.raw_sip import RawSip, Reply, sdp
from tests.support.waiting import wait_until
from tests.telephony.rig import Rig, running
from tests.telephony.trunk_far_end import SECRET, TrunkFarEnd, challenge, judge

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

TRUNK, OTHER = "127.0.0.2", "127.0.0.3"
CREDENTIALS = {"username": "acme", "secret_env": "UNUSED"}


def sip(**trunks: Any) -> SipSettings:
    return SipSettings.model_validate({"host": "127.0.0.1", "port": 0, "trunks": trunks})


def started(**trunks: Any) -> AbstractAsyncContextManager[Rig]:
    """Run an endpoint with trunks."""
    return running(trunks=trunks)


def take(far: TrunkFarEnd, invite: Reply) -> None:
    """Answer with one codec: of two PJSUA asks again, at a time of its own."""
    contact = f"Contact: <sip:far@{far.host}:{far.port}>"
    far.answer(invite, "200 OK", (contact,), sdp("m=audio 40000 RTP/AVP 0\r\n"))


def change(rig: Rig, secret: str = SECRET, **trunks: Any) -> None:
    change = rig.endpoint.prepare_trunks(sip(**trunks), dict.fromkeys(trunks, secret))
    rig.endpoint.change_trunks(change)


async def test_a_trunk_that_is_added_is_answered_and_one_that_is_gone_is_not() -> None:
    async with (
        started(old=[TRUNK]) as rig,
        RawSip(rig.endpoint.port, TRUNK) as old,
        RawSip(rig.endpoint.port, OTHER) as new,
    ):
        talk = old.talk()
        await talk.call(sdp())
        call = await rig.call_in()
        assert (await new.talk().invite(sdp())).code == 403
        change(rig, new=[OTHER])
        assert (await old.talk().invite(sdp())).code == 403
        taken = new.talk()
        await taken.call(sdp())
        assert (await rig.call_in(1)).leg.trunk == "new"
        # The call from before goes on: its requests are heard, and the last one ends it.
        assert (await talk.invite(sdp())).code == 200
        talk.acknowledge()
        assert not call.ended
        assert (await talk.ask("BYE")).code == 200
        assert (await taken.ask("BYE")).code == 200
        await wait_until(lambda: call.ended, "the call goes on")


async def test_limits_are_those_in_force_and_one_that_stays_is_not_filled_anew() -> None:
    one = {"addresses": [TRUNK], "limits": {"calls_per_s": 0.1}}
    async with started(one=one) as rig, RawSip(rig.endpoint.port, TRUNK) as far:
        first = far.talk()
        await first.call(sdp())
        assert (await far.talk().invite(sdp())).code == 503
        change(rig, one=one, other=[OTHER])
        assert (await far.talk().invite(sdp())).code == 503
        change(rig, one=[TRUNK])
        second = far.talk()
        await second.call(sdp())
        for talk in (first, second):
            assert (await talk.ask("BYE")).code == 200


async def test_a_changed_password_is_used_by_the_next_call_and_not_by_the_one_that_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accounts, "LEFT_FOR_S", 0.0)
    trunk = {"addresses": [TRUNK], "credentials": CREDENTIALS}
    async with (
        started(carrier=trunk) as rig,
        TrunkFarEnd(rig.endpoint.port, TRUNK) as far,
    ):
        uri = f"sip:1@{TRUNK}:{far.port}"
        call = rig.dial(uri)
        take(far, await far.request("INVITE"))
        await call.until(lambda: "confirmed" in call.states, "the call")
        change(rig, "another", carrier=trunk)
        other = rig.dial(uri)
        bare = await far.request("INVITE", 1)
        far.answer(bare, "401 Prove It", (f"WWW-Authenticate: {challenge()}",))
        assert judge(await far.request("INVITE", 2)) == ""
        far.answer(far.requests("INVITE")[2], "403 Forbidden")
        await wait_until(lambda: other.ended, "the second call goes on")
        # The first one's account is there for as long as the call is, whatever polls meanwhile.
        call.leg.hold()
        held = await far.request("INVITE", 3)
        far.answer(held, "401 Prove It", (f"WWW-Authenticate: {challenge(nonce='n2')}",))
        assert judge(await far.request("INVITE", 4)) == "SHA-256"
        take(far, far.requests("INVITE")[4])
        call.leg.hangup()
        far.answer(await far.request("BYE"), "200 OK")
        await wait_until(lambda: call.ended, "the first call goes on")
        await wait_until(lambda: not rig.endpoint._accounts._left, "the account stays")
        change(rig, carrier=trunk)


async def test_where_pjsip_has_no_room_nothing_changes() -> None:
    trunks: dict[str, Any] = {
        f"t{each}": {"addresses": [f"127.0.1.{each}"], "credentials": CREDENTIALS}
        for each in range(MOST_TRUNK_ACCOUNTS - 1)
    }
    trunks["t0"] = {"addresses": [TRUNK], "credentials": CREDENTIALS}
    async with started(**trunks) as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        more = {"addresses": [OTHER], "credentials": CREDENTIALS}
        before = rig.endpoint.sip.settings
        with pytest.raises(TelephonyError, match="no room"):
            change(rig, "another", **trunks)
        assert rig.endpoint.sip.settings is before
        rig.dial(f"sip:1@{TRUNK}:{far.port}")
        bare = await far.request("INVITE")
        far.answer(bare, "401 Prove It", (f"WWW-Authenticate: {challenge()}",))
        assert judge(await far.request("INVITE", 1)) == "SHA-256"
        far.answer(far.requests("INVITE")[1], "486 Busy Here")
        change(rig, more=more, **trunks)


def grant(far: TrunkFarEnd, register: Reply) -> None:
    far.answer(register, "200 OK", (f"Contact: {register.header('Contact')};expires=600",))


async def test_registrations_follow_the_trunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "LEFT_FOR_S", 0.3)
    async with TrunkFarEnd(0, TRUNK) as far, TrunkFarEnd(0, OTHER) as other:

        def trunk(registrar: TrunkFarEnd) -> dict[str, Any]:
            return {
                "addresses": [registrar.host],
                "credentials": CREDENTIALS,
                "registration": {
                    "registrar": f"sip:{registrar.host}:{registrar.port}",
                    "needed_for_ready": True,
                },
            }

        async with started(carrier=trunk(far)) as rig:
            far.server_port = other.server_port = rig.endpoint.port
            kept = Registrations(rig.endpoint, SystemClock(), Metrics("test").sip, Troubles())
            kept.start()

            async def registered() -> None:
                await wait_until(lambda: not kept.missing(), "it is not registered")

            grant(far, await far.request("REGISTER"))
            await registered()
            one = sip(carrier=trunk(far))

            async def put(settings: SipSettings, secret: str) -> None:
                change = rig.endpoint.prepare_trunks(
                    settings, dict.fromkeys(settings.trunks, secret)
                )
                leaving = asyncio.create_task(kept.leave(change.left))
                if change.left:
                    gone = await far.request("REGISTER", len(far.requests("REGISTER")))
                    assert gone.header("Expires") == "0"
                    far.answer(gone, "200 OK")
                await leaving
                rig.endpoint.change_trunks(change)
                kept.take()

            # The same trunk with other limits: its registration is left alone.
            await put(sip(carrier={**trunk(far), "limits": {"max_calls": 1}}), SECRET)
            assert len(far.requests("REGISTER")) == 1
            # Another password: taken back with the old one, and made anew with the new one.
            await put(one, "another")
            again = await far.request("REGISTER", 2)
            far.answer(again, "401 Prove It", (f"WWW-Authenticate: {challenge()}",))
            assert judge(await far.request("REGISTER", 3)) == ""
            grant(far, far.requests("REGISTER")[3])
            await registered()
            # Gone, and another one there.
            await put(sip(pbx=trunk(other)), SECRET)
            grant(other, await other.request("REGISTER"))
            await registered()
            await wait_until(lambda: not rig.endpoint._accounts._left, "accounts stay")
            assert len(far.requests("REGISTER")) == 5
            ending = asyncio.create_task(kept.end())
            gone = await other.request("REGISTER", 1)
            assert gone.header("Expires") == "0"
            other.answer(gone, "200 OK")
            await ending


async def test_a_registration_that_is_not_answered_yet_is_taken_back_too() -> None:
    async with TrunkFarEnd(0, TRUNK) as far:
        registration = {"registrar": f"sip:{TRUNK}:{far.port}"}
        trunk = {"addresses": [TRUNK], "credentials": CREDENTIALS, "registration": registration}
        async with started(carrier=trunk) as rig:
            far.server_port = rig.endpoint.port
            kept = Registrations(rig.endpoint, SystemClock(), Metrics("test").sip, Troubles())
            kept.start()
            first = await far.request("REGISTER")
            leaving = asyncio.create_task(kept.leave(["carrier"]))
            await asyncio.sleep(0)
            grant(far, first)
            gone = await far.request("REGISTER", 1)
            assert gone.header("Expires") == "0"
            far.answer(gone, "200 OK")
            await leaving
            change(rig)
            kept.take()
            assert not kept.missing()
            await kept.end()
