"""Takes out of a SIP message what must not be kept: credentials, keys, digits, and bodies.

Read by lines, as PJSIP's parser does (CRLF, LF or CR alone end one), so that a secret stays none
behind an odd line end or a folded header. What can't be read is taken out, not kept.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

TAKEN_OUT = "[taken out]"

_SECRET = frozenset(
    {"authorization", "proxy-authorization", "authentication-info", "proxy-authentication-info"}
    | {"x-bridge-ticket"}
)
"""Headers with credentials or digest responses (RFC 3261 sections 20.6, 20.7, 20.28), and tickets
of supervisors' phones. A challenge stays: without the response its nonce is no secret."""

_KEPT = frozenset(
    """
    accept accept-contact accept-encoding accept-language alert-info allow allow-events call-id
    contact content-disposition content-encoding content-language content-length content-type cseq
    date diversion encryption error-info event expires from history-info identity identity-info
    in-reply-to max-forwards mime-version min-expires min-se organization p-access-network-info
    p-asserted-identity p-called-party-id p-charging-vector p-early-media p-preferred-identity
    p-visited-network-id path priority privacy proxy-authenticate proxy-require rack reason
    record-route refer-sub refer-to referred-by reject-contact remote-party-id replaces reply-to
    request-disposition require retry-after route rseq server service-route session-expires sip-etag
    sip-if-match subscription-state supported target-dialog timestamp to unsupported user-agent via
    warning www-authenticate
    a b c d e f i j k l m n o r t u v x y
    """.split()  # noqa: SIM905 - sixty names, a line each, would hide the rest
)
"""Headers of the protocol itself, and the compact forms of such; the values of all others are an
application's, and redacted."""

_IDENTITY = frozenset({"identity", "y"})
"""RFC 8224: the signed token holds the caller's number."""

_CALLER_IN = frozenset(
    {"from", "f", "p-asserted-identity", "p-preferred-identity", "remote-party-id", "contact", "m"}
)

_LINE = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")
_HEADER = re.compile(r"([^\s:]+)([ \t]*:[ \t]*)(.*)", re.DOTALL)
_USER = re.compile(r"(?:sips?:|tel:)([^@;>?,\s]+)", re.IGNORECASE)
_DISPLAY = re.compile(r'"((?:[^"\\]|\\.)+)"|(?:^|,)\s*([^"<,:;]*[^"<,:;\s])\s*<')
_LONG_CHARS = 7
"""A name or number of so many characters is no other word of a message; a shorter one (an extension
such as 100) is taken out only where it stands as one."""

_SDP_SECRETS = (
    # RFC 4568 section 9.1; what follows the suite is keys and lifetimes.
    (re.compile(r"(\s*a\s*=\s*crypto\s*:\s*\S+\s+\S+\s*).*", re.IGNORECASE | re.DOTALL)),
    (re.compile(r"(\s*a\s*=\s*(?:crypto|key-mgmt|ice-pwd)\s*:?).*", re.IGNORECASE | re.DOTALL)),
    (re.compile(r"(\s*k\s*=).*", re.IGNORECASE | re.DOTALL)),  # RFC 4566 section 5.12
)

_MOST_CHARS = 1000
"""Of an application's header: what finds personal data takes longer than it is long."""

_TICKET = re.compile(r"(listen-c_[0-9a-f]+-)[0-9a-f]{8,}")
"""A supervisor's phone shows its ticket in the Request-URI (:mod:`bridge.app.door.phones`)."""

Redact = Callable[[str, str], str]
"""Returns a header's value as it may be kept; given the value and the header's name."""


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Cleans the messages of one call.

    Attributes:
        redact: for the values of headers that are an application's.
        hidden: names and numbers of a caller who asked for privacy, taken out wherever they stand.
    """

    redact: Redact
    hidden: Collection[str] = ()

    def clean(self, text: str) -> str:
        """Return a message as it may be kept."""
        head, ending, body = _split(text)
        content_type = ""
        lines = []
        for number, (line, end) in enumerate(head):
            found = _HEADER.fullmatch(line) if number else None
            name = found[1].lower() if found else ""
            if found and name in {"content-type", "c"}:
                content_type = found[3].strip().lower()
            lines.append((name, self._line(line, found, first=number == 0), end))
        cleaned = self._body(body, content_type)
        if cleaned != body:  # readers take the body's length from here
            length = len(cleaned.encode("utf-8", "surrogateescape"))
            lines = [
                (name, f"{line.partition(':')[0]}: {length}", end)
                if name in {"content-length", "l"}
                else (name, line, end)
                for name, line, end in lines
            ]
        whole = "".join(f"{line}{end}" for _, line, end in lines) + ending + cleaned
        whole = _TICKET.sub(r"\1taken-out", whole)
        for each in sorted(self.hidden, key=len, reverse=True):
            whole = _without(whole, each)
        return whole

    def _line(self, line: str, found: re.Match[str] | None, *, first: bool) -> str:
        if first:
            return line
        if found is None:
            return TAKEN_OUT if line else line
        name = found[1].lower()
        if name in _SECRET or (self.hidden and name in _IDENTITY):
            scheme = found[3].split(maxsplit=1)[:1] if name.endswith("authorization") else []
            return f"{found[1]}{found[2]}{' '.join([*scheme, TAKEN_OUT])}"
        if name in _KEPT:
            return line
        shown, rest = found[3][:_MOST_CHARS], found[3][_MOST_CHARS:]
        return f"{found[1]}{found[2]}{self.redact(shown, name)}{TAKEN_OUT if rest else ''}"

    def _body(self, body: str, content_type: str) -> str:
        kind = content_type.partition(";")[0].strip()
        if not body:
            return body
        if kind == "application/sdp":
            return "".join(f"{_sdp_line(line)}{end}" for line, end in _lines(body))
        if kind == "message/sipfrag":
            line, end = next(iter(_lines(body)))
            return f"{line}{end}"
        return f"[{len(body)} characters of {kind or 'an unnamed type'} taken out]"


def hidden_in(invite: str) -> frozenset[str]:
    """Return the names and numbers by which an INVITE's headers call its sender."""
    found: set[str] = set()
    for line, _ in _split(invite)[0][1:]:
        header = _HEADER.fullmatch(line)
        if header is not None and header[1].lower() in _CALLER_IN:
            value = header[3][:_MOST_CHARS]
            for user in _USER.findall(value):
                found |= {user, user.removeprefix("+")}
            found.update(name for names in _DISPLAY.findall(value) for name in names)
    return frozenset(found - {"", "anonymous", "Anonymous"})


def _without(text: str, hidden: str) -> str:
    if len(hidden) >= _LONG_CHARS:
        return text.replace(hidden, "anonymous")
    escaped = re.escape(hidden)
    return re.sub(rf'(?<=[:+"]){escaped}(?=[@;>"])|{escaped}(?=\s*<sips?:)', "anonymous", text)


def _split(text: str) -> tuple[list[tuple[str, str]], str, str]:
    """Return the head's lines, folded ones as one, each with its end; the blank line; the body."""
    head: list[tuple[str, str]] = []
    read = 0
    for found in _LINE.finditer(text):
        line, end = found[1], found[2]
        read = found.end()
        if not line:
            return head, end, text[read:]
        if line[0] in " \t" and len(head) > 1:
            before, folded = head.pop()
            head.append((f"{before}{folded}{line}", end))
        else:
            head.append((line, end))
        if not end:
            break
    return head, "", text[read:]


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for found in _LINE.finditer(text):
        if found[0]:
            yield found[1], found[2]


def _sdp_line(line: str) -> str:
    for secret in _SDP_SECRETS:
        found = secret.fullmatch(line)
        if found is not None:
            return f"{found[1]}{TAKEN_OUT}"
    return line
