"""`bridge calls show --sip`: a ladder on a terminal, JSON, whole messages, a capture."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli.main import main
from bridge.clock import SystemClock
from bridge.sip.trace import CallTrace, TracedMessage, encode_trace
from bridge.store.client import RedisLink
from bridge.store.control import Answer
from bridge.store.local import LocalRedis
from tests.console.live import KEYS, Node, a_node, begin_call

CALL = "c_0123456789abcdef"
INVITE = (
    "INVITE sip:support@10.0.0.1 SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n"
    "Content-Type: application/sdp\r\n\r\n"
    "v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n"
)
BUSY = "SIP/2.0 486 Busy Here\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nX-Odd: \x1b[31m\r\n\r\n"


def message(text: str, *, sent: bool, at_ms: int, repeats: bool = False) -> TracedMessage:
    ends = ("10.0.0.1:5060", "192.0.2.7:5066")
    at_ns = (1_790_000_000_000 + at_ms) * 1_000_000
    return TracedMessage(at_ns, sent, "caller", *ends, "TCP", text, repeats)


def refused_call() -> bytes:
    messages = (
        message(INVITE, sent=False, at_ms=0),
        message(BUSY, sent=True, at_ms=31),
        message(BUSY, sent=True, at_ms=531, repeats=True),
    )
    about = {"call_id": CALL, "caller": "sip:+1555@x", "left_out": 0}
    return encode_trace(CallTrace(about, messages))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / f"{CALL}.sip.jsonl").write_bytes(refused_call())
    return tmp_path


@pytest.fixture
async def far(redis: LocalRedis) -> AsyncIterator[Node]:
    """The node of a call, which both are in Redis."""
    link = RedisLink(redis.url, timeout_s=2)
    await link.ask(["FLUSHALL"])
    await link.ask(["HSET", KEYS.node("node-a"), "http", "http://127.0.0.1:9"])
    await link.ask(["ZADD", KEYS.active, "1", CALL])
    await begin_call(link, CALL)
    async with a_node(redis.url, link, SystemClock()) as node:
        yield node
    await link.aclose()


async def ask(redis: LocalRedis, tmp_path: Path, *options: str) -> Result:
    """Show the call from a machine that has none of its files."""
    words = ["calls", "show", CALL[:8], "--sip", "--redis", redis.url, *options]
    nowhere = {"BRIDGE_MEDIA_RECORDINGS_DIR": str(tmp_path / "none"), "BRIDGE_CONFIG": ""}
    return await asyncio.to_thread(CliRunner().invoke, main, words, env=nowhere)


def show(directory: Path, *options: str, columns: int = 80) -> Result:
    words = ["calls", "show", CALL[:8], "--directory", str(directory), *options]
    return CliRunner().invoke(main, words, env={"COLUMNS": str(columns), "BRIDGE_CONFIG": ""})


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_ladder_fits_the_terminal_and_says_who_sent_what(directory: Path, columns: int) -> None:
    shown = show(directory, "--sip", columns=columns)
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert max(map(len, lines)) <= min(columns, 140)
    first, answer, again = (line for line in lines if "|" in line)
    assert "|- INVITE 1" in first
    assert "|<- 486 Busy Here (1" in answer
    assert (first[-3:], answer[-3:]) == ("->|", "--|")
    assert [" 31.0 " in answer, " 531.0 " in again] == [True, True]
    if columns >= 80:
        assert "again" in again
        assert any("caller 192.0.2.7:5066 <-> 10.0.0.1:5060 TCP" in line for line in lines)
        assert "sendrecv PCMU" in first


def test_ladder_as_json_has_the_texts_where_they_are_asked_for(directory: Path) -> None:
    short = json.loads(show(directory, "--sip", "--json").output)
    assert [each["what"] for each in short["messages"]] == [
        *("INVITE", "486 Busy Here (INVITE)", "486 Busy Here (INVITE)")
    ]
    assert [each["repeats"] for each in short["messages"]] == [False, False, True]
    assert "text" not in short["messages"][0]
    whole = json.loads(show(directory, "--sip", "--raw", "--json").output)
    assert whole["messages"][0]["text"] == INVITE


def test_whole_messages_bring_no_control_characters_to_the_terminal(directory: Path) -> None:
    shown = show(directory, "--raw").output
    assert "m=audio 4000 RTP/AVP 0" in shown
    assert "\x1b" not in shown


def test_capture_is_written(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "call.pcap"
    shown = show(directory, "--pcap", str(path))
    assert shown.output.startswith("3 messages in ")
    assert INVITE.encode() in path.read_bytes()


def test_a_call_without_kept_messages_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / f"{CALL}.json").write_text("{}")
    shown = show(tmp_path, "--sip")
    assert shown.exit_code == 2
    assert "no SIP messages" in shown.output
    assert "sip.messages.keep" in shown.output


@pytest.mark.redis
async def test_a_call_elsewhere_is_asked_for_at_its_node(
    far: Node, redis: LocalRedis, tmp_path: Path
) -> None:
    far.answer = Answer(True, result={"trace": refused_call().decode()})
    shown = await ask(redis, tmp_path, "--json")
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.output)["messages"][0]["what"] == "INVITE"
    assert [(each.action, each.call_id) for each in far.commands] == [("sip", CALL)]
    path = tmp_path / "call.pcap"
    assert (await ask(redis, tmp_path, "--pcap", str(path))).output.startswith("3 messages")
    assert INVITE.encode() in path.read_bytes()


@pytest.mark.redis
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer.refused("unknown_call"), "node-a keeps no SIP messages"),
        (Answer.refused("too_late"), "node-a refused (too_late)"),
        (Answer(True), "answered with no SIP messages"),
        (Answer(True, result={"trace": "[]\n"}), "answered with no SIP messages"),
    ],
)
async def test_a_node_without_them_says_so(
    far: Node, redis: LocalRedis, tmp_path: Path, answer: Answer, words: str
) -> None:
    far.answer = answer
    shown = await ask(redis, tmp_path)
    assert (shown.exit_code, words in shown.output) == (3, True), shown.output


@pytest.mark.redis
async def test_a_node_that_is_gone_or_mute_is_named(redis: LocalRedis, tmp_path: Path) -> None:
    link = RedisLink(redis.url, timeout_s=2)
    await link.ask(["FLUSHALL"])
    unknown = await ask(redis, tmp_path)
    assert (unknown.exit_code, "no call known by" in unknown.output) == (2, True)
    await begin_call(link, CALL)
    await link.ask(["ZADD", KEYS.active, "1", CALL])
    gone = await ask(redis, tmp_path)
    assert gone.exit_code == 3
    assert f"node node-a, which took {CALL}, is gone" in gone.output
    await link.ask(["HSET", KEYS.node("node-a"), "http", ""])
    mute = await ask(redis, tmp_path)
    assert (mute.exit_code, "gave no answer in 3 s" in mute.output) == (3, True)
    await link.aclose()
