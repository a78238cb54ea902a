"""4,500 malformed INVITEs in the manner of the PROTOS suite c07-sip: each element, each anomaly.

Every element of an INVITE and of its SDP is written with every anomaly that fits its type: what
overflows, is empty, is repeated, counts too far, formats, isn't UTF-8, or is missing. The order is
fixed. Shares no code with the product.
"""

from collections.abc import Callable, Iterator
from itertools import cycle, islice, product

_LONG = (17, 65, 129, 257, 513, 1_025, 2_049, 3_000)
"""One past what tables usually have."""

_OVERFLOWS = tuple(text * size for size, text in product(_LONG, ("a", " ", "\t")))
_REPEATED = tuple(
    text * size
    for size, text in product((2, 33, 257, 1_025), (*":;,@<>[]=\"'?&%/\\.-", "()", "\r\n ", "%00"))
)
_FORMATS = tuple(each * count for count in (1, 20) for each in ("%s", "%n", "%x", "%999999d", "%p"))
_INTEGERS = (
    *("-1", "0", "00000000000000000001", "+1", "1e9", "0x7fffffff", "127", "128", "255", "256"),
    *("32767", "32768", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296"),
    *("9223372036854775808", "18446744073709551615", "18446744073709551616", "9" * 300, "1.5"),
)
_BYTES = tuple(
    data.decode("latin-1")
    for data in (
        *(b"\x00", b"a\x00b", b"\xff", b"\xfe\xff", b"\x80", b"\xc0\xaf", b"\xe0\x80\xaf"),
        *(b"\xf0\x80\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3", b"\x1b[2J", b"\x7f"),
        bytes(range(1, 32)),
        b"\xc0\xae" * 200,
    )
)
_ADDRESSES = (
    *("[", "[]", "[::", "[::1]:99999", "256.256.256.256", "1.2.3", "0.0.0.0", "..", "a..b", "-"),
    *("sip:", "sip:@", "sip::", "sip:a@b:", "sip:a@b;;", "sip:a@b?", "sip:a@[::1", "tel:", "x:y"),
    *("<sip:a@b", "sip:a@b>", "<<sip:a@b>>", '"<sip:a@b>', '"\\', "<>", "sips:a@b;lr;lr;lr"),
)
_EVERYTHING = (*_OVERFLOWS, *_REPEATED, *_FORMATS, *_INTEGERS, *_BYTES, *_ADDRESSES, "")

_HEAD = (
    "{method} {scheme}:{user}@{host}:{port} {version}",
    "Via: {via_version}/{via_transport} {via_host}:{via_port};branch={branch};rport{via_rest}",
    "Max-Forwards: {hops}",
    'From: "{from_name}" <{from_uri}>;tag={from_tag}{from_rest}',
    'To: "{to_name}" <{to_uri}>{to_rest}',
    "Call-ID: {call_id}",
    "CSeq: {sequence} {sequence_method}",
    "Contact: {contact_name} <{contact}>{contact_rest}",
    "{header}: {value}",
    "Content-Type: {kind}/{subkind}{kind_rest}",
    "Content-Length: {length}",
)
_BODY = (
    "v={v}",
    "o={o_user} {o_session} {o_version} {o_net} {o_family} {o_host}",
    "s={s}",
    "c={c_net} {c_family} {c_host}",
    "b={b_kind}:{b_value}",
    "t={t_start} {t_stop}",
    "{letter}={line}",
    "m={m_media} {m_port}{m_ports} {m_profile} {m_format}",
    "a=rtpmap:{rtpmap_format} {rtpmap_name}/{rtpmap_rate}{rtpmap_channels}",
    "a=fmtp:{fmtp_format} {fmtp}",
    "a=ptime:{ptime}",
    "a={attribute}:{attribute_value}",
)
_GOOD = {
    "method": "INVITE",
    "scheme": "sip",
    "user": "support",
    "host": "127.0.0.1",
    "port": "5060",
    "version": "SIP/2.0",
    "via_version": "SIP/2.0",
    "via_transport": "UDP",
    "via_host": "127.0.0.1",
    "via_port": "PORT",
    "branch": "z9hG4bK-NUMBER",
    "via_rest": "",
    "hops": "70",
    "from_name": "A",
    "from_uri": "sip:a@127.0.0.1",
    "from_tag": "NUMBER",
    "from_rest": "",
    "to_name": "B",
    "to_uri": "sip:support@127.0.0.1",
    "to_rest": "",
    "call_id": "NUMBER@protos",
    "sequence": "1",
    "sequence_method": "INVITE",
    "contact_name": "",
    "contact": "sip:a@127.0.0.1:PORT",
    "contact_rest": "",
    "header": "Subject",
    "value": "x",
    "kind": "application",
    "subkind": "sdp",
    "kind_rest": "",
    "length": "LENGTH",
    "v": "0",
    "o_user": "-",
    "o_session": "1",
    "o_version": "1",
    "o_net": "IN",
    "o_family": "IP4",
    "o_host": "127.0.0.1",
    "s": "-",
    "c_net": "IN",
    "c_family": "IP4",
    "c_host": "127.0.0.1",
    "b_kind": "AS",
    "b_value": "64",
    "t_start": "0",
    "t_stop": "0",
    "letter": "k",
    "line": "clear:x",
    "m_media": "audio",
    "m_port": "40000",
    "m_ports": "",
    "m_profile": "RTP/AVP",
    "m_format": "0 8 101",
    "rtpmap_format": "101",
    "rtpmap_name": "telephone-event",
    "rtpmap_rate": "8000",
    "rtpmap_channels": "",
    "fmtp_format": "101",
    "fmtp": "0-16",
    "ptime": "20",
    "attribute": "x",
    "attribute_value": "y",
}
_HEADERS = (
    *("Accept", "Accept-Encoding", "Allow", "Authorization", "Proxy-Authorization", "Date"),
    *("Content-Disposition", "Content-Encoding", "Diversion", "Event", "Expires", "Identity"),
    *("Min-SE", "P-Asserted-Identity", "Privacy", "RAck", "Record-Route", "Refer-To", "Replaces"),
    *("Reason", "Remote-Party-ID", "Require", "Retry-After", "Route", "RSeq", "Session-Expires"),
    *("Subscription-State", "Supported", "Timestamp", "User-Agent", "User-to-User", "Warning"),
)

Writer = Callable[[int], bytes]


def malformed_invites(count: int, port: int) -> Iterator[bytes]:
    """Yield so many INVITEs, each with an anomaly; all anomalies of all elements in turn.

    Args:
        port: where the answers go.
    """
    for number, parts in enumerate(islice(_spread(), count)):
        yield _written(number, port, *parts)


def _spread() -> Iterator[tuple[dict[str, str], str | None, str | None]]:
    """Yield changed elements, a header that is missing or stands twice; spread over all kinds."""
    sources = cycle((_elements(), _headers(), _lines()))
    left = 3
    while left:
        made = next(next(sources), None)
        if made is None:
            left -= 1
            continue
        left = 3
        yield made


def _elements() -> Iterator[tuple[dict[str, str], None, None]]:
    """Each element has its next anomaly at each turn, and begins at another one."""
    names = list(_GOOD)
    for turn in range(len(_EVERYTHING)):
        for place, name in enumerate(names):
            yield {name: _EVERYTHING[(turn + 5 * place) % len(_EVERYTHING)]}, None, None


def _headers() -> Iterator[tuple[dict[str, str], None, None]]:
    for turn in range(len(_EVERYTHING)):
        for place, name in enumerate(_HEADERS):
            value = _EVERYTHING[(turn + 7 * place) % len(_EVERYTHING)]
            yield {"header": name, "value": value}, None, None


def _lines() -> Iterator[tuple[dict[str, str], str | None, str | None]]:
    """Each line is left out, stands twice or a hundred times, with each good and bad neighbour."""
    lines = [line.partition(":")[0] for line in (*_HEAD, *_BODY)]
    for anomaly in _EVERYTHING:
        for line in lines:
            yield {"value": anomaly}, line, None
            yield {"line": anomaly}, None, line


def _written(
    number: int, port: int, changed: dict[str, str], missing: str | None, repeated: str | None
) -> bytes:
    values = {**_GOOD, **changed}
    times = 2 if number % 2 else 100

    def section(lines: tuple[str, ...]) -> str:
        made = []
        for line in lines:
            name = line.partition(":")[0]
            count = 0 if name == missing else times if name == repeated else 1
            made += [line.format_map(values)] * count
        return "\r\n".join(made) + "\r\n"

    body = section(_BODY)
    text = (section(_HEAD) + "\r\n" + body).replace("LENGTH", str(len(body)))
    data = text.replace("NUMBER", f"protos{number}").replace("PORT", str(port)).encode("latin-1")
    return data[:60_000]
