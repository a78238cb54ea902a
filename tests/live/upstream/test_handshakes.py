"""Handshakes that are refused with Retry-After, or sent on to another place."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

from tests.live.conftest import StartGateway
from tests.live.odd_service import DIALECTS, OddService, Visit, odd_service
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]

KEY = "sk-long-lived"


def in_s(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def busy(peer: ServerConnection, retry_after: str) -> Response:
    response = peer.respond(HTTPStatus.SERVICE_UNAVAILABLE, "later\n")
    response.headers["Retry-After"] = retry_after
    return response


def moved(peer: ServerConnection, to: str) -> Response:
    response = peer.respond(HTTPStatus.TEMPORARY_REDIRECT, "there\n")
    response.headers["Location"] = to
    return response


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("retry_after", "least_s"),
    [("2", 1.9), ("date", 0.9), ("-5", 0.0), ("soon", 0.0), ("99999999999", 0.0)],
)
async def test_retry_after_of_a_refused_handshake_is_kept(
    start_gateway: StartGateway,
    dialect: str,
    retry_after: str,
    least_s: float,
) -> None:
    waits: asyncio.Task[None] | None = None
    kept = False

    def door(peer: ServerConnection, visit: Visit) -> Response | None:
        nonlocal waits, kept
        if waits is not None:
            kept = waits.done()
            return None
        waits = asyncio.create_task(asyncio.sleep(least_s))
        return busy(peer, in_s(3) if retry_after == "date" else retry_after)

    async with odd_service(dialect) as service:
        service.door = door
        _, port = await start_gateway(
            service.url, dialect=dialect, dialplan={"limits": {"session_ready_s": 8}}
        )
        async with RtpCaller(port) as caller:
            assert await caller.call() == 200
        assert len(service.visits) == 2
    assert kept


async def test_retry_after_beyond_the_time_leaves_a_last_attempt(
    start_gateway: StartGateway,
) -> None:
    async with odd_service("ga") as service:
        _, port = await start_gateway(
            service.url, dialplan={"recovery": {"max_outage_s": 4}, "fallback": {}}
        )
        async with RtpCaller(port) as caller:
            assert await caller.call() == 200
            await caller.until(lambda: any(each.loud for each in caller.heard))
            service.door = lambda peer, _visit: busy(peer, "3600")
            await service.drop()
            await caller.until(caller.ended.is_set)
    assert len(service.visits[1:]) == 2


async def place(
    start_gateway: StartGateway, service: OddService, redirect_hosts: tuple[str, ...] = ()
) -> int:
    _, port = await start_gateway(
        service.url,
        environ={"KEY": KEY},
        api_key_env="KEY",
        dialect=service.dialect,
        redirect_hosts=redirect_hosts,
    )
    async with RtpCaller(port) as caller:
        return await caller.call()


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_key_does_not_follow_to_another_place(
    start_gateway: StartGateway, dialect: str
) -> None:
    async with odd_service(dialect) as service, odd_service(dialect) as other:
        service.door = lambda peer, _visit: moved(peer, other.url + "?model=m")
        assert await place(start_gateway, service) == 503
        assert other.visits == []
        host = urlsplit(other.url).netloc
        assert await place(start_gateway, service, redirect_hosts=(host,)) == 200
        assert [visit.bearer for visit in other.visits] == [KEY]


async def test_redirect_within_the_place_is_followed(start_gateway: StartGateway) -> None:
    def door(peer: ServerConnection, visit: Visit) -> Response | None:
        return moved(peer, "/v2/realtime?model=m") if len(service.visits) == 1 else None

    async with odd_service("ga") as service:
        service.door = door
        assert await place(start_gateway, service) == 200
    assert [visit.bearer for visit in service.visits] == [KEY, KEY]


async def test_redirect_to_what_is_no_websocket_is_refused(start_gateway: StartGateway) -> None:
    async with odd_service("ga") as service:
        places = iter(("https://127.0.0.1/v1/realtime", "ws://["))
        service.door = lambda peer, _visit: moved(peer, next(places))
        for number in range(1, 3):
            assert await place(start_gateway, service) == 503
            assert len(service.visits) == number
