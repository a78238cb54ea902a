"""Broken SIP by the thousand: datagrams that a seeded generator makes of good ones; fixed cases.

Shares no code with the product.
"""

import random
from collections.abc import Callable, Iterator

from tests.support.raw_sip import sdp
from tests.support.rfc4475 import MESSAGES

_STRANGE = (
    b"A" * 300,
    b"9" * 400,
    b"-1",
    b"4294967296",
    b"18446744073709551616",
    b"%s%s%n%n%x%p",
    b"\x00",
    b"\x00" * 50,
    b"\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf",  # overlong UTF-8
    b"\xff\xfe",
    b"\xd8\x00",
    b"\r\n",
    b"\r\n\r\n",
    b"\r",
    b"\n ",
    b'"',
    b"<<<<",
    b">>>>",
    b";;;;",
    b",,,,",
    b"@@",
    b"::::",
    b"[" * 20,
    b"%00%00",
    b"%zz",
    b"\t\x0b\x0c",
    b"\xe2\x80\xae",  # direction-changing
    b"sip:" * 40,
)


def good_messages(port: int, server_port: int) -> list[bytes]:
    """Return messages to break: requests of each method, with bodies of several kinds."""
    video = "m=video 40002 RTP/AVP 31\r\n"
    audio = "m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
    keys = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\n"
    kind = ("Content-Type: application/sdp",)
    many = (
        "Authorization: Digest username=a, realm=b, nonce=c, uri=d, response=e",
        'Contact: "x" <sip:a@b;transport=udp?x=y>;q=0.5;expires=60, <sip:[::1]:5060>',
        "Record-Route: <sip:a;lr>, <sip:b;lr>",
        "Replaces: 1@b;to-tag=1;from-tag=2",
        "Refer-To: <sip:a@b?Replaces=c%3Bto-tag%3D1>",
        "Session-Expires: 90;refresher=uac",
        "P-Asserted-Identity: <sip:+15550100@a>, <tel:+15550100>",
        "Diversion: <sip:a@b>;reason=busy",
        "Identity: eyJ.eyJ.x;info=<https://a/b>;alg=ES256;ppt=shaken",
        "Supported: 100rel, timer, replaces, path",
        "Event: refer;id=1",
        "Subscription-State: active;expires=60",
        "RAck: 1 1 INVITE",
        "Date: Sat, 13 Nov 2010 23:29:00 GMT",
        'Warning: 307 a "b"',
    )
    part = "--b\r\nContent-Type: application/sdp\r\n\r\n" + sdp().decode() + "\r\n"
    multi = (part * 3 + "--b--\r\n").encode()
    bodies: tuple[tuple[bytes, tuple[str, ...]], ...] = (
        (b"", ()),
        (sdp(audio), kind),
        (sdp(video, audio, video), kind),
        (sdp(audio + keys * 3), kind),
        (multi, ("Content-Type: multipart/mixed;boundary=b",)),
        (b"Signal=5\r\nDuration=160\r\n", ("Content-Type: application/dtmf-relay",)),
    )
    methods = (
        "INVITE INVITE OPTIONS BYE CANCEL ACK INFO UPDATE PRACK REFER NOTIFY SUBSCRIBE MESSAGE"
    )
    made = [
        _request(method, port, server_port, body, (*headers, *some))
        for method in methods.split()
        for body, headers in bodies
        for some in ((), many)
    ]
    return made + [torture.from_here() for torture in MESSAGES]


def _request(
    method: str, port: int, server_port: int, body: bytes, headers: tuple[str, ...]
) -> bytes:
    lines = (
        f"{method} sip:stranger@127.0.0.1:{server_port} SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bK-BRANCH",
        "Max-Forwards: 70",
        f'From: "Stranger" <sip:stranger@127.0.0.1:{port}>;tag=BRANCH',
        f"To: <sip:stranger@127.0.0.1:{server_port}>",
        "Call-ID: BRANCH@127.0.0.1",
        f"CSeq: 1 {method}",
        f"Contact: <sip:stranger@127.0.0.1:{port}>",
        *headers,
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def mutations(good: list[bytes], seed: int, count: int) -> Iterator[bytes]:
    """Yield so many broken datagrams; the same ones for the same seed."""
    chance = random.Random(seed)
    for number in range(count):
        data = chance.choice(good).replace(b"BRANCH", b"m%d-%d" % (seed, number))
        for _ in range(chance.choice((1, 1, 2, 3, 8))):
            data = chance.choice(_BREAKERS)(chance, data)
        yield data[:60_000]


Breaker = Callable[[random.Random, bytes], bytes]


def _place(chance: random.Random, data: bytes) -> int:
    return chance.randrange(len(data) + 1)


def _flip(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 10)) if data else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _insert(chance: random.Random, data: bytes) -> bytes:
    place = _place(chance, data)
    return data[:place] + chance.choice(_STRANGE) + data[place:]


def _at_mark(chance: random.Random, data: bytes) -> bytes:
    """Put something strange beside a separator, where parsers change their state."""
    marks = [place for place, byte in enumerate(data) if byte in b':;=<>@"/,\n ']
    if not marks:
        return data
    place = chance.choice(marks) + chance.randrange(2)
    return data[:place] + chance.choice(_STRANGE) + data[place:]


def _cut(chance: random.Random, data: bytes) -> bytes:
    return data[: _place(chance, data)]


def _remove(chance: random.Random, data: bytes) -> bytes:
    place = _place(chance, data)
    return data[:place] + data[place + chance.choice((1, 2, 10, 100)) :]


def _lines(chance: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            lines[first], lines[second] = lines[second], lines[first]
        case 1:
            lines[first:first] = [lines[second]] * chance.choice((1, 2, 60))
        case 2:
            del lines[first]
        case _:
            name = lines[first].partition(b":")[0]
            lines[first] = name + b": " + chance.choice(_STRANGE) * chance.choice((1, 1, 5))
    return b"\r\n".join(lines)


def _numbers(chance: random.Random, data: bytes) -> bytes:
    digits = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
    if not digits:
        return data
    place = chance.choice(digits)
    huge = (b"-1", b"0", b"65536", b"2147483648", b"4294967295", b"9" * 30, b"")
    return data[:place] + chance.choice(huge) + data[place + 1 :]


def _noise(chance: random.Random, data: bytes) -> bytes:
    return chance.randbytes(chance.choice((0, 1, 31, 33, 200, 1400, 4000, 9000)))


_BREAKERS: tuple[Breaker, ...] = (
    *(_flip, _insert, _at_mark, _at_mark, _cut, _remove, _lines, _lines, _numbers, _numbers),
    _noise,
)


def hostile_cases(port: int, server_port: int) -> dict[str, bytes]:
    """Return what attackers of parsers try first, by name."""
    kind = ("Content-Type: application/sdp",)

    def invite(body: bytes = b"", *headers: str) -> bytes:
        return _request("INVITE", port, server_port, body, headers)

    deep = b"x"
    for level in range(60):
        edge = b"d%d" % level
        deep = b"--%s\r\nContent-Type: multipart/mixed;boundary=d%d\r\n\r\n%s\r\n--%s--\r\n" % (
            *(edge, level - 1, deep, edge),
        )
    many = "".join(f"m=audio {4000 + number} RTP/AVP 0\r\n" for number in range(100))
    formats = "m=audio 4000 RTP/AVP " + " ".join(map(str, range(300))) + "\r\n"
    attributes = "m=audio 4000 RTP/AVP 0\r\n" + "a=x:y\r\n" * 300
    cases = {
        "empty": b"",
        "one-byte": b"\r",
        "only-lines": b"\r\n" * 500,
        "nothing-but-nul": b"\x00" * 4000,
        "longest-datagram": b"A" * 60_000,
        "start-line-alone": b"INVITE sip:a@b SIP/2.0",
        "no-blank-line": invite().rstrip(b"\r\n"),
        "bare-newlines": invite(sdp(), *kind).replace(b"\r\n", b"\n"),
        "bare-returns": invite(sdp(), *kind).replace(b"\r\n", b"\r"),
        "100-m-lines": invite(sdp(many), *kind),
        "300-formats": invite(sdp(formats), *kind),
        "300-attributes": invite(sdp(attributes), *kind),
        "100-crypto": invite(
            sdp(
                "m=audio 4000 RTP/SAVP 0\r\n"
                + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:A\r\n" * 100
            ),
            *kind,
        ),
        "huge-rtpmap": invite(
            sdp(f"m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 {'x' * 900}/1/9\r\n"), *kind
        ),
        "negative-port": invite(sdp("m=audio -1 RTP/AVP 0\r\n"), *kind),
        "huge-port": invite(sdp("m=audio 99999999999 RTP/AVP 0\r\n"), *kind),
        "no-media-line-end": invite(sdp("m=audio"), *kind),
        "ptime-0": invite(sdp("m=audio 4000 RTP/AVP 0\r\na=ptime:0\r\na=maxptime:0\r\n"), *kind),
        "ptime-huge": invite(sdp("m=audio 4000 RTP/AVP 0\r\na=ptime:999999999\r\n"), *kind),
        "deep-multipart": invite(deep, "Content-Type: multipart/mixed;boundary=d59"),
        "multipart-without-edge": invite(b"--\r\n", "Content-Type: multipart/mixed"),
        "multipart-empty-edge": invite(
            b"--\r\n--\r\n", 'Content-Type: multipart/mixed;boundary=""'
        ),
        "long-call-id": invite().replace(b"BRANCH@", b"c" * 3000 + b"@"),
        "long-tag": invite().replace(b"tag=BRANCH", b"tag=" + b"t" * 3000),
        "long-branch": invite().replace(b"bK-BRANCH", b"bK" + b"b" * 3000),
        "long-name": invite().replace(b"Stranger", b"n" * 3000),
        "long-user": invite().replace(b"sip:stranger", b"sip:" + b"u" * 3000),
        "long-method": invite().replace(b"INVITE", b"M" * 1000),
        "long-host": invite().replace(b"Contact: <sip:stranger@", b"Contact: <sip:" + b"h" * 2000),
        "long-header-name": invite(b"", "H" * 3000 + ": x"),
        "format-strings": invite().replace(b"stranger", b"%n%n%s%s%x"),
        "nul-in-user": invite().replace(b"stranger", b"str\x00anger"),
        "overlong-utf-8": invite().replace(
            b"Stranger", b"\xc0\xaf\xe0\x80\x80\xf8\x88\x80\x80\x80"
        ),
        "500-vias": invite(b"", *["Via: SIP/2.0/UDP a"] * 180),
        "500-routes": invite(b"", *["Record-Route: <sip:a;lr>"] * 140),
        "one-route-of-many": invite(b"", "Record-Route: " + ",".join(["<sip:a;lr>"] * 300)),
        "many-contacts": invite(b"", "Contact: " + ",".join(["<sip:a>"] * 400)),
        "many-supported": invite(b"", "Supported: " + ",".join(["x"] * 1000)),
        "many-require": invite(b"", "Require: " + ",".join(["x"] * 1000)),
        "many-accept": invite(b"", "Accept: " + ",".join(["a/b"] * 900)),
        "session-expires-0": invite(sdp(), *kind, "Session-Expires: 0", "Min-SE: 0"),
        "session-expires-huge": invite(sdp(), *kind, "Session-Expires: 99999999999"),
        "max-forwards-huge": invite().replace(b"Forwards: 70", b"Forwards: 99999999999999999999"),
        "length-negative": invite(sdp(), *kind).replace(b"Length: ", b"Length: -"),
        "length-huge": invite(sdp(), *kind).replace(b"Length: ", b"Length: 9999999999999"),
        "folded-for-ever": invite(b"", "Subject: a" + "\r\n b" * 900),
        "only-folds": invite(b"", "\r\n ".join([" "] * 900)),
        "quotes-for-ever": invite(b"", 'Contact: "' + '\\"' * 1500),
        "brackets": invite(b"", "Contact: " + "<" * 1500),
        "ipv6-garbage": invite(b"", "Record-Route: <sip:[::::::::::]:99999;lr>"),
        "response-without-request": b"SIP/2.0 200 OK\r\n" + invite().partition(b"\r\n")[2],
        "response-code-huge": b"SIP/2.0 999999999999 OK\r\n" + invite().partition(b"\r\n")[2],
        "auth-garbage": invite(b"", "Authorization: Digest " + ",".join(["nonce=x"] * 300)),
        "auth-empty": invite(b"", "Authorization: Digest", "Proxy-Authorization: "),
        "stun": b"\x00\x01\x00\x00\x21\x12\xa4\x42" + b"\x00" * 40,
    }
    return {name: data.replace(b"BRANCH", name.encode()) for name, data in cases.items()}
