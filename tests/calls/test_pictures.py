"""Pictures into a call, over real SIP: a tool or a supervisor shows them, the agent speaks of them.

The pictures are drawn here and unpacked by the local server, so what the agent says of colour and
size proves that the bytes arrived. In beta both learn that it can't be done.
"""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import FilePayload, expect

from bridge.audio.resample import downsample_whole
from bridge.speech.synthesis import Synthesizer
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis
from tests.support.browser import keep_screenshot, open_browser, open_page
from tests.support.console_user import ConsoleUser, console_user, sign_in
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, serving, write_dialplan
from tests.support.hook import Hook, hook
from tests.support.pictures import BLUE, RED, as_json, digest, png
from tests.support.processes import SIMULATOR_KEY, simulating, write_yaml
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

QUESTION = "How is my roof?"
AGAIN = "What do you see?"
ROOF = png(64, 48, RED)
DOOR = png(30, 20, BLUE)
SEEN = "I see a red picture of 64 by 48 pixels."
SCENARIO = {
    "name": "eyes",
    "words_per_minute": 200,
    "greeting": "Hello.",
    "fallback": "I can see nothing.",
    "pronunciations": {"roof": "R UW F"},
    "rules": [
        {
            "hears": [QUESTION],
            "say": "One moment.",
            "tool": {"name": "photograph", "arguments": {}},
            "then": "The camera says {image}.",
        },
        {"hears": [AGAIN], "say": "There is {pictures}."},
    ],
}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("simulator")
    with simulating(directory, write_yaml(directory / "eyes.yaml", SCENARIO)) as url:
        yield url


@dataclass
class Talk:
    """A call that goes on, with everybody who is in it."""

    gateway: Gateway
    calls: CallsInRedis
    caller: RtpCaller
    eve: ConsoleUser
    call_id: str
    redis_url: str
    directory: Path

    async def ask(self, question: str) -> None:
        self.caller.speak(downsample_whole(Synthesizer("en-us", 150).say(question)))

    async def said(self, nth: int) -> str:
        return await self.calls.until_spoken(self.call_id, "agent", nth)

    async def shows(self, data: bytes, **more: object) -> dict[str, object]:
        path = f"/api/v1/calls/{self.call_id}/picture"
        return await self.eve.post(path, {"image": as_json(data), **more})

    async def happened(self, kind: str) -> bool:
        return bool(await self.events(kind))

    async def events(self, kind: str) -> list[dict[str, str]]:
        found = await self.calls.reader.events(self.call_id)
        return [fields for _, fields in found if fields["kind"] == kind]


@asynccontextmanager
async def talking(
    simulator: str, redis: LocalRedis, dialect: str, directory: Path, camera: Hook | None = None
) -> AsyncIterator[Talk]:
    """A caller talks to an agent that has a camera for a tool; eve watches."""
    url = "http://127.0.0.1:9/nobody" if camera is None else camera.url
    tool = {
        "name": "photograph",
        "description": "Take a photograph of the caller's house.",
        "webhook": {"url": url, "allow_private": True, "max_response_bytes": 1_048_576},
    }
    with serving(
        directory,
        simulator,
        write_dialplan(directory / "dialplans", {**PLAIN_AGENT, "tools": [tool]}),
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY},
        arms={"local": {"dialect": dialect, "url": simulator, "api_key_env": "SIM_KEY"}},
        console={"enabled": True},
        session={"wire_log_dir": str(directory / "wire")},
    ) as gateway:
        async with (
            CallsInRedis(redis.url) as calls,
            console_user(gateway.http, redis.url, "eve") as eve,
            RtpCaller(gateway.sip_port) as caller,
        ):
            assert await caller.call() == 200
            call_id = await calls.until_active(gateway.node)
            yield Talk(gateway, calls, caller, eve, call_id, redis.url, directory)


async def all_of(redis_url: str) -> str:
    """Return everything that Redis holds, as text."""
    link = RedisLink(redis_url, timeout_s=5)
    try:
        keys = await link.ask(["KEYS", "*"])
        assert isinstance(keys, list)
        found = []
        for key in keys:
            kind = await link.ask(["TYPE", str(key)])
            reads = {
                "string": ["GET", str(key)],
                "hash": ["HGETALL", str(key)],
                "list": ["LRANGE", str(key), "0", "-1"],
                "set": ["SMEMBERS", str(key)],
                "zset": ["ZRANGE", str(key), "0", "-1"],
                "stream": ["XRANGE", str(key), "-", "+"],
            }
            found.append(str(await link.ask(reads[str(kind)])))
        return "\n".join(found)
    finally:
        await link.aclose()


async def entries_of_audit(redis_url: str, call_id: str) -> list[dict[str, str]]:
    """Return what is in the audit of pictures that were shown to a call's agent."""
    link = RedisLink(redis_url, timeout_s=5)
    found: Any = await link.ask(["XRANGE", "bridge:audit", "-", "+"])  # Any: a nested reply
    await link.aclose()
    entries = [dict(zip(words[::2], words[1::2], strict=True)) for _, words in found]
    return [each for each in entries if (each["action"], each.get("call_id")) == ("show", call_id)]


async def assert_nowhere(talk: Talk, *pictures: bytes) -> None:
    """Judge that no picture is in Redis, in a log, or in anything that was written to the disk."""
    texts = {"redis": await all_of(talk.redis_url), "log": talk.gateway.process.stderr}
    for path in talk.directory.rglob("*"):
        if path.is_file():
            texts[str(path)] = path.read_bytes().decode("latin-1")
    assert any("wire" in place for place in texts)
    for data in pictures:
        part = base64.b64encode(data)[20:80].decode()
        assert [place for place, text in texts.items() if part in text] == []


def frames_sent(talk: Talk, kind: str) -> list[dict[str, Any]]:  # Any: JSON
    wire = (talk.directory / "wire" / f"{talk.call_id}.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in wire]
    return [each["raw"] for each in lines if each["direction"] == "sent" and each["type"] == kind]


async def test_agent_speaks_of_the_picture_that_its_tool_gave(
    simulator: str, redis: LocalRedis, dialect: str, tmp_path: Path
) -> None:
    async def answer() -> web.StreamResponse:
        return web.json_response({"taken": "today", "image": as_json(ROOF)})

    async with (
        hook(answer) as camera,
        talking(simulator, redis, dialect, tmp_path, camera) as talk,
    ):
        await talk.ask(QUESTION)
        said = await talk.said(2)
        shown = await talk.events("picture_shown")
        (output,) = await talk.events("tool_output")
        await talk.caller.hang_up()
        record = await talk.gateway.record_of(talk.call_id)
        await assert_nowhere(talk, ROOF)
    assert record["tools"][0]["ok"] is True
    if dialect == "beta":
        assert said == "The camera says not shown: this voice service takes no pictures."
        assert shown == []
        assert "input_image" not in json.dumps(frames_sent(talk, "conversation.item.create"))
        return
    assert said == SEEN
    assert json.loads(output["text"]) == {"taken": "today", "image": "follows in the next message"}
    (event,) = shown
    assert (event["tool"], event["digest"]) == ("photograph", digest(ROOF))
    assert (event["size_bytes"], event["width_px"]) == (str(len(ROOF)), "64")
    picture = frames_sent(talk, "conversation.item.create")[-1]["item"]
    assert picture["role"] == "user"
    assert picture["content"][1] == {
        "type": "input_image",
        "image_url": {"sha256": digest(ROOF), "bytes": len(ROOF)},
    }
    assert record["tokens"]["in"]["image"] + record["tokens"]["cached"].get("image", 0) >= 4


async def test_supervisor_shows_two_pictures_and_each_is_audited(
    simulator: str, redis: LocalRedis, dialect: str, tmp_path: Path
) -> None:
    async with talking(simulator, redis, dialect, tmp_path) as talk:
        first = await talk.shows(ROOF, note="The caller's roof", when="next_turn")
        if dialect == "beta":
            assert (first["accepted"], first["reason"]) == (False, "no_pictures")
        else:
            assert first["accepted"] is True
            assert (await talk.shows(DOOR))["accepted"] is True
            both = "I see a red picture of 64 by 48 pixels and a blue picture of 30 by 20 pixels."
            assert await talk.said(1) == both
        await talk.caller.hang_up()
        record = await talk.gateway.record_of(talk.call_id)
        await assert_nowhere(talk, ROOF, DOOR)
        audited = await entries_of_audit(redis.url, talk.call_id)
    outcome = "refused: no_pictures" if dialect == "beta" else "done"
    assert {each["result"] for each in audited} == {"asked", outcome}
    assert {each["actor"] for each in audited} == {"eve"}
    facts = json.loads(audited[0]["detail"])
    assert (facts["digest"], facts["size_bytes"]) == (digest(ROOF), len(ROOF))
    assert (facts["media_type"], facts["width_px"], facts["height_px"]) == ("image/png", 64, 48)
    if dialect == "beta":
        assert "input_image" not in json.dumps(frames_sent(talk, "conversation.item.create"))
        return
    acts = [(each["by"], each["action"], each["text"]) for each in record["supervised"]]
    assert acts == [("eve", "show", "The caller's roof"), ("eve", "show", "")]


async def test_supervisor_who_has_the_caller_shows_the_agent_a_picture_for_later(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    async with talking(simulator, redis, "ga", tmp_path) as talk:
        async with talk.eve.at_the_microphone(talk.call_id):
            assert (await talk.eve.does(talk.call_id, "take_over"))["accepted"]
            assert (await talk.shows(ROOF))["accepted"]
            assert (await talk.eve.does(talk.call_id, "hand_back", summary="Look."))["accepted"]
        await talk.said(1)
        await talk.ask(AGAIN)
        said = await talk.said(2)
        await talk.caller.hang_up()
    assert said == "There is a red picture of 64 by 48 pixels."


RENEWALS = {
    "renewed before its end": {"session": {"lifetime_s": 12, "told_by": "close"}},
    "lost as the caller asks": {"faults": [{"kind": "drop", "at": "speech"}]},
}


@pytest.mark.parametrize("renewal", RENEWALS.values(), ids=list(RENEWALS))
async def test_picture_is_given_again_to_the_next_session(
    redis: LocalRedis, tmp_path: Path, renewal: dict[str, object]
) -> None:
    path = write_yaml(tmp_path / "short.yaml", {**SCENARIO, **renewal})
    (tmp_path / "simulator").mkdir()
    with simulating(tmp_path / "simulator", path) as simulator:
        async with talking(simulator, redis, "ga", tmp_path / "gateway") as talk:
            assert (await talk.shows(ROOF))["accepted"]
            assert await talk.said(1) == SEEN
            if "session" in renewal:
                await wait_until(lambda: talk.happened("session_restored"), "no other session")
            await talk.ask(AGAIN)
            said = await talk.said(2)
            restored = await talk.happened("session_restored")
            await talk.caller.hang_up()
            await talk.gateway.record_of(talk.call_id)
    assert restored
    assert said == "There is a red picture of 64 by 48 pixels."


@pytest.mark.browser
async def test_supervisor_chooses_a_file_on_the_page_and_the_caller_hears_of_it(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    file: FilePayload = {"name": "roof.png", "mimeType": "image/png", "buffer": ROOF}
    async with talking(simulator, redis, "ga", tmp_path) as talk, open_browser() as browser:
        token, _ = await sign_in(redis.url, "ann")
        url = f"{talk.gateway.http}/calls#{talk.call_id}"
        async with open_page(browser, url, cookies={"bridge_session": token}) as page:
            bar = page.locator("#drawer .actions")
            await bar.get_by_role("button", name="More").click()
            await bar.locator("[data-action=show]").click()
            dialog = page.get_by_role("dialog")
            await dialog.locator("input[type=file]").set_input_files(file)
            await expect(dialog.locator("img.preview")).to_be_visible()
            await dialog.get_by_role("button", name="Show it").click()
            await expect(page.locator("#drawer .transcript")).to_contain_text(
                "showed the AI a picture"
            )
            assert await talk.said(1) == SEEN
            await keep_screenshot(page, "picture-shown", tmp_path, whole=False)
        await talk.caller.hang_up()
