"""Other dialplans in a gateway that runs: by SIGHUP, by a changed file, and never by a bad one."""

import signal
from pathlib import Path

import pytest

from bridge.audio.resample import downsample_whole
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.support.gateways import (
    PLAIN_AGENT,
    CallsInRedis,
    Gateway,
    serving,
    write_dialplan,
    write_settings,
)
from tests.support.raw_sip import RawSip, sdp
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

QUESTION = "Where is my order?"
ANSWER = "Your order shipped on Monday and should arrive on Thursday."
HELLO = {**PLAIN_AGENT, "greeting": "Good morning."}
LOOKS_S = 15.0
"""Two looks, two seconds each, on a busy machine."""


async def reloaded(gateway: Gateway, result: str, times: int, of: str = "dialplan") -> None:
    """Wait until the dialplans were read again so many times, with that result; or the trunks."""

    async def told() -> bool:
        metrics = await gateway.metrics()
        return metrics.value(f"bridge_{of}_reloads_total", result=result) == times

    await wait_until(told, f"{times} reloads that were {result}")


async def route_of(gateway: Gateway, redis: LocalRedis, called: str) -> str | None:
    """Place a call that is hung up at once; return its dialplan, None where it was refused."""
    async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
        known = await calls.reader.active()
        if await caller.call(called) != 200:
            return None
        call_id = await calls.until_another(known)
        await caller.hang_up()
        return (await calls.until_ended(call_id))["dialplan"]


async def test_dialplans_are_replaced_without_touching_a_live_call(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    plans = write_dialplan(tmp_path / "dialplans", name="old", called="line")
    with serving(tmp_path, simulator, plans, redis_url=redis.url) as gateway:
        async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
            assert await caller.call("line") == 200
            call_id = await calls.until_active(gateway.node)

            # A changed directory is seen by itself.
            (plans / "old.yaml").unlink()
            write_dialplan(plans, HELLO, name="new", called="line")
            await reloaded(gateway, "ok", 1)
            assert await route_of(gateway, redis, "line") == "new"
            await reloaded(gateway, "ok", 0, "trunk")

            # Bad files change nothing, and say what is wrong; the gateway goes on taking calls.
            good = (plans / "new.yaml").read_text()
            (plans / "new.yaml").write_text(good.replace("greeting", "greting"))
            gateway.process.tell(signal.SIGHUP)
            await reloaded(gateway, "failed", 1)
            assert (await gateway.get("/readyz"))[0] == 200
            assert await route_of(gateway, redis, "line") == "new"
            [told] = [
                each for each in gateway.process.logged if each["event"] == "dialplans_not_reloaded"
            ]
            assert "new.yaml:" in str(told["error"])
            assert "did you mean 'greeting'?" in str(told["error"])

            # SIGHUP reads them at once, changed or not.
            (plans / "new.yaml").write_text(good)
            write_dialplan(plans, name="second", called="other")
            gateway.process.tell(signal.SIGHUP)
            await reloaded(gateway, "ok", 2)
            assert await route_of(gateway, redis, "other") == "second"

            # The call from before goes on as it was, on the dialplan that is gone.
            assert not caller.ended.is_set()
            caller.speak(downsample_whole(Synthesizer("en-us", 150).say(QUESTION)))
            assert await calls.until_spoken(call_id, "caller") == QUESTION
            assert await calls.until_spoken(call_id, "agent") == ANSWER
            await caller.hang_up()
            assert (await calls.until_ended(call_id))["dialplan"] == "old"
            # Nothing of its audio was left out meanwhile.
            sequences = [each.sequence for each in caller.heard]
            assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
        metrics = await gateway.metrics()
    assert metrics.value("bridge_store_dropped_writes_total") == 0


async def test_file_that_is_never_good_leaves_the_gateway_as_it_was(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    plans = write_dialplan(tmp_path / "dialplans", name="only", called="line")
    with serving(tmp_path, simulator, plans, redis_url=redis.url) as gateway:
        write_dialplan(plans, name="lost", called="x", arm="nowhere")
        gateway.process.tell(signal.SIGHUP)
        await reloaded(gateway, "failed", 1)
        for path in plans.iterdir():
            path.unlink()
        gateway.process.tell(signal.SIGHUP)
        await reloaded(gateway, "failed", 2)
        assert await route_of(gateway, redis, "line") == "only"
        write_dialplan(plans, name="back", called="line")
        gateway.process.tell(signal.SIGHUP)
        await reloaded(gateway, "ok", 1)
        assert await route_of(gateway, redis, "line") == "back"


async def test_trunks_are_replaced_on_request_together_with_the_dialplans(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    plans = write_dialplan(tmp_path / "dialplans", name="line", called="line")

    def write(trunks: dict[str, object], **more: object) -> None:
        write_settings(tmp_path, simulator, plans, sip={"trunks": trunks, **more})

    with serving(
        *(tmp_path, simulator, plans),
        redis_url=redis.url,
        sip={"trunks": {"old": ["127.0.0.2"]}},
    ) as gateway:

        def logged(event: str) -> list[dict[str, object]]:
            return [each for each in gateway.process.logged if each["event"] == event]

        async with (
            RawSip(gateway.sip_port, "127.0.0.2") as old,
            RawSip(gateway.sip_port, "127.0.0.3") as new,
        ):
            talk = old.talk("line")
            await talk.call(sdp())
            assert (await new.talk("line").invite(sdp())).code == 403

            # A bad file changes nothing, and neither does one that is good without its dialplan.
            write({"new": {"addresses": "127.0.0.3", "transport": "tls"}})
            gateway.process.tell(signal.SIGHUP)
            await reloaded(gateway, "failed", 1)
            await reloaded(gateway, "failed", 1, "trunk")
            assert "wants TLS, new" in str(logged("dialplans_not_reloaded")[0]["error"])
            assert (await new.talk("line").invite(sdp())).code == 403

            # What else has changed is named: it waits for a restart.
            write({"new": ["127.0.0.3"]}, retry_after_s=77)
            gateway.process.tell(signal.SIGHUP)
            await reloaded(gateway, "ok", 1)
            await reloaded(gateway, "ok", 1, "trunk")
            assert logged("settings_wait_for_restart")[0]["settings"] == ["sip.retry_after_s"]
            [told] = logged("trunks_reloaded")
            assert (told["added"], told["removed"], told["changed"]) == (["new"], ["old"], [])
            assert (await old.talk("line").invite(sdp())).code == 403
            other = new.talk("line")
            await other.call(sdp())

            # The call from before is still there.
            assert (await talk.ask("BYE")).code == 200
            assert (await other.ask("BYE")).code == 200
        await gateway.until_active(0)
