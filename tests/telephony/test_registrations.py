"""Registrations against a registrar of the test's own: the bytes that leave, and what follows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import structlog

from bridge.app.watches.registrations import Registrations
from bridge.app.watches.troubles import Troubles
from bridge.clock import SystemClock
from bridge.telemetry.metrics import Metrics
from tests.support.digest import read
from tests.support.raw_sip import Reply
from tests.support.waiting import wait_until
from tests.telephony.rig import Rig, running
from tests.telephony.trunk_far_end import SECRET, TrunkFarEnd, challenge, credentials_of, judge

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

TRUNK = "127.0.0.2"


@dataclass
class Node:
    """A node's registrations, with the registrar that they are at."""

    rig: Rig
    far: TrunkFarEnd
    kept: Registrations
    troubles: Troubles

    def grant(self, register: Reply, seconds: int) -> None:
        contact = register.header("Contact")
        self.far.answer(register, "200 OK", (f"Contact: {contact};expires={seconds}",))

    async def registered(self) -> None:
        await wait_until(lambda: not self.kept.missing(), "not registered")


@asynccontextmanager
async def started(**registration: object) -> AsyncIterator[Node]:
    """Run an endpoint that registers with one trunk."""
    async with TrunkFarEnd(0, TRUNK) as far:
        trunk = {
            "addresses": [TRUNK],
            "credentials": {"username": "acme", "secret_env": "UNUSED"},
            "registration": {
                "registrar": f"sip:{TRUNK}:{far.port}",
                "needed_for_ready": True,
                **registration,
            },
        }
        async with running(trunks={"carrier": trunk}) as rig:
            far.server_port, troubles = rig.endpoint.port, Troubles()
            kept = Registrations(rig.endpoint, SystemClock(), Metrics("test").sip, troubles)
            kept.start()
            try:
                yield Node(rig, far, kept, troubles)
            finally:
                await kept.end()


async def test_it_registers_with_credentials_and_takes_it_back() -> None:
    async with started() as node:
        assert node.kept.missing() == ["not registered with carrier"]
        bare = await node.far.request("REGISTER")
        registrar = f"sip:{TRUNK}:{node.far.port}"
        assert bare.start == f"REGISTER {registrar} SIP/2.0"
        aor = f"<sip:acme@{TRUNK}>"
        assert bare.header("To") == aor
        assert bare.header("From").partition(";tag=")[0] == aor
        assert bare.header("Contact").startswith(f"<sip:acme@127.0.0.1:{node.rig.endpoint.port}")
        assert (bare.header("Expires"), credentials_of(bare)) == ("600", "")
        values = [challenge("SHA-256", "a"), challenge("MD5", "a")]
        node.far.answer(bare, "401 Prove It", [f"WWW-Authenticate: {each}" for each in values])
        signed = await node.far.request("REGISTER", 1)
        assert judge(signed) == "SHA-256"
        assert signed.header("Call-ID") == bare.header("Call-ID")
        node.grant(signed, 600)
        await node.registered()
        assert not node.troubles.words

        ending = asyncio.create_task(node.kept.end())
        node.far.answer(
            await node.far.request("REGISTER", 2),
            "401 Prove It",
            (f"WWW-Authenticate: {challenge(nonce='c')}",),
        )
        gone = await node.far.request("REGISTER", 3)
        assert (gone.header("Expires"), judge(gone)) == ("0", "SHA-256")
        node.far.answer(gone, "200 OK")
        await ending
        assert node.kept.missing()


async def test_one_that_is_not_answered_yet_is_taken_back_at_the_end_too() -> None:
    async with started() as node:
        first = await node.far.request("REGISTER")
        ending = asyncio.create_task(node.kept.end())
        await asyncio.sleep(0)
        node.grant(first, 600)
        gone = await node.far.request("REGISTER", 1)
        assert gone.header("Expires") == "0"
        node.far.answer(gone, "200 OK")
        await ending
        assert node.kept.missing()


async def test_a_registrar_without_an_address_is_asked_for_nothing_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolving = asyncio.Event()

    async def resolve(*_: object, **__: object) -> None:
        resolving.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    asked: list[str] = []
    async with started() as node:
        monkeypatch.setattr(node.rig.endpoint, "register", lambda name, **_: asked.append(name))
        await resolving.wait()
        await node.kept.end()
    assert asked == []


async def test_a_call_towards_the_trunk_comes_from_the_registered_user() -> None:
    async with started(user="line1@carrier.example", contact="sip:me@192.0.2.7:5070") as node:
        register = await node.far.request("REGISTER")
        assert register.header("To") == "<sip:line1@carrier.example>"
        assert register.header("Contact").startswith("<sip:me@192.0.2.7:5070>")
        node.grant(register, 600)
        node.rig.dial(f"sip:+15550100@{TRUNK}:{node.far.port}")
        invite = await node.far.request("INVITE")
        assert "sip:line1@carrier.example" in invite.header("From")
        node.far.answer(invite, "486 Busy Here")
        node.rig.take = lambda call: call.leg.reject(404, "Not Found")
        talk = node.far.talk("line1")  # PJSUA finds the trunk's account for it
        assert (await talk.ask("INVITE")).code == 404
        assert node.rig.calls[0].leg.trunk == "carrier"


async def test_423_is_followed_by_a_longer_request() -> None:
    async with started(expires_s=60) as node:
        first = await node.far.request("REGISTER")
        assert first.header("Expires") == "60"
        node.far.answer(first, "423 Interval Too Brief", ("Min-Expires: 1800",))
        second = await node.far.request("REGISTER", 1)
        assert second.header("Expires") == "1800"
        node.grant(second, 1800)
        await node.registered()


async def test_a_stale_nonce_is_replaced_at_once() -> None:
    async with started() as node:
        for nth, value in enumerate((challenge(nonce="a"), challenge(nonce="b", stale="true"))):
            register = await node.far.request("REGISTER", nth)
            node.far.answer(register, "401 Prove It", (f"WWW-Authenticate: {value}",))
        signed = await node.far.request("REGISTER", 2)
        assert (judge(signed), read(credentials_of(signed))["nonce"]) == ("SHA-256", "b")
        node.grant(signed, 600)
        await node.registered()


@pytest.mark.parametrize(
    ("status", "event", "least_s", "words"),
    [
        ("403 Forbidden", "trunk_not_registered", 150, "refused (SIP 403)"),
        ("503 Later", "trunk_not_registered", 40, "failing (SIP 503)"),
        ("500 Oops", "trunk_not_registered", 1, "failing (SIP 500)"),
    ],
)
async def test_a_registrar_that_says_no_is_asked_again_later(
    status: str, event: str, least_s: float, words: str
) -> None:
    with structlog.testing.capture_logs() as lines:
        async with started() as node:
            register = await node.far.request("REGISTER")
            node.far.answer(
                register, status, ("Retry-After: 40 (busy)",) if "503" in status else ()
            )
            await wait_until(lambda: node.troubles.words, "no trouble")
            assert node.troubles.words == [f"trunk carrier is not registered: {words}"]
            assert node.kept.missing()
            (line,) = [each for each in lines if each["event"] == event]
            assert line["again_in_s"] >= least_s


async def test_wrong_credentials_are_logged_and_not_tried_again_soon() -> None:
    with structlog.testing.capture_logs() as lines:
        async with started() as node:
            answered = await node.far.challenge_until(lambda: node.troubles.words, "REGISTER")
            assert answered <= 4
    (line,) = [each for each in lines if each["event"] == "trunk_refused_credentials"]
    assert (line["trunk"], line["method"]) == ("carrier", "REGISTER")
    assert SECRET not in str(lines)


async def test_a_registrar_that_vanishes_costs_the_binding_and_not_the_node() -> None:
    async with started() as node:
        node.grant(await node.far.request("REGISTER"), 2)  # less than was asked for
        await node.registered()
        refresh = await node.far.request("REGISTER", 1)  # before its end
        await wait_until(node.kept.missing, "the binding has no end")
        node.grant(refresh, 600)  # late
        await node.registered()
