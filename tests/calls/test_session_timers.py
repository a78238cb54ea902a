"""Session timers (RFC 4028) that fail end a call, with an outcome of its own; others keep it.

The callers are bare sockets that share no code with the product, and send no RTP. The shortest
interval that RFC 4028 allows is 90 s (section 5), so this takes more than a minute.
"""

import asyncio
import time
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis
from tests.live.service import tone_service
from tests.support.gateways import CallsInRedis, serving, write_dialplan
from tests.support.raw_phone import RawCall, RawPhone

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.slow]

INTERVAL_S = 90
REFRESHED_AFTER_S = INTERVAL_S / 2
"""RFC 4028 section 10: the refresher's time."""
UNANSWERED_AFTER_S = REFRESHED_AFTER_S + 32
"""Timer F (RFC 3261 section 17.1.2.2). One that is forgotten ends in between (RFC 4028 section 10):
before the interval's end by the smaller of 32 s and a third of it."""
PATIENCE_S = 24.0

BY_US, BY_THEM = "uas", "uac"


class Caller:
    """A call of which the session timer runs.

    Args:
        refresher: who has to refresh it.
        refreshed: what requests of the gateway are answered with; 0 is silence.
        updates: it takes UPDATE, else it is refreshed by re-INVITE.
    """

    def __init__(
        self, phone: RawPhone, refresher: str, refreshed: int = 200, *, updates: bool = True
    ) -> None:
        self.refresher = refresher
        self._phone = phone
        self._methods = "INVITE, ACK, CANCEL, BYE, OPTIONS" + ", UPDATE" * updates
        self._answers = {"UPDATE": refreshed, "INVITE": refreshed}
        self.call: RawCall
        self._began_s = 0.0

    async def begin(self) -> None:
        """Have the call up, with the timer that was asked for."""
        self.call = self._phone.invite(
            more=[
                "Supported: timer",
                f"Allow: {self._methods}",
                f"Session-Expires: {INTERVAL_S};refresher={self.refresher}",
            ]
        )
        self.call.answers = self._answers
        await self.call.answered()
        self._began_s = time.monotonic()
        agreed = self.call.finals("INVITE")[0].header("Session-Expires")
        assert agreed.replace(" ", "") == f"{INTERVAL_S};refresher={self.refresher}"

    async def until_ended(self) -> float:
        """Wait for the gateway's BYE; return the call's length in seconds."""
        await self.call.until(lambda: self.call.requests("BYE"), UNANSWERED_AFTER_S + PATIENCE_S)
        return time.monotonic() - self._began_s


@pytest.mark.timeout(300)
async def test_a_call_ends_where_its_session_is_not_refreshed_and_stays_where_it_is(
    tmp_path: Path, redis: LocalRedis
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans", caller_silence={"enabled": False})
    async with tone_service() as (_, url):
        with serving(
            tmp_path,
            url,
            dialplans,
            preflight=False,
            redis_url=redis.url,
            sip={"far_end_silent_s": None},
        ) as gateway:
            async with RawPhone(gateway.sip_port) as phone:
                gone = Caller(phone, BY_US, 481, updates=False)
                mute = Caller(phone, BY_US, 0)
                forgetful = Caller(phone, BY_THEM)
                there = Caller(phone, BY_US)
                for caller in (gone, mute, forgetful, there):
                    await caller.begin()
                lengths_s = await asyncio.gather(
                    gone.until_ended(), mute.until_ended(), forgetful.until_ended()
                )
                gone_s, mute_s, forgetful_s = lengths_s
                # After 45, 60 and 77 s; the last call's UPDATE came in its time, too.
                assert gone_s < forgetful_s < mute_s
                assert there.call.requests("UPDATE")
                assert not there.call.requests("BYE")
                assert await there.call.bye() == 200
                records = await gateway.records(4)
                endings = {
                    record["sip_call_id"]: (record["outcome"], record["fault"], record["reason"])
                    for record in records
                }
                lost = ("caller_lost", "carrier", "no_answer")
                assert [endings[caller.call.call_id] for caller in (gone, mute, forgetful)] == [
                    lost
                ] * 3
                assert endings[there.call.call_id][0] == "completed"
            async with CallsInRedis(redis.url) as calls:
                for record in records:
                    state = await calls.until_ended(record["call_id"])
                    assert state["outcome"] == record["outcome"]
