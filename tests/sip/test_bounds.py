"""What a SIP message may hold: each bound, a message at it and one past it, as PJSIP would read."""

from collections.abc import Callable

import pytest

from bridge.sip.bounds import BOUNDS, Bound, passed_bound

SDP_HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
AUDIO = b"m=audio 4000 RTP/AVP 0\r\n"


def message(body: bytes = SDP_HEAD + AUDIO, headers: bytes = b"") -> bytes:
    head = b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c\r\nContent-Type: application/sdp\r\n"
    return head + headers + b"\r\n" + body


def multipart(parts: int, edge: bytes = b"--b") -> bytes:
    kind = b"c:multipart/mixed;boundary=b\r\n"
    return message((edge + b"\r\n\r\nx\r\n") * (parts - 1) + b"--b--\r\n", kind)


WRITERS: dict[str, Callable[[int], bytes]] = {
    "headers": lambda count: message(headers=b"X: y\r\n" * (count - 2)),
    "header_name": lambda count: message(headers=b"X" * count + b": y\r\n"),
    "multiparts": lambda count: message(headers=b"Content-Type: multipart/mixed\r\n" * count),
    "parts": multipart,
    "media": lambda count: message(SDP_HEAD + AUDIO * count),
    "address": lambda count: message(b"v=0\r\nc=IN IP4 " + b"1" * count + b"\r\n" + AUDIO),
    "attributes": lambda count: message(SDP_HEAD + AUDIO + b"a=x:y\r\n" * count),
    "keys": lambda count: message(SDP_HEAD + AUDIO + b"a=crypto:1 A inline:b\r\n" * count),
}


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_a_message_may_go_up_to_a_bound_and_not_past_it(bound: Bound) -> None:
    write = WRITERS[bound.name]
    assert passed_bound(write(bound.most)) is None
    assert passed_bound(write(bound.most + 1)) is bound
    assert passed_bound(write(bound.most + 1).replace(b"\r\n", b"\n")) is bound


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (b"a=CRYPTO:1 A inline:b\r\n", "keys"),
        (b"a= crypto:1 A inline:b\r\n", "keys"),
        (b"a=\tCrypto:1 A inline:b\r\n", "keys"),
        (b"a=crypto:1 A inline:b\r", "keys"),
        (b"m=audio 4000 RTP/AVP 0\n", "media"),
        (b"m=audio 4000 RTP/AVP 0\r", "media"),
    ],
)
def test_what_pjsip_reads_leniently_is_counted(written: bytes, name: str) -> None:
    bound = passed_bound(message(SDP_HEAD + AUDIO + written * 65))
    assert bound is not None
    assert bound.name == name


@pytest.mark.parametrize("begin", [b"c=IN IP4 ", b"a=rtcp:9 IN IP4 ", b"C=IN IP4\t\x0b"])
def test_an_address_is_measured_where_pjsip_looks_it_up(begin: bytes) -> None:
    bound = passed_bound(message(SDP_HEAD + AUDIO + begin + b"a" * 254 + b"\r\n"))
    assert bound is not None
    assert bound.name == "address"
    assert passed_bound(message(SDP_HEAD + AUDIO + b"a=x:" + b"a" * 254 + b"\r\n")) is None


def test_where_the_body_begins_makes_no_difference() -> None:
    """A reader that takes the empty line elsewhere meets the same count."""
    assert passed_bound(b"INVITE sip:a@b SIP/2.0\r\n" + AUDIO * 17) is not None
    assert passed_bound(multipart(65, b"--x\r\n--b")) is not None


def test_an_offer_of_a_browser_and_an_invite_through_proxies_keep_to_the_bounds() -> None:
    video = b"m=video 9 UDP/TLS/RTP/SAVPF 96 97 98\r\n" + b"a=rtpmap:96 VP8/90000\r\n" * 90
    via = b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nRecord-Route: <sip:192.0.2.1;lr>\r\n"
    assert passed_bound(message(SDP_HEAD + AUDIO + video * 3, via * 70)) is None
