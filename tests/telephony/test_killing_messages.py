"""Messages that write past PJSIP's tables: refused before, and a call is taken after them.

The builds for use survive the four words that are written past the table, or seem to. The build
with the address sanitizer doesn't (`deploy/pjsip/build --check address`): there the test without
the bounds runs, too.
"""

import asyncio
import subprocess
import sys
from importlib.metadata import version

import pytest

from bridge.telephony import long_messages, request_door
from tests.support.raw_sip import RawSip, Reply, sdp
from tests.telephony.rig import Rig
from tests.telephony.unguarded import KILLING

pytestmark = pytest.mark.sip

with_sanitizer = pytest.mark.skipif(
    "address" not in version("pjsua2-python"), reason="the loaded PJSIP has no address sanitizer"
)


def _child(bounds: str, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.telephony.unguarded", bounds, name]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", KILLING)
def test_a_killing_message_is_refused_and_the_next_call_is_taken(name: str) -> None:
    child = _child("guarded", name)
    assert (child.stdout.split(), child.returncode) == (["488", "200"], 0), child.stderr


@with_sanitizer
@pytest.mark.parametrize("name", KILLING)
def test_without_the_bounds_it_kills(name: str) -> None:
    child = _child("open", name)
    assert child.returncode != 0
    assert "stack-buffer-overflow" in child.stderr
    assert "sdes_encode_sdp" in child.stderr


def _invite(number: int, body: bytes, headers: tuple[str, ...] = ()) -> bytes:
    head = (
        "INVITE sip:support@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/TCP 127.0.0.1:5999;rport;branch=z9hG4bK-stream-{number}",
        f"From: <sip:stream@127.0.0.1>;tag={number}",
        "To: <sip:support@127.0.0.1>",
        f"Call-ID: stream-{number}",
        "CSeq: 1 INVITE",
        "Contact: <sip:stream@127.0.0.1:5999;transport=tcp>",
        "Content-Type: application/sdp",
        *headers,
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def _finals(reader: asyncio.StreamReader, count: int) -> list[Reply]:
    """Read final answers of a connection; all bodies are empty."""
    finals: list[Reply] = []
    while len(finals) < count:
        reply = Reply(await reader.readuntil(b"\r\n\r\n"))
        finals += [reply] if reply.code >= 200 else []
    return finals


@pytest.mark.parametrize("size", [254, 300, 3_000])
async def test_a_host_that_is_too_long_in_the_sdp_ends_no_process(rig: Rig, size: int) -> None:
    """PJSIP with its assertions, such as the wheel, ends the process in `pj_sockaddr_init`."""
    async with RawSip(rig.endpoint.port) as sip:
        far = sdp().replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 " + b"a" * size)
        assert (await sip.talk().invite(far)).code == 488
        await sip.talk().call(sdp())


@pytest.mark.parametrize("at_once", [True, False], ids=["in one piece", "in pieces"])
async def test_in_a_stream_the_bounds_stand_before_pjsips_parser(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    """The door behind the parser is open here, and PJSIP would hand it what it has parsed."""
    monkeypatch.setattr(request_door, "out_of_bounds", lambda data: None)
    rig.take = lambda call: call.leg.reject(486, "Busy Here")
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.endpoint.port)
    much = _invite(1, sdp() + b"m=video 4 RTP/AVP 31\r\n" * 20)
    many = _invite(2, sdp(), ("X: y",) * 300)
    stream = much + many + _invite(3, sdp())
    for begin in range(0, len(stream), len(stream) if at_once else 700):
        writer.write(stream[begin : begin + (len(stream) if at_once else 700)])
        await writer.drain()
        await asyncio.sleep(0)
    answers = await _finals(reader, 3)
    assert {reply.header("Call-ID"): reply.code for reply in answers} == {
        "stream-1": 488,
        "stream-2": 400,
        "stream-3": 486,
    }
    assert len(rig.calls) == 1
    writer.close()


async def test_what_the_stream_lets_through_meets_the_door_behind(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_messages, "out_of_bounds", lambda data: None)
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.endpoint.port)
    writer.write(_invite(1, sdp() + b"m=video 4 RTP/AVP 31\r\n" * 20))
    assert [reply.code for reply in await _finals(reader, 1)] == [488]
    assert rig.calls == []
    writer.close()


TOO_MUCH = {
    "media": b"m=video 4 RTP/AVP 31\r\n" * 20,
    "keys": b"a=CRYPTO:1 X inline:A\r\n" * 40,
}


@pytest.mark.parametrize("much", TOO_MUCH.values(), ids=TOO_MUCH)
@pytest.mark.parametrize("status", ["183 Session Progress", "200 OK"])
async def test_the_far_end_of_a_dialled_call_meets_the_bounds_too(
    rig: Rig, status: str, much: bytes
) -> None:
    async with RawSip(rig.endpoint.port) as sip:
        call = rig.dial(f"sip:raw@127.0.0.1:{sip.port}")
        invite = await sip.reply(lambda message: message.start.startswith("INVITE"))
        assert invite is not None
        kept = [f"{name}: {invite.header(name)}" for name in ("Via", "From", "Call-ID", "CSeq")]
        contact = f"Contact: <sip:raw@127.0.0.1:{sip.port}>"
        kind = "Content-Type: application/sdp"
        head = [f"SIP/2.0 {status}", *kept, f"To: {invite.header('To')};tag=far", contact, kind]

        def answer(body: bytes) -> bytes:
            return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body

        sip.send(answer(sdp() + much))
        assert (await sip.talk().ask("OPTIONS")).code == 200
        assert (call.states, call.media) == ([], [])
        head[0] = "SIP/2.0 200 OK"
        sip.send(answer(sdp()))
        await call.until(lambda: True in call.media, "the good answer")


@pytest.mark.parametrize("method", [b"ACK", b"ack"])
async def test_an_ack_of_no_call_is_never_answered(rig: Rig, method: bytes) -> None:
    """PJSIP 2.15 takes one of another branch for a merged request, and ends the process."""
    rig.take = lambda call: call.leg.reject(486, "Busy Here")
    async with RawSip(rig.endpoint.port) as sip:
        talk = sip.talk()
        assert (await talk.invite(sdp())).code == 486
        ack = talk.request("ACK", sequence=talk.sequence)
        assert b";tag=" not in ack.partition(b"To:")[2].partition(b"\r\n")[0]
        sip.send(ack.replace(b"ACK sip", method + b" sip", 1))
        assert (await sip.talk().ask("OPTIONS")).code == 200
        answers = [reply for reply in sip.replies if reply.header("CSeq").endswith("ACK")]
        assert answers == []
