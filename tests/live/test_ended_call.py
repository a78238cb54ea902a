"""What an ended call leaves in memory: nothing, and without the cycle collector's help."""

import asyncio
import gc
import weakref
from contextlib import suppress

import pytest

from bridge.app import loop
from bridge.telephony.endpoint import SipEndpoint
from tests.live.conftest import StartGateway
from tests.live.talk import talking

pytestmark = [pytest.mark.sip, pytest.mark.redis]

PARTS = (
    "_driver",
    "_handlers",
    "_timers",
    "_audio",
    "_upstream",
    "_voice",
    "_handoffs",
    "_tools",
    "_recording",
    "record",
    "supervision",
)


async def test_an_ended_call_is_freed_without_the_collector(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_YOUNG_EVERY_S", 3600.0)
    async with talking(start_gateway, greeting_ms=500) as talk:
        runner = talk.runner
        link = runner._upstream._link
        assert link is not None
        freed = {part: asyncio.Event() for part in (*PARTS, "runner", "session")}
        for part in PARTS:
            weakref.finalize(getattr(runner, part), freed[part].set)
        weakref.finalize(link.session, freed["session"].set)
        weakref.finalize(runner, freed["runner"].set)
        del link
    assert not gc.isenabled()
    del runner
    talk.runner = None  # type: ignore[assignment]  # the last who knows it
    with suppress(TimeoutError):
        async with asyncio.timeout(60):  # tasks that have just ended are let go by the loop
            await asyncio.gather(*(event.wait() for event in freed.values()))
    assert [part for part, event in freed.items() if not event.is_set()] == []


async def test_no_collection_starts_in_pjsips_threads_while_it_goes_down(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection in PJSIP's clock would free its objects there, which ends the process."""
    automatic: list[bool] = []
    stop = SipEndpoint.stop

    def watched(endpoint: SipEndpoint) -> None:
        automatic.append(gc.isenabled())
        stop(endpoint)
        automatic.append(gc.isenabled())

    monkeypatch.setattr(SipEndpoint, "stop", watched)
    async with talking(start_gateway, greeting_ms=500) as talk:
        gateway = talk.gateway
    await gateway.stop()
    assert automatic == [False, False]
    assert gc.isenabled()
