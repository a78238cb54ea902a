"""Writes malformed INVITEs in the manner of the PROTOS suite c07-sip, and their CANCEL and ACK.

Each element of an INVITE and of its SDP, separators too, gets every anomaly of its kind: what
overflows, is empty, is repeated, counts too far, formats, isn't UTF-8 or no address. Beyond that
suite: other headers, and lines that are missing or stand a hundred times. The order is fixed.
The suite's groups are public; its messages are not used here. Shares no code with the product.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, product
from types import MappingProxyType
from typing import Self

MOST_BYTES = 65_507
"""Of a datagram over IPv4."""

_LONG = (17, 33, 65, 129, 257, 513, 1_025, 2_049, 3_000, 4_097, 8_193, 16_385, 32_769, 65_537)
"""One past what tables usually have; the last one is more than a datagram holds."""
_SEPARATORS = (*" \t\0<>@=:;,\"'%&?/\\.()[]*#", "\r\n", "\r\n ", "%00", "..", "();")
_OVERFLOWS = (
    *("a" * size for size in _LONG),
    *(text * size for size, text in product((1, 2, 65, 257, 1_025), _SEPARATORS)),
)
_FORMATS = tuple(
    each * count
    for count in (1, 20, 200)
    for each in ("%s", "%n", "%x", "%d", "%p", "%999999d", "%.9999s", "%08x%n")
)
_BYTES = tuple(
    data.decode("latin-1")
    for data in (
        *(b"\x00", b"a\x00b", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\x80", b"\xbf", b"\x7f"),
        *(b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf"),
        *(b"\xfc\x80\x80\x80\x80\xaf", b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xa0\x80\xed\xb0\x80"),
        *(b"\xf4\x90\x80\x80", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xef\xbb\xbfa"),
        *(b"\xe2\x80\xae", b"\xef\xbf\xbf", "\u5927\u505c".encode(), "\xe4\xdf".encode()),
        *(b"\x1b[2J", b"\x1b[31m", b"\x1b]0;x\x07", b"\x1b" * 300),
        bytes(range(1, 32)),
        bytes(range(128, 256)),
        *(b"\xc0\xae" * 200, b"\xf0\x9f" * 1000, b"\xff" * 2000),
    )
)
_INTEGERS = (
    *("-1", "0", "00000000000000000001", "+1", "1e9", "0x7fffffff", "127", "128", "255", "256"),
    *("32767", "32768", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296"),
    *("-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "1.5", "-0"),
    *("18446744073709551615", "18446744073709551616", "-9223372036854775809", "1 1", "a", "1a"),
    *("", " ", "\xb2", *("9" * size for size in _LONG), *("0" * size + "1" for size in _LONG)),
)
_ADDRESSES = (
    *("0.0.0.0", "255.255.255.255", "256.256.256.256", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3"),
    *("1..2.3", "...", "-1.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "224.0.0.1"),
    *("127.0.0.1.", "4294967296.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1/8", "a..b"),
    *("-", "[", "[]", "[::", "[::1]", "[::1]:99999", "::1", "[1:2:3:4:5:6:7:8:9]", "[fe80::1%lo]"),
    *("%s.%s.%s.%s", "%n", " ", "", "localhost", "a b", "xn--a", "\xe4.example", "\x00"),
    *(".".join(["127"] * size) for size in (5, 64, 1_000)),
    *(f"{'1' * size}.0.0.1" for size in _LONG),
    *("a" * size for size in _LONG),
    *(f"[{':' * size}]" for size in (2, 8, 65, 1_025)),
)
_URIS = (
    *("", " ", "*", ":", "sip", "sip:", "sip:@", "sip::", "sip:a@", "sip:@b", "sip:a@b:", "tel:"),
    *(
        "sip:a@b;;",
        "sip:a@b;=",
        "sip:a@b?",
        "sip:a@b?=&=",
        "sip:a@b?To=%0d%0aX:%20y",
        "sip:%",
        "x:y",
    ),
    *("sip:%00@b", "sip:%zz@b", "sip:a@[::1", "sip:a@b@c", "sip:a:b:c@d", "sip:a:@b", "mailto:a@b"),
    *(
        "<sip:a@b",
        "sip:a@b>",
        "<<sip:a@b>>",
        '"<sip:a@b>',
        '"\\',
        "<>",
        "sips:a@b;lr;lr",
        "sip:a@b:0",
    ),
    *("sip:a@b:-1", "sip:a@b:65536", "sip:a@b:4294967296", "sip:a@b:99999999999999999999"),
    *("sip:a@b;maddr=", "sip:a@b;transport=", "sip:a@b;transport=x", "sip:a@b;ttl=-1", "SIP:a@b"),
    *(
        "sip:%s%n@%s%n",
        "sip:\xff\xfe@b",
        "sip:a@b;lr=\x00",
        "http://a/b",
        "sip:a@127.0.0.1;method=x",
    ),
    *(f"sip:{'a' * size}@b" for size in _LONG[2:11]),
    *(f"sip:a@{'b' * size}" for size in _LONG[2:11]),
    *(f"sip:a:{'b' * size}@c" for size in (65, 1_025)),
    *(f"sip:a@b{';x=y' * size}" for size in (65, 1_025)),
    *(f"sip:a@b?{'x=y&' * size}" for size in (65, 1_025)),
    *("sip:" * size for size in (2, 65, 1_025)),
    *(f"{'a' * size}:b" for size in (65, 1_025)),
)
_VERSIONS = (
    *("", " ", "SIP", "SIP/", "/2.0", "SIP/2", "SIP/2.", "SIP/.0", "SIP/2.1", "SIP/1.0", "SIP/3.0"),
    *("SIP/7.0", "SIP/-1.0", "SIP/2.-1", "SIP/02.0", "SIP/2.00", "SIP/2.0.0", "SIP/2,0", "SIP 2.0"),
    *(
        "sip/2.0",
        "Sip/2.0",
        "SIP//2.0",
        "SIP/2.0 ",
        "SIP/2.0\t",
        "SIP\\2.0",
        "HTTP/1.1",
        "SIPS/2.0",
    ),
    *("SIP/a.b", "SIP/%s.%n", "SIP/%d.%d", "%s%n/2.0", "SIP/2.0\x00", "SIP/\xb2.0", "\xff\xfe/2.0"),
    *("SIP/2147483648.0", "SIP/2.4294967296", "SIP/65536.0", "SIP/2.65536", "SIP/1e9.0", "RTP/2.0"),
    *(f"SIP/{'9' * size}.0" for size in _LONG),
    *(f"SIP/2.{'0' * size}" for size in _LONG),
    *(f"{'S' * size}/2.0" for size in _LONG[:9]),
)
_TAGS = (
    *(
        "",
        " ",
        ";",
        "=",
        ";tag=1",
        "1;tag=2",
        '"1"',
        '"1',
        "<1>",
        "a b",
        "a,b",
        "a\tb",
        "a=b",
        "\x00",
    ),
    *(
        "%s%n",
        "%00",
        "\xff",
        "\xc0\xaf",
        "\r\n",
        "\r\n ",
        "z9hG4bK",
        "z9hG4bKz9hG4bK",
        "@",
        "?",
        "\\",
    ),
    *(("a" * size) for size in _LONG),
    *(text * 257 for text in (";", "=", "%s", "%n", '"', "\xff", " ", "z9hG4bK", "\\")),
)
_TYPES = (
    *("", "/", "application", "application/", "/sdp", "application//sdp", "application/sdp;"),
    *("application/sdp;;", "application/sdp;=", 'application/sdp;x="', "application/sdp;x=y;x=y"),
    *("application / sdp", "APPLICATION/SDP", "text/plain", "*/*", "application/*", "sdp/sdp"),
    *("multipart/mixed", "multipart/mixed;boundary=", 'multipart/mixed;boundary=""'),
    *("multipart/mixed;boundary=v", "multipart/mixed;boundary=0", "multipart/mixed;boundary=\x00"),
    *("message/sipfrag", "message/sip", "application/sdp, application/sdp", "application/sdp\x00"),
    *(f"multipart/mixed;boundary={'b' * size}" for size in _LONG[:10]),
    *(f"{'a' * size}/sdp" for size in _LONG[:12]),
    *(f"application/{'a' * size}" for size in _LONG[:12]),
    *(f"application/sdp{';x=y' * size}" for size in _LONG[:9]),
    *(f"application/sdp;x={'y' * size}" for size in _LONG[:9]),
)
_LINE_ENDS = (
    *(
        "",
        "\r",
        "\n",
        "\n\r",
        "\r\r\n",
        "\r\n\r\n",
        "\r\n\r\n\r\n",
        "\x00",
        "\x0b",
        "\x0c",
        " \r\n",
    ),
    *("\r\n ", "\\r\\n", "%0d%0a", "\x85", "\r\n" * 300, "\n" * 5_000, "\r" * 5_000),
)
_NAMES = ("", "x", "AUDIO", "-", "0", "video", "telephone-event", "PCMU", "IN IN", "*")

_TEXTS = (*_OVERFLOWS, *_FORMATS, *_BYTES, *_INTEGERS[:10], *_NAMES)
_WORDS = (*_NAMES, *_OVERFLOWS[: len(_LONG) + 60], *_FORMATS[:10], *_BYTES, *_INTEGERS[:4])
_DELIMITERS = (
    *(
        "",
        " ",
        "  ",
        "\t",
        "\x00",
        "\xff",
        "a",
        "%s",
        "%n",
        "\r\n ",
        "\r\n",
        "<<",
        ">>",
        "::",
        "@@",
    ),
    *("==", "//", ",", ";", '"', "?", "\\", *(text * 1_025 for text in ":<>@=/ ")),
)

_HEAD = (
    "{before}{method} {uri} {version}{request_end}",
    "Via: {via_version}/{via_transport} {via_host}{via_colon}{via_port};branch={branch};rport",
    'From{from_colon} "{from_name}" <{from_scheme}{uri_colon}{from_rest}>;tag={from_tag}',
    "To: {to_name} {to_left}{to_uri}{to_right}",
    "Contact: {contact_name} {contact_left}{contact}{contact_right}",
    "Call-ID: {call_id}{call_id_at}{call_id_host}",
    "CSeq: {sequence} {sequence_method}",
    "Expires: {expires}",
    "Max-Forwards: {hops}",
    "{header}: {value}",
    "Content-Type: {kind}",
    "Content-Length: {length}",
)
_BODY = (
    "{v}{v_equal}{v_number}",
    "o={o_user} {o_session} {o_version} {o_net} {o_family} {o_host}",
    "s={s}",
    "c={c_net} {c_family} {c_host}",
    "b={b_kind}:{b_value}",
    "t={t_start} {t_stop}",
    "{letter}={line}",
    "m={m_media} {m_port} {m_profile} {m_format}",
    "a={rtpmap}{rtpmap_colon}{rtpmap_format} {rtpmap_name}{rtpmap_slash}{rtpmap_rate}{a_end}",
    "a=fmtp:{fmtp_format} {fmtp}",
    "a=ptime:{ptime}",
    "a={attribute}:{attribute_value}",
)

_ELEMENTS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "before": ("", _LINE_ENDS),
        "method": ("INVITE", _TEXTS),
        "uri": ("sip:support@127.0.0.1", _URIS),
        "version": ("SIP/2.0", _VERSIONS),
        "request_end": ("", _LINE_ENDS),
        "via_version": ("SIP/2.0", _VERSIONS),
        "via_transport": ("PROTOCOL", _WORDS),
        "via_host": ("127.0.0.1", _ADDRESSES),
        "via_colon": (":", _DELIMITERS),
        "via_port": ("PORT", _INTEGERS),
        "branch": ("z9hG4bK-NUMBER", _TAGS),
        "from_colon": (":", _DELIMITERS),
        "from_name": ("A", _TEXTS),
        "from_scheme": ("sip", _WORDS),
        "uri_colon": (":", _DELIMITERS),
        "from_rest": ("a@127.0.0.1", tuple(uri.removeprefix("sip:") for uri in _URIS)),
        "from_tag": ("NUMBER", _TAGS),
        "to_name": ("B", _TEXTS),
        "to_left": ("<", _DELIMITERS),
        "to_uri": ("sip:support@127.0.0.1", _URIS),
        "to_right": (">", _DELIMITERS),
        "contact_name": ("C", _TEXTS),
        "contact_left": ("<", _DELIMITERS),
        "contact": ("sip:a@127.0.0.1:PORT", _URIS),
        "contact_right": (">", _DELIMITERS),
        "call_id": ("NUMBER", _TEXTS),
        "call_id_at": ("@", _DELIMITERS),
        "call_id_host": ("127.0.0.1", _ADDRESSES),
        "sequence": ("1", _INTEGERS),
        "sequence_method": ("INVITE", _TEXTS),
        "expires": ("1200", _INTEGERS),
        "hops": ("70", _INTEGERS),
        "kind": ("application/sdp", (*_TYPES, *_WORDS)),
        "length": ("LENGTH", _INTEGERS),
        "v": ("v", _TEXTS),
        "v_equal": ("=", _DELIMITERS),
        "v_number": ("0", _INTEGERS),
        "o_user": ("-", _TEXTS),
        "o_session": ("1", _INTEGERS),
        "o_version": ("1", _INTEGERS),
        "o_net": ("IN", _WORDS),
        "o_family": ("IP4", _WORDS),
        "o_host": ("127.0.0.1", _ADDRESSES),
        "s": ("-", _TEXTS),
        "c_net": ("IN", _WORDS),
        "c_family": ("IP4", _WORDS),
        "c_host": ("127.0.0.1", _ADDRESSES),
        "b_kind": ("AS", _WORDS),
        "b_value": ("64", _INTEGERS),
        "t_start": ("0", _INTEGERS),
        "t_stop": ("0", _INTEGERS),
        "letter": ("k", _WORDS),
        "line": ("clear:x", _TEXTS),
        "m_media": ("audio", _TEXTS),
        "m_port": ("40000", (*_INTEGERS, "40000/2", "40000/-1", "40000/99999", "40000/")),
        "m_profile": ("RTP/AVP", _WORDS),
        "m_format": ("0 8 101", (*_INTEGERS, *(" 0" * size for size in (33, 65, 257, 1_025)))),
        "rtpmap": ("rtpmap", _WORDS),
        "rtpmap_colon": (":", _DELIMITERS),
        "rtpmap_format": ("101", _INTEGERS),
        "rtpmap_name": ("telephone-event", _WORDS),
        "rtpmap_slash": ("/", _DELIMITERS),
        "rtpmap_rate": ("8000", _INTEGERS),
        "a_end": ("", _LINE_ENDS),
        "fmtp_format": ("101", _INTEGERS),
        "fmtp": ("0-16", _WORDS),
        "ptime": ("20", _INTEGERS),
        "attribute": ("x", _WORDS),
        "attribute_value": ("y", _TEXTS),
    }
)
"""By name: as it should be, and its anomalies."""

_OTHERS = MappingProxyType({"header": "Subject", "value": "x"})
_HEADERS = (
    *("Accept", "Accept-Encoding", "Allow", "Authorization", "Proxy-Authorization", "Date"),
    *("Content-Disposition", "Content-Encoding", "Diversion", "Event", "Identity", "Contact"),
    *("Min-SE", "P-Asserted-Identity", "Privacy", "RAck", "Record-Route", "Refer-To", "Replaces"),
    *("Reason", "Remote-Party-ID", "Require", "Retry-After", "Route", "RSeq", "Session-Expires"),
    *("Subscription-State", "Supported", "Timestamp", "User-Agent", "User-to-User", "Warning"),
    *("Via", "From", "To", "Call-ID", "CSeq", "Content-Type", "Content-Length", "Max-Forwards"),
)
"""Some of them stand twice then."""
_HEADER_ANOMALIES = (*_WORDS[::3], *_URIS[::6], *_INTEGERS[::5], *_TYPES[::6], *_TAGS[::8])
_TIMES = (0, 2, 100)

Changed = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Malformed:
    """One anomaly: an INVITE, and the CANCEL and the ACK that end it, all with that anomaly.

    Attributes:
        name: element and number, for failures.
    """

    name: str
    invite: bytes
    cancel: bytes
    ack: bytes

    def again(self, attempt: int) -> Self:
        """Return it with other names: of another call."""
        messages = (self.invite, self.cancel, self.ack)
        return type(self)(
            self.name, *(each.replace(b"protos", b"again%d-" % attempt) for each in messages)
        )


def malformed_calls(count: int, port: int, transport: str = "UDP") -> Iterator[Malformed]:
    """Yield so many cases, spread evenly over all that there are.

    Args:
        port: where the answers go.
        transport: of the Via.

    Raises:
        ValueError: there are fewer.
    """
    cases = tuple(_cases())
    if count > len(cases):
        raise ValueError(f"there are {len(cases)} cases, not {count}")
    for number in range(count):
        name, changed, line, times = cases[number * len(cases) // count]
        yield Malformed(
            f"{name}, number {number}",
            *(
                _written(method, {**_good(method), **changed}, line, times, _names(number))
                .replace("PORT", str(port))
                .replace("PROTOCOL", transport)
                .encode("latin-1")[:MOST_BYTES]
                for method in ("INVITE", "CANCEL", "ACK")
            ),
        )


def _cases() -> Iterator[tuple[str, Changed, str, int]]:
    """Yield names, changed elements, and a line that stands so many times."""
    for name, (_, anomalies) in _ELEMENTS.items():
        for anomaly in anomalies:
            yield name, {name: anomaly}, "", 1
    for header, anomaly in product(_HEADERS, _HEADER_ANOMALIES):
        yield header, {"header": header, "value": anomaly}, "", 1
    for line, times in product((*_HEAD, *_BODY), _TIMES):
        yield f"{times} times {line}", {}, line, times


def _good(method: str) -> Changed:
    values = {name: good for name, (good, _) in _ELEMENTS.items()}
    return {**values, **_OTHERS, "method": method, "sequence_method": method}


def _names(number: int) -> str:
    return f"protos{number}"


def _written(method: str, values: Changed, line: str, times: int, name: str) -> str:
    def section(lines: tuple[str, ...]) -> str:
        made = ([each.format_map(values)] * (times if each == line else 1) for each in lines)
        return "".join(f"{each}\r\n" for each in chain.from_iterable(made))

    body = section(_BODY) if method == "INVITE" else ""
    text = section(_HEAD) + "\r\n" + body
    return text.replace("LENGTH", str(len(body))).replace("NUMBER", name)
