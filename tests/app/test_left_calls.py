"""Calls whose node is gone: another node says goodbye to their callers, by the bytes on the wire.

Without a proxy between; `tests/interop/test_kamailio.py` has the same behind Kamailio.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis
from tests.support.gateways import CallsInRedis, Gateway, serving, write_dialplan
from tests.support.raw_sip import RawSip, RawTalk, Reply, sdp
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]

HEARTBEAT_MS = 500
GOODBYE_WITHIN_S = 12.0
"""Seven heartbeats until the sweep at the latest, 1.6 s for the dead node to say that it lives."""


def node(
    name: str, directory: Path, simulator: str, redis_url: str
) -> AbstractContextManager[Gateway]:
    place = directory / name
    place.mkdir()
    return serving(
        *(place, simulator, write_dialplan(place / "dialplans", pass_headers=["X-Account"])),
        redis_url=redis_url,
        redis={"heartbeat_ms": HEARTBEAT_MS},
    )


@pytest.fixture
def survivor(tmp_path: Path, simulator: str, redis: LocalRedis) -> Iterator[Gateway]:
    with node("survivor", tmp_path, simulator, redis.url) as gateway:
        yield gateway


def tag_of(address: str) -> str:
    return address.rpartition(";tag=")[2]


def is_bye(message: Reply) -> bool:
    return message.start.startswith("BYE ")


async def called(sip: RawSip, headers: tuple[str, ...] = ()) -> RawTalk:
    talk = sip.talk()
    answer = await talk.invite(sdp(), headers)
    assert answer.code == 200, answer.start
    talk.acknowledge()
    return talk


def acknowledge(sip: RawSip, request: Reply) -> None:
    """Answer a request with 200."""
    kept = ("Via", "From", "To", "Call-ID", "CSeq")
    lines = [f"{name}: {value}" for name in kept for value in request.headers(name)]
    head = ["SIP/2.0 200 OK", *lines, "Content-Length: 0", "", ""]
    port = int(request.header("Via").split(";")[0].rpartition(":")[2])
    sip.send("\r\n".join(head).encode(), port)


async def test_a_killed_nodes_caller_gets_a_bye_by_its_last_contact_and_routes(
    tmp_path: Path, simulator: str, redis: LocalRedis, survivor: Gateway
) -> None:
    with node("dead", tmp_path, simulator, redis.url) as dead:
        async with (
            RawSip(dead.sip_port) as sip,
            RawSip(0) as proxy,
            CallsInRedis(redis.url) as calls,
        ):
            routes = (f"<sip:127.0.0.1:{proxy.port};lr;x=1>", f"<sip:127.0.0.1:{sip.port};lr>")
            recorded = (f"Record-Route: {route}" for route in routes)
            talk = await called(sip, (*recorded, "X-Account: 4711; M\u00fcller"))
            call_id = await calls.until_active(dead.node)
            talk.contact = f"<sip:moved@127.0.0.1:{sip.port};x=2>"
            assert (await talk.invite(sdp())).code == 200
            talk.acknowledge()

            async def kept() -> bool:
                return "sip:moved@" in (await calls.reader.call(call_id) or {}).get("dialog", "")

            await wait_until(kept, message="the new Contact did not reach Redis")
            sequences = [
                int(each.header("CSeq").split()[0]) for each in sip.replies if not each.code
            ]

            dead.process.tell(signal.SIGKILL)
            bye = await proxy.reply(is_bye, GOODBYE_WITHIN_S)
            assert bye is not None, "no BYE came"
            acknowledge(proxy, bye)
            assert bye.start == f"BYE sip:moved@127.0.0.1:{sip.port};x=2 SIP/2.0"
            assert bye.headers("Route") == list(routes)
            assert bye.header("Call-ID") == talk.call_id
            assert bye.header("X-Account").encode("latin-1") == "4711; M\u00fcller".encode()
            assert tag_of(bye.header("From")) == tag_of(talk.to)
            assert bye.header("To").endswith(f";tag={talk.tag}")
            number, method = bye.header("CSeq").split()
            assert (method, int(number) > max([*sequences, 0x7FFF])) == ("BYE", True)
            source = f"127.0.0.1:{survivor.sip_port};"
            assert bye.header("Via").startswith(f"SIP/2.0/UDP {source}")
            (record,) = await survivor.records(1)
            assert record["outcome"] == "node_lost"

            async def settled() -> bool:
                ends = [
                    line["sip_code"]
                    for line in survivor.process.logged
                    if line["event"] == "left_call_ended"
                ]
                return ends == [200]

            await wait_until(settled, message="the BYE's answer was not taken")


class Pipe:
    """Redis behind a port of its own, which can be taken away."""

    def __init__(self, path: str) -> None:
        self.url = ""
        self._path = path
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._path)
        self._writers |= {writer, far_writer}
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    def cut(self) -> None:
        """Break all connections and take no more."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    except ConnectionError:
        pass
    writer.close()


@asynccontextmanager
async def a_pipe(redis: LocalRedis) -> AsyncIterator[Pipe]:
    pipe = Pipe(redis.url.removeprefix("unix://").partition("?")[0])
    await pipe.open()
    try:
        yield pipe
    finally:
        pipe.cut()


async def test_a_call_of_a_node_that_has_only_lost_redis_goes_on(
    tmp_path: Path, simulator: str, redis: LocalRedis, survivor: Gateway
) -> None:
    async with a_pipe(redis) as pipe:
        with ExitStack() as stack:
            apart = await asyncio.to_thread(
                stack.enter_context, node("apart", tmp_path, simulator, pipe.url)
            )
            async with RawSip(apart.sip_port) as sip, CallsInRedis(redis.url) as calls:
                talk = await called(sip)
                call_id = await calls.until_active(apart.node)

                pipe.cut()
                await calls.until_ended(call_id)  # the survivor has swept it

                async def judged() -> bool:
                    return any(
                        each["event"] == "left_call_goes_on" for each in survivor.process.logged
                    )

                await wait_until(judged, "nobody asked the node")
                assert not any(is_bye(each) for each in sip.replies)
                assert (await talk.ask("OPTIONS")).code == 200  # and the caller is still heard
                assert (await talk.ask("BYE")).code == 200
