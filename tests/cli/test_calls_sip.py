"""`bridge calls show --sip`: a ladder on a terminal, JSON, whole messages, a capture."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli.main import main
from bridge.sip.trace import CallTrace, TracedMessage, encode_trace

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


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    messages = (
        message(INVITE, sent=False, at_ms=0),
        message(BUSY, sent=True, at_ms=31),
        message(BUSY, sent=True, at_ms=531, repeats=True),
    )
    trace = CallTrace({"call_id": CALL, "caller": "sip:+1555@x", "left_out": 0}, messages)
    (tmp_path / f"{CALL}.sip.jsonl").write_bytes(encode_trace(trace))
    return tmp_path


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
