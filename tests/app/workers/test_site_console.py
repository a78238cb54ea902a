"""The one console of two workers: real SIP, HTTP and WebSockets, a call on each worker."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import numpy.typing as npt
import psutil
import pytest

from bridge.console.other_nodes import UNREACHABLE_CODE
from bridge.store.local import LocalRedis
from bridge.telephony.taps import CALLER
from tests.app.workers.test_site import until, until_heard, worker_of
from tests.audio.signals import tone
from tests.support.certificates import make_certificate
from tests.support.console_user import ConsoleUser, console_user
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, serving, write_dialplan
from tests.support.processes import simulating
from tests.support.programs import need_program
from tests.support.rtp_caller import RtpCaller
from tests.support.supervisor import AMPLITUDE, RATE_HZ, VOICE_HZ, has_tone, heard_by
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.sip, pytest.mark.redis]

GREETING = "Hello, this machine speaks for a while before it is done with what it has to say."
TONES_HZ = {"w1": 440.0, "w2": 1000.0}
"""What the caller at each worker says."""

Sound = npt.NDArray[np.int16]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need_program("kamailio", "kamailio")
    with simulating(tmp_path_factory.mktemp("simulator")) as url:
        yield url


@pytest.fixture
def site(
    tmp_path: Path, simulator: str, redis: LocalRedis, request: pytest.FixtureRequest
) -> Iterator[Gateway]:
    """Two workers; the parameter says whether browsers come by TLS, with nobody's certificate."""
    certificate, key = make_certificate(tmp_path / "tls")
    tls = {"tls_cert_file": str(certificate), "tls_key_file": str(key)}
    dialplans = write_dialplan(tmp_path / "dialplans", {**PLAIN_AGENT, "greeting": GREETING})
    with serving(
        *(tmp_path, simulator, dialplans),
        redis_url=redis.url,
        environ={"BRIDGE_WORKERS": "2"},
        http={"port": 0, "probes_port": 0},
        console={"enabled": True, **(tls if getattr(request, "param", False) else {})},
    ) as gateway:
        yield gateway


@dataclass
class SiteCall:
    """A call through the one address, and its id at the worker that has it."""

    caller: RtpCaller
    call_id: str


@asynccontextmanager
async def a_call_on_each(site: Gateway, redis: LocalRedis) -> AsyncIterator[dict[str, SiteCall]]:
    """Call until each worker has one call; yield them by worker."""
    known: dict[str, SiteCall] = {}
    async with (
        CallsInRedis(redis.url) as calls,
        RtpCaller(site.sip_port) as first,
        RtpCaller(site.sip_port) as second,
    ):
        for caller in (first, second):
            assert await caller.call() == 200, caller.final
            call_id = await calls.until_another([each.call_id for each in known.values()])
            state = await calls.reader.call(call_id) or {}
            known[state["node"].removeprefix(f"{site.node}-")] = SiteCall(caller, call_id)
            await until_heard(caller)
        assert sorted(known) == [*TONES_HZ]
        yield known


async def heard_by_supervisor(user: ConsoleUser, call: SiteCall, hz: float) -> Sound:
    """Have a caller say a tone, and a supervisor listen to him meanwhile."""
    call.caller.speak(tone(hz, RATE_HZ, 4 * RATE_HZ, amplitude=AMPLITUDE))
    frames = await user.listens(call.call_id, 100)
    return np.concatenate([each.stereo[:, CALLER] for each in frames])


@pytest.mark.parametrize("site", [False, True], ids=["plain", "tls"], indirect=True)
async def test_a_call_of_each_worker_is_listed_heard_talked_into_and_ended(
    site: Gateway, redis: LocalRedis
) -> None:
    async with (
        console_user(site.http, redis.url, "eve") as eve,
        a_call_on_each(site, redis) as calls,
    ):
        page = await eve.read("/api/v1/calls")
        assert all(call.call_id in page for call in calls.values())
        for worker, other in (("w1", "w2"), ("w2", "w1")):
            heard = await heard_by_supervisor(eve, calls[worker], TONES_HZ[worker])
            assert has_tone(heard, TONES_HZ[worker]).sum() > 25
            assert not has_tone(heard, TONES_HZ[other]).any()
            await take_over_and_end(eve, calls[worker], site)


async def take_over_and_end(eve: ConsoleUser, call: SiteCall, site: Gateway) -> None:
    caller, call_id = call.caller, call.call_id
    assert (await eve.does(call_id, "whisper", text="Offer 10 %."))["accepted"]
    async with eve.at_the_microphone(call_id):
        assert (await eve.does(call_id, "take_over"))["accepted"]
        taken = len(caller.heard)
        await caller.until(lambda: has_tone(heard_by(caller.heard[taken:]), VOICE_HZ).sum() > 25)
        assert (await eve.does(call_id, "hand_back", summary="A refund."))["accepted"]
    assert (await eve.does(call_id, "end", reason="Done", how="now"))["accepted"]
    await caller.until(caller.ended.is_set)
    record = await site.record_of(call_id)
    assert record["reason"] == "ended_by_supervisor"
    done = [each["action"] for each in record["supervised"]]
    assert done == ["whisper", "take_over", "hand_back", "end"]


async def test_calls_of_a_worker_that_drains_are_heard_and_ended(
    site: Gateway, redis: LocalRedis
) -> None:
    async with (
        console_user(site.http, redis.url, "eve") as eve,
        a_call_on_each(site, redis) as calls,
    ):
        site.process.tell(signal.SIGHUP)
        await until(site, w1="draining", w2="serving", w3="serving")
        heard = await heard_by_supervisor(eve, calls["w1"], TONES_HZ["w1"])
        assert has_tone(heard, TONES_HZ["w1"]).sum() > 25
        await take_over_and_end(eve, calls["w1"], site)
        await until(site, w1="serving", w2="draining", w3="serving")


async def test_who_listens_at_a_worker_that_dies_is_let_go_and_hears_the_others(
    site: Gateway, redis: LocalRedis
) -> None:
    async with (
        console_user(site.http, redis.url, "eve") as eve,
        a_call_on_each(site, redis) as calls,
    ):
        async with eve.at_call(calls["w1"].call_id, "listen") as socket:
            await socket.receive_bytes(timeout=PATIENCE_S)
            worker_of(site, "w1").send_signal(signal.SIGKILL)
            async with asyncio.timeout(PATIENCE_S):
                while (await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                    pass
            assert socket.close_code == UNREACHABLE_CODE
        heard = await heard_by_supervisor(eve, calls["w2"], TONES_HZ["w2"])
        assert has_tone(heard, TONES_HZ["w2"]).sum() > 25


async def test_http_of_workers_is_heard_on_this_machine_alone(
    tmp_path: Path, simulator: str
) -> None:
    """By the kernel's list of who listens, not by what a process says about itself."""
    with serving(
        *(tmp_path, simulator, write_dialplan(tmp_path / "dialplans")),
        environ={"BRIDGE_WORKERS": "2"},
        http={"host": "0.0.0.0", "port": 0, "probes_host": "0.0.0.0", "probes_port": 0},
        console={"enabled": True},
    ) as gateway:
        everywhere = {urlsplit(url).port for url in (gateway.http, gateway.probes)}
        supervisor, *workers = (gateway.process.pid, *(worker_of(gateway, w).pid for w in TONES_HZ))
        assert listening_at(supervisor) == {("0.0.0.0", port) for port in everywhere}
        for pid in workers:
            found = listening_at(pid)
            assert len(found) >= 2
            assert {host for host, _ in found} == {"127.0.0.1"}


def listening_at(pid: int) -> set[tuple[str, int]]:
    """Return where a process listens for TCP."""
    found = psutil.Process(pid).net_connections("tcp")
    return {(each.laddr.ip, each.laddr.port) for each in found if each.status == "LISTEN"}
