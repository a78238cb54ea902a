"""A disk that hangs does not keep a call that is over."""

import asyncio
import threading

import pytest
from structlog.testing import capture_logs

from bridge.live.records import keeper
from bridge.recordings.record_files import RecordFiles
from tests.live.conftest import StartGateway
from tests.live.peer import tone_peer
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]


async def test_a_call_ends_although_its_record_cannot_be_written(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed = threading.Event()
    monkeypatch.setattr(keeper, "DISK_WITHIN_S", 0.3)
    monkeypatch.setattr(RecordFiles, "write", lambda _self, _directory: hang(freed))
    try:
        with capture_logs() as logged:
            async with tone_peer() as (_, url):
                gateway, port = await start_gateway(url)
                async with RtpCaller(port) as caller:
                    assert await caller.call() == 200
                    await caller.hang_up()
                    running = list(gateway.calls.values())
                async with asyncio.timeout(60):
                    await asyncio.gather(*running)
    finally:
        freed.set()
    (told,) = [line for line in logged if line["event"] == "record_waits"]
    assert told["error"] == "the disk hangs"


def hang(freed: threading.Event) -> None:
    freed.wait(30.0)
