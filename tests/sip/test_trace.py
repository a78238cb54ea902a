"""A call's SIP messages: what is taken out, the ladder in short, the capture for Wireshark."""

import json
import struct
import subprocess
import time
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.redaction.kinds import Kind
from bridge.redaction.turns import Redactor
from bridge.sip.cleaning import Cleaner, hidden_in
from bridge.sip.ladder import ladder
from bridge.sip.pcap import encode_pcap
from bridge.sip.trace import CallTrace, TracedMessage, decode_trace, encode_trace
from tests.support.programs import need_program

SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n"
)
SECRET = "8d7f6a5b4c3d2e1f"


def message(
    text: str, *, sent: bool = False, at_ms: int = 0, repeats: bool = False, ipv6: bool = False
) -> TracedMessage:
    far, local = (
        ("[2001:db8::7]:5060", "[::1]:5062") if ipv6 else ("192.0.2.7:5060", "10.0.0.1:5062")
    )
    at_ns = 1_790_000_000_000_000_000 + at_ms * 1_000_000
    return TracedMessage(at_ns, sent, "caller", local, far, "UDP", text, repeats)


def request(method: str, *lines: str, body: str = "", kind: str = "application/sdp") -> str:
    content = [f"Content-Type: {kind}"] if body else []
    head = [
        f"{method} sip:bridge@10.0.0.1:5062 SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1",
        "From: <sip:+15550100@192.0.2.7>;tag=1",
        "To: <sip:bridge@10.0.0.1>",
        "Call-ID: a-call",
        f"CSeq: 7 {method}",
        *lines,
        *content,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", body])


def ok(method: str = "INVITE", body: str = "") -> str:
    return request(method, body=body).replace(
        f"{method} sip:bridge@10.0.0.1:5062 SIP/2.0", "SIP/2.0 200 OK"
    )


def cleaned(text: str, *hidden: str) -> str:
    return Cleaner(lambda value, name: value.replace("card 42", f"[{name}]"), hidden).clean(text)


@pytest.mark.parametrize(
    "line",
    [
        f'Authorization: Digest username="u", response="{SECRET}"',
        f"AUTHORIZATION\t: Digest {SECRET}",
        f"Proxy-Authorization: Digest\r\n  username=u,\r\n\tresponse={SECRET}",
        f"Authentication-Info: rspauth={SECRET}",
        f"X-A: 1\rAuthorization: Digest {SECRET}",
        f"X-A: 1\nProxy-Authorization: Digest {SECRET}\rX-B: 2",
        f"no header at all {SECRET}",
        f"X-Bridge-Ticket: {SECRET}",
    ],
)
def test_credentials_are_taken_out_whatever_their_line_looks_like(line: str) -> None:
    kept = cleaned(request("INVITE", line, "Subject: card 42", body=SDP))
    assert SECRET not in kept
    assert "[subject]" in kept
    assert kept.endswith(SDP)


@pytest.mark.parametrize(
    "line",
    [
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SECRET}|2^20",
        f"a=crypto: {SECRET}",
        f"A = CRYPTO : 1  AES_CM_128_HMAC_SHA1_32  inline:{SECRET}",
        f"k=clear:{SECRET}",
        f"a=key-mgmt:mikey {SECRET}",
        f"a=ice-pwd:{SECRET}",
    ],
)
@pytest.mark.parametrize("ends", ["\r\n", "\n", "\r"])
def test_keys_are_taken_out_of_session_descriptions(line: str, ends: str) -> None:
    body = SDP.replace("\r\n", ends) + f"{line}{ends}a=mid:0{ends}"
    kept = cleaned(request("INVITE", body=body))
    assert SECRET not in kept
    assert f"{ends}a=mid:0{ends}" in kept
    head, _, left = kept.partition("\r\n\r\n")
    assert head.endswith(f"Content-Length: {len(left.encode())}")


@pytest.mark.parametrize("kind", ["application/dtmf-relay", "text/plain", "multipart/mixed", ""])
def test_bodies_of_other_types_are_taken_out(kind: str) -> None:
    kept = cleaned(request("INFO", body=f"Signal={SECRET}", kind=kind))
    assert SECRET not in kept
    assert "taken out]" in kept


def test_a_caller_with_a_short_number_is_hidden_and_the_message_stays_readable() -> None:
    invite = request("INVITE").replace("+15550100@", "100@").replace("<sip:100", "Ada <sip:100")
    names = hidden_in(invite)
    assert names >= {"100", "Ada"}
    kept = cleaned(f"SIP/2.0 100 Trying\r\n{invite.partition(chr(10))[2]}", *names)
    assert kept.startswith("SIP/2.0 100 Trying")
    assert "anonymous <sip:anonymous@192.0.2.7>" in kept


def test_a_message_without_secrets_stays_as_it_is() -> None:
    whole = request("INVITE", "X-Mixed:  as it is ", body=SDP)
    assert cleaned(whole) == whole


def test_file_holds_what_it_was_given_even_bytes_that_are_no_text() -> None:
    odd = b"INVITE sip:\xff\xfe SIP/2.0\r\n\r\n".decode("utf-8", "surrogateescape")
    trace = CallTrace(
        {"call_id": "c_1"}, (message(odd), message(ok(), sent=True), message(odd, repeats=True))
    )
    content = encode_trace(trace)
    assert decode_trace(content) == trace
    assert len(content) < len(encode_trace(CallTrace({}, trace.messages[:2]))) + 250
    torn = decode_trace(content[:-30])
    assert torn.messages == trace.messages[:2]


def test_ladder_says_each_message_in_short() -> None:
    rows = ladder(
        [
            message(request("INVITE", body=SDP)),
            message(ok(body=SDP), sent=True, at_ms=12),
            message(ok(body=SDP), sent=True, at_ms=512, repeats=True),
            message(request("BYE", 'Reason: Q.850;cause=16;text="Bye"'), at_ms=2_000),
            message("garbage", at_ms=2_001),
        ]
    )
    assert [row.what for row in rows] == [
        *("INVITE", "200 OK (INVITE)", "200 OK (INVITE)", "BYE", "unreadable")
    ]
    assert rows[0].media == "sendonly PCMU,telephone-event 192.0.2.9:4000"
    assert [row.after_ms for row in rows] == [0, 12, 512, 2_000, 2_001]
    assert [row.repeats for row in rows] == [False, False, True, False, False]
    assert rows[3].reason == 'Q.850;cause=16;text="Bye"'
    assert json.loads(json.dumps(rows[0].as_json()))["cseq"] == "7"


def packets(content: bytes) -> list[bytes]:
    """Read a capture (pcap, microseconds, raw IP)."""
    assert struct.unpack("<IHHiIII", content[:24])[::6] == (0xA1B2C3D4, 101)
    found, at = [], 24
    while at < len(content):
        _, micros, kept, whole = struct.unpack("<IIII", content[at : at + 16])
        assert kept == whole
        assert micros < 1_000_000
        found.append(content[at + 16 : at + 16 + kept])
        at += 16 + kept
    return found


def adds_up(data: bytes) -> bool:
    """Return whether data that holds its own checksum is whole (RFC 1071)."""
    total = sum(
        int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2)
    )
    return total % 0xFFFF == 0


def test_capture_has_right_headers_and_checksums_in_both_families() -> None:
    first, second, third = packets(
        encode_pcap(
            [
                message(request("INVITE")),
                message(ok() + "x", sent=True),
                message(ok(), sent=True, ipv6=True),
            ]
        )
    )
    for packet in (first, second):
        assert adds_up(packet[:20])
        assert int.from_bytes(packet[2:4], "big") == len(packet)
        pseudo = packet[12:20] + b"\0\x11" + packet[24:26]
        assert adds_up(pseudo + packet[20:])
    assert [str(ip_address(first[a:b])) for a, b in ((12, 16), (16, 20))] == [
        "192.0.2.7",
        "10.0.0.1",
    ]
    assert struct.unpack("!HH", second[20:24]) == (5062, 5060)
    assert first[28:].decode() == request("INVITE")
    assert str(ip_address(third[24:40])) == "2001:db8::7"
    assert adds_up(third[8:40] + b"\0\0" + third[44:46] + b"\0\0\0\x11" + third[40:])


def test_wireshark_reads_the_capture(tmp_path: Path) -> None:
    tshark = need_program("tshark", "tshark")
    path = tmp_path / "call.pcap"
    offer = request("INVITE", body=SDP)
    path.write_bytes(
        encode_pcap(
            [
                message(offer),
                message(ok(body=SDP), sent=True, at_ms=20),
                message(ok("BYE"), sent=True, at_ms=40, ipv6=True),
            ]
        )
    )
    fields = ("sip.Method", "sip.Status-Code", "sip.CSeq.seq", "sdp.media.port", "_ws.expert")
    checks = ("-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")
    told = subprocess.run(
        [tshark, "-r", str(path), *checks, "-T", "fields", *(w for f in fields for w in ("-e", f))],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    assert [line.split("\t")[:4] for line in told] == [
        ["INVITE", "", "7", "4000"],
        ["", "200", "7", "4000"],
        ["", "200", "7", ""],
    ]
    bad = subprocess.run(
        [tshark, "-r", str(path), *checks, "-Y", "ip.checksum.status==0 || udp.checksum.status==0"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert bad == ""


HOSTILE = (
    "From: " + "a " * 8_000,
    'From: "' + "\\\\" * 8_000,
    "Contact: " + "sip:" * 4_000,
    "X-Digits: " + "4 1-" * 4_000,
    "a:" * 8_000,
    " " * 16_000,
    "\r\n" * 8_000,
    "v:" + "\n" * 16_000,
    "a=crypto:" + " " * 16_000,
    "m=audio " + "0 " * 8_000,
    "a=rtpmap:" * 1_600,
)


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("in_body", [False, True])
def test_no_message_takes_long_to_clean(line: str, in_body: bool) -> None:
    """A regular expression holds the interpreter, and with it the audio of all calls."""
    text = request("INVITE", body=SDP + line) if in_body else request("INVITE", line, body=SDP)
    redactor = Redactor(frozenset(Kind))
    began_s = time.thread_time()
    names = hidden_in(text)
    kept = Cleaner(redactor.redact_header, names).clean(text)
    ladder([message(kept)])
    assert time.thread_time() - began_s < 0.25


@given(st.text(alphabet='aINVTE sip:@<>"=;,\r\n\t0123\udcff\xff', max_size=300), st.booleans())
def test_any_text_can_be_cleaned_kept_and_drawn(noise: str, after: bool) -> None:
    text = request("INVITE", noise, body=SDP) if after else noise
    kept = Cleaner(lambda value, name: value, hidden_in(text)).clean(text)
    trace = CallTrace({}, (message(kept),))
    assert decode_trace(encode_trace(trace)) == trace
    (row,) = ladder(trace.messages)
    json.dumps(row.as_json()).encode()
    assert len(packets(encode_pcap(trace.messages))) == 1
