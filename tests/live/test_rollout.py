"""A flag decides which arm a call gets; the other arm rescues it; the AI may be off. Over SIP."""

import json
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from bridge.app import loop
from bridge.app.dialplans.plans import Dialplans
from bridge.app.gateway import Gateway
from bridge.clock import SystemClock
from bridge.config.settings import Settings
from bridge.routing.models import Dialplan
from bridge.routing.rollout.changes import Change, set_share, switch_ai
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.verdict import Badness
from bridge.session.access_reader import read_access
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis
from bridge.store.rollouts import RolloutStore, Signature
from bridge.telemetry.scrape import Scrape
from tests.session.peer import accept
from tests.support.gateways import Record
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]


@asynccontextmanager
async def arm(
    *, dead: bool = False, hangs: bool = False, dies_after_setup: bool = False
) -> AsyncIterator[str]:
    """A Realtime server that takes sessions and says nothing; or none, or leaves at once."""

    def look(peer: ServerConnection, request: Request) -> Response | None:
        return peer.respond(HTTPStatus.SERVICE_UNAVAILABLE, "no\n") if dead else None

    async def talk(peer: ServerConnection) -> None:
        if not hangs:
            await accept(peer)
        if dies_after_setup:
            async for message in peer:
                if "input_audio_buffer.append" in str(message):  # the call is up
                    break
            await peer.close(1011)
            return
        await peer.wait_closed()

    async with serve(talk, "127.0.0.1", 0, process_request=look) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/realtime"


def now_ms() -> int:
    """The controller runs here, too: a step that began long ago would be taken back."""
    return time.time_ns() // 1_000_000


class Site:
    """A gateway with a flag, and its Redis."""

    def __init__(self, gateway: Gateway, port: int, store: RolloutStore, directory: Path) -> None:
        self.gateway, self.port, self.store = gateway, port, store
        self._directory = directory

    async def change(self, change: Change) -> None:
        """Change the flag, and wait until the gateway knows."""
        changed = await self.store.change("f", change, Signature("test"), now_ms())
        assert changed is not None
        flags = self.gateway.rollouts
        assert flags is not None
        version = changed[1].version
        await wait_until(lambda: flags.state("f").version >= version, "the change did not arrive")

    async def call(self, for_s: float = 0.2) -> tuple[int, Record]:
        """Place a call; return its final status and its call detail record."""
        before = len(self._records())
        async with RtpCaller(self.port) as caller:
            status = await caller.call()
            if status == 200:
                packets = len(caller.heard) + round(for_s * 50)
                await caller.until(lambda: len(caller.heard) >= packets)
                await caller.hang_up()
        await wait_until(lambda: len(self._records()) > before, "the call's record was not written")
        return status, self._records()[-1]

    def _records(self) -> list[Record]:
        path = self._directory / "calls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    async def entries(self, count: int) -> list[CallEntry]:
        found: list[CallEntry] = []

        async def come() -> bool:
            found[:] = [entry for _, entry in await self.store.calls("f", "0")]
            return len(found) >= count

        await wait_until(come, "the calls are not in the log")
        return found


def plan_of(**parts: object) -> Dialplan:
    return Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "test",
            "match": [{"called": "*"}],
            "rollout": "f",
            "agent": {"instructions": "Be a test.", "greeting": "Hello."},
            **parts,
        }
    )


@asynccontextmanager
async def site(
    redis: LocalRedis, directory: Path, old: str, new: str, **dialplan: object
) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        link = RedisLink(redis.url, timeout_s=2)
        stack.push_async_callback(link.aclose)
        await link.ask(["FLUSHALL"])
        settings = Settings.model_validate(
            {
                "arms": {"old": {"url": old}, "new": {"url": new}},
                "rollouts": {"f": {"control": "old", "treatment": "new", "rescue_after_s": 1.0}},
                "state_dir": directory / "state",
                "sip": {"host": "127.0.0.1", "port": 0},
                "http": {"port": 0},
                "media": {"recordings_dir": directory},
            }
        )
        gateway = Gateway(
            settings,
            Dialplans((plan_of(**dialplan),), {}),
            read_access(settings.realtime_arms, {}),
            redis.url,
            SystemClock(),
            version="test",
            rollout_secret=b"a secret for tests",
        )
        stack.push_async_callback(gateway.stop)
        addresses = await gateway.start(preflight=False)
        yield Site(
            gateway,
            int(addresses.sip.rsplit(":", 1)[1]),
            RolloutStore(link, settings.redis),
            directory,
        )


@pytest.mark.parametrize("dies_after_setup", [False, True])
async def test_a_call_goes_on_with_the_other_arm_and_the_first_one_is_answerable(
    redis: LocalRedis, tmp_path: Path, dies_after_setup: bool
) -> None:
    async with (
        arm() as old,
        arm(dead=not dies_after_setup, dies_after_setup=dies_after_setup) as new,
        site(redis, tmp_path, old, new) as here,
    ):
        await here.change(lambda state: set_share(state, 100, now_ms()))
        status, record = await here.call(for_s=1.5 if dies_after_setup else 0.2)
        assert status == 200
        assert (record["arm"], record["rescued_by"]) == ("new", "old")
        assert (record["rollout"], record["rollout_reason"]) == ("f", "SPLIT")
        [entry] = await here.entries(1)
        assert (entry.arm, entry.rescued_by, entry.connected) == ("new", "old", False)
        assert entry.bad == {Badness.CONNECTION}
        text = here.gateway.metrics.render()[0].decode()
        code = "close_1011" if dies_after_setup else "http_503"
        assert f'bridge_rescues_total{{arm="new",reason="{code}",to="old"}} 1.0' in text
        assert 'bridge_calls_active{arm="new"} 0.0' in text
        assert 'bridge_flag_evaluations_total{arm="new",reason="SPLIT"} 1.0' in text


async def test_what_the_hung_arm_cost_is_counted_for_it_and_not_for_the_rescuer(
    redis: LocalRedis, tmp_path: Path
) -> None:
    async with (
        arm() as old,
        arm(hangs=True) as new,
        site(redis, tmp_path, old, new) as here,
    ):
        await here.change(lambda state: set_share(state, 100, now_ms()))
        status, record = await here.call()
        assert (status, record["arm"], record["rescued_by"]) == (200, "new", "old")
        scrape = Scrape.parse(here.gateway.metrics.render()[0].decode())
        assert scrape.value("bridge_rescues_total", arm="new", to="old", reason="timeout") == 1
        ended = "bridge_upstream_disconnects_total"
        assert scrape.value(ended, arm="new", phase="close") == 1
        assert scrape.value(ended, arm="old", phase="close") == 1


async def test_a_rescued_call_is_freed_without_the_collector(
    redis: LocalRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_YOUNG_EVERY_S", 3600.0)
    async with (
        arm() as old,
        arm(hangs=True) as new,
        site(redis, tmp_path, old, new) as here,
    ):
        await here.change(lambda state: set_share(state, 100, now_ms()))
        async with RtpCaller(here.port) as caller:
            assert await caller.call() == 200
            [runner] = here.gateway.calls
            assert runner.arm == "old"
            names = ("_driver", "_audio", "_upstream")
            parts = [weakref.ref(getattr(runner, name)) for name in names]
            del runner
            await caller.hang_up()
        await wait_until(
            lambda: all(part() is None for part in parts), "the call is kept by something"
        )


async def test_new_dialplans_and_the_flag_in_force_decide_together(
    redis: LocalRedis, tmp_path: Path
) -> None:
    in_three_days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[
        (time.gmtime().tm_wday + 3) % 7
    ]
    closed = {"say": "We are closed."}
    hours = {"time_zone": "UTC", "open": [{"days": in_three_days}], "closed": closed}
    async with arm() as old, arm() as new, site(redis, tmp_path, old, new) as here:
        await here.change(lambda state: set_share(state, 100, now_ms()))
        assert (await here.call())[1]["arm"] == "new"
        await here.gateway.take_dialplans(Dialplans((plan_of(hours=hours),), {}))
        record = (await here.call())[1]
        assert (record["arm"], record["rollout"], record["reason"]) == ("none", "", "closed")
        await here.gateway.take_dialplans(Dialplans((plan_of(rollout=None, arm="old"),), {}))
        assert (await here.call())[1]["arm"] == "old"
        await here.gateway.take_dialplans(Dialplans((plan_of(),), {}))
        assert (await here.call())[1]["arm"] == "new"


async def test_a_good_call_says_so_and_the_hash_has_the_decision(
    redis: LocalRedis, tmp_path: Path
) -> None:
    async with arm() as old, arm() as new, site(redis, tmp_path, old, new) as here:
        _, record = await here.call()
        assert (record["arm"], record["rescued_by"]) == ("old", "")
        [entry] = await here.entries(1)
        assert (entry.arm, entry.bad, entry.share) == ("old", frozenset(), 0.0)
        link = RedisLink(redis.url, timeout_s=2)
        fields = await link.ask(
            ["HMGET", f"bridge:call:{record['call_id']}", "rollout", "rollout_reason", "arm"]
        )
        await link.aclose()
        assert fields == ["f", "SPLIT", "old"]


async def test_with_the_ai_off_a_call_hears_the_fallback_or_is_refused(
    redis: LocalRedis, tmp_path: Path
) -> None:
    async with arm() as old, arm() as new:
        async with site(redis, tmp_path, old, new, fallback={"say": "We call you back."}) as here:
            await here.change(lambda state: switch_ai(state, on=False))
            status, record = await here.call()
            assert status == 200
            assert (record["arm"], record["reason"]) == ("none", "ai_off")
            assert record["fault"] == "supervisor"
        async with site(redis, tmp_path, old, new) as here:
            await here.change(lambda state: switch_ai(state, on=False))
            status, record = await here.call()
            assert (status, record["reason"]) == (503, "ai_off")
