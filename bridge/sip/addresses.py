"""SIP and telephone addresses, taken apart by their grammar: the one place that does it.

RFC 3261 sections 19.1, 20.10 and 25.1, and RFC 3966:

    "Display \\"name\\"" <sip:user;user-parameters:password@host:port;parameters?headers>;parameters
    sip:user@host;parameters of the header
    tel:+1-555-0100;parameters

A display name is whatever the caller likes, so nothing in it may be taken for the address. Where
senders are sloppy without being ambiguous (a name in letters that need quotes, an empty parameter)
they are understood; what can be read in two ways is an error.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Self
from urllib.parse import quote

from bridge.sip.text import decode, is_plain, plain

Parameters = tuple[tuple[str, str], ...]
"""Lower-case name and value, in their order; the value is "" for one that has none."""

_SCHEME = re.compile(r"(sips?|tel):", re.IGNORECASE)
_ANY_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_PARAMETER = re.compile(
    r'\s*;\s*([^\s;=,"<>]*)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"<>]*))?\s*', re.DOTALL
)
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~:\[\]/-]+")
"""A parameter's value without quotes: a token or a host (RFC 3261 section 25.1, gen-value)."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:;?,<>\"@/]+)(?::([0-9]{1,5}))?")
_OCTETS = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_TAKES_APART = frozenset('"<>@:;?,%')
"""What would take an address apart, were it bare in a user part: it stays escaped there."""

_BARE_USER = "!$&'()*+,-./=?_~;:%#"
_MAX_PORT = 65535


class AddressError(ValueError):
    """A text is no address that can be read in one way."""


@dataclass(frozen=True, slots=True)
class Uri:
    """A SIP, SIPS or telephone URI; ``str()`` writes it.

    Attributes:
        scheme: ``sip``, ``sips`` or ``tel``.
        user: unescaped but for what takes an address apart and what is invisible; a ``tel`` URI's
            number; "" for none. Never read from a password.
        user_parameters: those of a telephone number in the user part (RFC 3261 section 19.1.6).
        host: lower case, IPv6 in brackets; "" in a ``tel`` URI.
        parameters: as they were written.
        headers: what follows the ``?``, as it was written.
    """

    scheme: str
    user: str = ""
    host: str = ""
    port: int | None = None
    user_parameters: Parameters = ()
    parameters: Parameters = ()
    headers: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URI, without brackets.

        Raises:
            AddressError: it is none, or not of these schemes.
        """
        found = _SCHEME.match(text)
        if found is None or not _fits_a_uri(text):
            raise AddressError("should be a sip, sips or tel URI, like 'sip:queue@pbx.example'")
        scheme, rest = found[1].lower(), text[found.end() :]
        if scheme == "tel":
            number, parameters = _with_parameters(rest)
            if not number or "@" in rest:
                raise AddressError("a tel URI should have a number, and no host")
            return cls(scheme, canonical_user(number), parameters=parameters)
        userinfo, at, place = rest.partition("@")
        user, user_parameters = _with_parameters(userinfo.partition(":")[0] if at else "")
        located, _, headers = (place if at else rest).partition("?")
        where, parameters = _with_parameters(located)
        host, port = _host_and_port(where)
        return cls(scheme, canonical_user(user), host, port, user_parameters, parameters, headers)

    @property
    def place(self) -> str:
        """Host, and port where one is given: ``pbx.example:5061``."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        user = quote(self.user, safe=_BARE_USER) + _written(self.user_parameters)
        rest = _written(self.parameters) + (f"?{self.headers}" if self.headers else "")
        if self.scheme == "tel":
            return f"tel:{user}{rest}"
        return f"{self.scheme}:{user}{'@' if user else ''}{self.place}{rest}"


@dataclass(frozen=True, slots=True)
class Address:
    """A URI with its display name and the parameters of its header; ``str()`` writes it.

    Attributes:
        display: as people read it: unescaped, on one line, without invisible characters.
        parameters: of the header, such as ``tag``; values without quotes.
    """

    uri: Uri
    display: str = ""
    parameters: Parameters = field(default=())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name-addr or addr-spec, as From, To and their like have one.

        Raises:
            AddressError: it is none, or can be read in two ways.
        """
        text = plain(text)
        display, rest = _display(text)
        if rest is None:
            # Without brackets what follows a semicolon is the header's (RFC 3261 section 20).
            end = text.find(";")
            uri, after = (text, "") if end < 0 else (text[:end], text[end:])
        else:
            uri, closed, after = rest.partition(">")
            if not closed:
                raise AddressError("should have a '>' at the end of its URI")
        return cls(Uri.parse(uri.strip()), display, _header_parameters(after))

    def __str__(self) -> str:
        escaped = re.sub(r'(["\\])', r"\\\1", self.display)
        named = f'"{escaped}" ' if self.display else ""
        return f"{named}<{self.uri}>" + "".join(
            f";{name}{'=' + _quoted(value) if value else ''}" for name, value in self.parameters
        )


def user_in(text: str) -> str:
    """Return the user part of an address in any spelling.

    Args:
        text: a name-addr, a URI, ``user@host``, or a user part alone.

    Returns:
        The user as in :class:`Uri`; "" where there is none, and where the text can't be read.
    """
    text = text.strip()
    try:
        if "<" in text or text.startswith('"'):
            return Address.parse(text).uri.user
        if _SCHEME.match(text):
            return Uri.parse(text).user
        return Uri.parse(f"sip:{text}").user if "@" in text else canonical_user(text)
    except AddressError:
        return ""


def called_by(text: str) -> str:
    """Return whom a URI calls: its user, or its host where there is none.

    Brackets and a display name may be around it; "" for a text that is no such URI.
    """
    uri = _uri_in(text)
    return "" if uri is None else uri.user or uri.host


def host_in(text: str) -> str:
    """Return the host of a URI, perhaps in brackets; IPv6 without its own; "" for none.

    An IPv6 address is in its one text form (RFC 5952): senders write it in many ways.
    """
    uri = _uri_in(text)
    if uri is None or not uri.host.startswith("["):
        return "" if uri is None else uri.host
    bare = uri.host.strip("[]")
    try:
        return str(IPv6Address(bare))
    except ValueError:
        return bare


def host_and_port(host: str, port: int) -> str:
    """Return a place as SIP and URLs have it: an IPv6 address in brackets (RFC 3986 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def addresses_in(values: Iterable[str]) -> tuple[Address, ...]:
    """Return the addresses of a header that may have several, a line or a comma apart.

    Those that can't be read are left out.
    """
    found = []
    for value in values:
        for each in split_list(value):
            try:
                found.append(Address.parse(each))
            except AddressError:
                continue
    return tuple(found)


def split_list(value: str) -> tuple[str, ...]:
    """Return the entries of a header's value: commas in quotes and in brackets are theirs."""
    entries, start, place = [], 0, 0
    closing = ""
    while place < len(value):
        character = value[place]
        if closing == '"' and character == "\\":
            place += 1
        elif closing:
            closing = "" if character == closing else closing
        elif character in '"<':
            closing = '"' if character == '"' else ">"
        elif character == ",":
            entries.append(value[start:place])
            start = place + 1
        place += 1
    entries.append(value[start:])
    return tuple(each.strip() for each in entries if each.strip())


def canonical_user(user: str) -> str:
    """Return a user part in the one form that texts here have it in.

    Escapes are read (RFC 3261 section 19.1.4); what would take an address apart, and what is
    invisible, is escaped. So no user part can be read as an address, and doing it again changes
    nothing.
    """
    read = _OCTETS.sub(lambda found: decode(bytes.fromhex(found[0].replace("%", ""))), user)
    whole = read.encode("utf-8", "replace").decode()
    return "".join(
        each if is_plain(each) and each not in _TAKES_APART else quote(each, safe="")
        for each in whole
    ).strip()


def _uri_in(text: str) -> Uri | None:
    try:
        return Address.parse(text).uri if "<" in text else Uri.parse(text.strip())
    except AddressError:
        return None


def _display(text: str) -> tuple[str, str | None]:
    """Return a display name and what follows its ``<``; None for what has no brackets."""
    quoted = _QUOTED.match(text)
    if quoted is not None:
        name, rest = _ESCAPED_PAIR.sub(r"\1", quoted[1]), text[quoted.end() :].lstrip()
        if not rest.startswith("<"):
            raise AddressError("should have a '<' after its display name")
        return plain(name), rest[1:]
    if _ANY_SCHEME.match(text):
        return "", None
    name, opened, rest = text.partition("<")
    if not opened or '"' in name or ">" in name:
        raise AddressError("should be a URI, or a name with a URI in brackets")
    return name.strip(), rest


def _fits_a_uri(text: str) -> bool:
    return not any(each in '<>"' or not is_plain(each) for each in text)


def _with_parameters(text: str) -> tuple[str, Parameters]:
    first, *rest = text.split(";")
    pairs = (each.partition("=") for each in rest)
    return first, tuple((name.strip().lower(), value.strip()) for name, _, value in pairs if name)


def _host_and_port(text: str) -> tuple[str, int | None]:
    found = _HOST.fullmatch(text.strip())
    if found is None:
        raise AddressError("should have a host")
    port = None if found[2] is None else int(found[2])
    if port is not None and port > _MAX_PORT:
        raise AddressError(f"should have a port of at most {_MAX_PORT}")
    return found[1].lower(), port


def _header_parameters(text: str) -> Parameters:
    found, place = [], 0
    while place < len(text):
        each = _PARAMETER.match(text, place)
        if each is None:
            if text[place:].strip():
                raise AddressError("has something after its URI that is no parameter")
            break
        place = each.end()
        if each[1]:
            found.append((each[1].lower(), _unquoted(each[2] or "")))
    return tuple(found)


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return plain(_ESCAPED_PAIR.sub(r"\1", value[1:-1]))


def _quoted(value: str) -> str:
    if _TOKEN.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _written(parameters: Parameters) -> str:
    return "".join(f";{name}{'=' + value if value else ''}" for name, value in parameters)
