"""The SIP messages of calls, as they are kept beside the records: looked at by the peer's bytes."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.app.gateway import Gateway
from tests.live.conftest import StartGateway
from tests.live.service import tone_service
from tests.live.sip_kept import Line, kept, short
from tests.support.raw_phone import RawPhone, sdp
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]

KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"


async def test_whole_messages_of_a_call_are_kept_as_they_passed_the_wire(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(url)
        async with RawPhone(port) as phone:
            phone.acknowledges = False
            call = await phone.invite().answered()
            (runner,) = gateway.calls
            await call.until(lambda: len(call.finals("INVITE")) > 1)
            call.acknowledge(call.finals("INVITE")[0])
            assert await call.bye() == 200
            about, messages = await kept(tmp_path, runner.call_id)
            took = short(messages)
            assert took[0] == (">", "INVITE")
            again = [m for m in messages if "repeats" in m]
            assert short(again) == [("<", "200 INVITE")] * (took.count(("<", "200 INVITE")) - 1)
            assert again
            assert took[-2:] == [(">", "BYE"), ("<", "200 BYE")]
            assert [m["text"] for m in messages if m["sent"]] == [m.text for m in call.messages]
            assert messages[0]["text"] == call.last_invite
            ends = {(m["far_end"], m["local"], m["transport"], m["party"]) for m in messages}
            place = (f"127.0.0.1:{phone.port}", f"127.0.0.1:{port}", "UDP", "caller")
            assert ends == {place}
            times = [m["at_ns"] for m in messages]
            assert times == sorted(times)
    assert about["call_id"] == runner.call_id
    assert "raw@127.0.0.1" in about["caller"]


async def test_credentials_keys_digits_and_foreign_bodies_are_taken_out(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    offer = (
        sdp(40_000)
        + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4\r\n"
        + f"k=base64:{KEY}\r\na=ice-pwd:{KEY}\r\n"
    )
    secret = (
        f'Authorization: Digest username="u",\r\n  response="{KEY}"',
        f'proxy-authorization : Digest response="{KEY}"',
        "X-Account: account number 4111111111111111",
    )
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(url)
        async with RawPhone(port) as phone:
            call = await phone.invite(offer, secret).answered()
            (runner,) = gateway.calls
            relay = ["Content-Type: application/dtmf-relay"]
            call.send("INFO", "Signal=7\r\nDuration=160\r\n", relay)
            await call.final("INFO")
            await call.bye()
        _, messages = await kept(tmp_path, runner.call_id)
    whole = "".join(m["text"] for m in messages)
    assert KEY not in whole
    assert "4111111111111111" not in whole
    assert "Signal=7" not in whole
    assert "a=crypto:1 AES_CM_128_HMAC_SHA1_80 [taken out]" in whole
    assert "Authorization: Digest [taken out]" in whole
    assert (">", "INFO") in short(messages)


async def ask(gateway: Gateway, directory: Path, *words: str) -> Any:  # Any: JSON
    """Return what `bridge calls` says on another machine, by Redis alone."""
    env = os.environ | {"BRIDGE_MEDIA_RECORDINGS_DIR": str(directory / "none")}
    asking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "calls", *words, "--json", "--redis", gateway._redis_url),
        stdout=asyncio.subprocess.PIPE,
        env=env,
    )
    said = json.loads((await asking.communicate())[0])
    assert asking.returncode == 0
    return said


async def show(gateway: Gateway, call_id: str, directory: Path) -> list[Line]:
    shown = await ask(gateway, directory, "show", call_id, "--raw")
    assert shown["call_id"] == call_id
    messages: list[Line] = shown["messages"]
    return messages


async def test_a_call_that_goes_on_is_shown_as_clean_as_one_that_is_over(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    """While it talks, just after its end, and once its file is written."""
    offer = sdp(40_000) + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4\r\n"
    secret = (
        f'Authorization: Digest username="u", response="{KEY}"',
        "Privacy: id",
        "X-Account: account number 4111111111111111",
    )
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(url)
        async with RawPhone(port, user="+15550100177") as phone:
            call = await phone.invite(offer, secret).answered()
            (runner,) = gateway.calls
            call.send(
                "INFO", "Signal=7\r\nDuration=160\r\n", ["Content-Type: application/dtmf-relay"]
            )
            await call.final("INFO")
            going_on = await show(gateway, runner.call_id, tmp_path)
            await call.bye()
            ended = await show(gateway, runner.call_id, tmp_path)
            await kept(tmp_path, runner.call_id)
            stored = await show(gateway, runner.call_id, tmp_path)
    assert short(going_on)[0] == (">", "INVITE")
    assert short(going_on)[-2:] == [(">", "INFO"), ("<", "200 INFO")]
    assert short(ended)[-2:] == short(stored)[-2:] == [(">", "BYE"), ("<", "200 BYE")]
    assert [m["text"] for m in going_on] == [m["text"] for m in stored[: len(going_on)]]
    for each in ("".join(m["text"] for m in found) for found in (going_on, ended, stored)):
        for secret_word in (KEY, "4111111111111111", "Signal=7", "5550100177"):
            assert secret_word not in each
        assert "Authorization: Digest [taken out]" in each


async def test_a_caller_who_asks_for_privacy_is_named_nowhere(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    hidden = (
        "Privacy: id",
        'P-Asserted-Identity: "Ada Byron" <sip:+15550100199@carrier.example>',
    )
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(url)
        async with RawPhone(port, user="+15550100177") as phone:
            call = await phone.invite(more=hidden).answered()
            (runner,) = gateway.calls
            runner.shut_down()
            await call.until(lambda: call.requests("BYE"))
        content = (await kept(tmp_path, runner.call_id))[1]
    whole = "".join(m["text"] for m in content)
    assert ("<", "BYE") in short(content)
    for name in ("5550100177", "5550100199", "Ada Byron"):
        assert name not in whole


async def test_a_call_that_is_taken_back_is_kept_to_its_last_ack(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    async with tone_service() as (service, url):
        service.refusals.append(3_600.0)
        gateway, port = await start_gateway(url)
        async with RawPhone(port) as phone:
            call = phone.invite()
            await call.until(lambda: call.messages)
            (runner,) = gateway.calls
            branch = call.last_invite.partition("branch=")[2].partition(";")[0]
            phone.transmit(call.compose("CANCEL", branch=branch))
            assert await call.final() == 487
            _, messages = await kept(tmp_path, runner.call_id)
    took = short(messages)
    assert (">", "CANCEL") in took
    assert took.index(("<", "487 INVITE")) < took.index((">", "ACK"))


async def test_invites_that_became_no_call_are_shown_by_trunk_and_answer(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    sip = {
        "trunks": {"carrier": {"addresses": ["127.0.0.1"]}, "phones": {"addresses": []}},
        "users": {"phone": {"trunk": "phones", "sha256": "0" * 64}},
    }
    offers = {
        "carrier 404 No Dialplan": ("127.0.0.1", "elsewhere", ""),
        "carrier 488 Not Acceptable Here": (
            *("127.0.0.1", "support"),
            sdp(40_000).replace("AVP 0 101", "AVP 18").replace("rtpmap:0 PCMU", "rtpmap:18 G729"),
        ),
        " 401 Unauthorized": ("127.0.0.9", "support", ""),
    }
    secret = (
        f'Authorization: Digest username="phone", response="{KEY}"',
        "X-Card: 4111111111111111",
    )
    dialplan = {"match": [{"called": "support"}]}
    gateway, port = await start_gateway("ws://127.0.0.1:9", dialplan=dialplan, sip=sip)
    for name, (host, called, body) in offers.items():
        async with RawPhone(port, host) as phone:
            call = phone.call(called)
            call.invite(body, secret)
            assert str(await call.final()) in name
    (node,) = await ask(gateway, tmp_path, "refused", "--raw")
    found = {f"{each['trunk']} {each['answer']}": each["refused"] for each in node["groups"]}
    assert found == dict.fromkeys(offers, 1)
    assert {f"{each['trunk']} {each['answer']}" for each in node["traces"]} == set(offers)
    for trace in node["traces"]:
        assert short(trace["messages"])[0] == (">", "INVITE")
        whole = "".join(each["text"] for each in trace["messages"])
        assert "Authorization: Digest [taken out]" in whole
        assert (KEY in whole, "4111111111111111" in whole) == (False, False)
    (node,) = await ask(gateway, tmp_path, "refused", "--trunk", "carrier", "--answer", "404")
    assert [(each["trunk"], each["answer"]) for each in node["groups"]] == [
        ("carrier", "404 No Dialplan")
    ]
    assert node["traces"] == []


async def test_a_flood_in_a_dialog_fills_neither_memory_nor_the_disk(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    bounds = {"per_call": 40, "per_call_kib": 64}
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(url, sip={"messages": bounds})
        async with RawPhone(port) as phone:
            call = await phone.invite().answered()
            (runner,) = gateway.calls
            for number in range(150):
                call.send("OPTIONS", more=[f"X-Load: {'x' * 3_000}"])
                if number % 25 == 24:
                    await call.until(lambda: len(call.finals("OPTIONS")) > number)  # noqa: B023
            assert gateway._endpoint.traces.kept_bytes < 64 * 1024 + 8 * 1024
            await call.bye()
            about, messages = await kept(tmp_path, runner.call_id)
            await wait_until(
                lambda: gateway._endpoint.traces.kept_bytes == 0, "messages stay in memory"
            )
    assert len(messages) <= 40
    assert (tmp_path / f"{runner.call_id}.sip.jsonl").stat().st_size < 100_000
    took = short(messages)
    assert took[0] == (">", "INVITE")
    assert took[-2:] == [(">", "BYE"), ("<", "200 BYE")]
    assert about["left_out"] >= 260
    assert sum(m["left_out"] for m in messages) == about["left_out"]
