"""Reads and computes digest authentication as SIP has it (RFC 3261 section 22, RFC 8760). Pure.

A value is hashed as it stands between its quotes, backslashes included (RFC 7616 section 3.4).
Of `qop`, `auth` alone is spoken, and none by servers from before RFC 2617.
"""

import enum
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

_MOST_CHARS = 4_096
_TOKEN = r"[A-Za-z0-9.!%*_+`'~-]+"
_PARAMETER = re.compile(
    rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*)"|({_TOKEN}))\s*(,|$)'
)
_SCHEME = re.compile(r"\s*Digest\s+", re.IGNORECASE)
_COUNT = re.compile(r"[0-9a-fA-F]{8}")


class DigestAlgorithm(enum.Enum):
    """A hash that is spoken here, by its name on the wire; the strongest first."""

    SHA256 = "SHA-256"
    MD5 = "MD5"

    @classmethod
    def named(cls, name: str) -> Self | None:
        """Return the algorithm of a name, in any case; "" is MD5 (RFC 7616 section 3.3)."""
        wanted = name.upper() or cls.MD5.value
        return next((each for each in cls if each.value == wanted), None)

    def hash(self, *parts: str) -> str:
        """Return the hash of parts joined by colons, in hexadecimal."""
        data = ":".join(parts).encode("utf-8", "surrogateescape")
        if self is DigestAlgorithm.MD5:
            return hashlib.md5(data, usedforsecurity=False).hexdigest()
        return hashlib.sha256(data).hexdigest()


def parse_digest(value: str) -> Mapping[str, str] | None:
    """Read a header's value with the scheme Digest: lower-case name -> value without its quotes.

    Returns:
        None for another scheme, and where the grammar of RFC 3261 section 25.1 is broken; a
        parameter that stands twice breaks it.
    """
    scheme = _SCHEME.match(value) if len(value) <= _MOST_CHARS else None
    if scheme is None:
        return None
    found: dict[str, str] = {}
    at = scheme.end()
    more = True
    while more:
        parameter = _PARAMETER.match(value, at)
        if parameter is None or parameter[1].lower() in found:
            return None
        found[parameter[1].lower()] = parameter[3] or parameter[2] or ""
        at, more = parameter.end(), bool(parameter[4])
    return found


@dataclass(frozen=True, slots=True)
class DigestAnswer:
    """The credentials that a client has put into an Authorization header, with ``qop=auth``.

    Attributes:
        nc: uses of the nonce, as eight hexadecimal digits.
    """

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: DigestAlgorithm
    cnonce: str
    nc: str

    @classmethod
    def parse(cls, value: str) -> Self | None:
        """Read a header's value; None where something is missing that `qop=auth` needs."""
        given = parse_digest(value)
        if given is None:
            return None
        algorithm = DigestAlgorithm.named(given.get("algorithm", ""))
        needed = [
            given.get(name, "")
            for name in ("username", "realm", "nonce", "uri", "response", "cnonce")
        ]
        nc = given.get("nc", "")
        if algorithm is None or not all(needed) or given.get("qop", "").lower() != "auth":
            return None
        if not _COUNT.fullmatch(nc) or int(nc, 16) == 0:
            return None
        username, realm, nonce, uri, response, cnonce = needed
        return cls(username, realm, nonce, uri, response, algorithm, cnonce, nc)

    def fits(self, ha1: str, method: str) -> bool:
        """Return whether it was made for a method by whoever has the secret of a hash (HA1)."""
        expected = response_of(
            self.algorithm, ha1, method, self.uri, self.nonce, nc=self.nc, cnonce=self.cnonce
        )
        given = self.response.lower().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, expected.encode())


def response_of(
    algorithm: DigestAlgorithm,
    ha1: str,
    method: str,
    uri: str,
    nonce: str,
    *,
    nc: str = "",
    cnonce: str = "",
) -> str:
    """Compute a response (RFC 7616 section 3.4.1); without ``nc`` as before RFC 2617."""
    ha2 = algorithm.hash(method, uri)
    use = (nc, cnonce, "auth") if nc else ()
    return algorithm.hash(ha1, nonce, *use, ha2)


@dataclass(frozen=True, slots=True)
class DigestChallenge:
    """A server's demand for credentials.

    Attributes:
        qop: whether it knows `qop=auth`.
        opaque: to be sent back as it came; None where it has none.
        stale: the nonce alone was bad, the credentials may be right.
    """

    realm: str
    nonce: str
    algorithm: DigestAlgorithm = DigestAlgorithm.SHA256
    qop: bool = True
    opaque: str | None = None
    stale: bool = False

    @classmethod
    def parse(cls, value: str) -> Self | None:
        """Read a header's value; None for what can't be answered here."""
        given = parse_digest(value)
        if given is None or "realm" not in given or not given.get("nonce"):
            return None
        algorithm = DigestAlgorithm.named(given.get("algorithm", ""))
        offered = {word.strip().lower() for word in given.get("qop", "").split(",")} - {""}
        if algorithm is None or (offered and "auth" not in offered):
            return None
        return cls(
            given["realm"],
            given["nonce"],
            algorithm,
            bool(offered),
            given.get("opaque"),
            given.get("stale", "").lower() == "true",
        )

    def __str__(self) -> str:
        stale = ", stale=true" if self.stale else ""
        return (
            f'Digest realm="{self.realm}", nonce="{self.nonce}", '
            f'algorithm={self.algorithm.value}, qop="auth"{stale}'
        )

    def answer(self, username: str, secret: str, method: str, uri: str, cnonce: str) -> str:
        """Return the header's value that answers it, for the first use of its nonce."""
        ha1 = self.algorithm.hash(username, self.realm, secret)
        nc = "00000001" if self.qop else ""
        response = response_of(self.algorithm, ha1, method, uri, self.nonce, nc=nc, cnonce=cnonce)
        value = (
            f'Digest username="{username}", realm="{self.realm}", nonce="{self.nonce}", '
            f'uri="{uri}", response="{response}", algorithm={self.algorithm.value}'
        )
        if self.qop:
            value += f', qop=auth, cnonce="{cnonce}", nc={nc}'
        return value if self.opaque is None else f'{value}, opaque="{self.opaque}"'


def strongest(challenges: Iterable[DigestChallenge], realm: str) -> DigestChallenge | None:
    """Return the strongest challenge of a realm, ``*`` for any; None where there is none."""
    order = list(DigestAlgorithm)
    fitting = [each for each in challenges if realm in {"*", each.realm}]
    return min(fitting, key=lambda each: order.index(each.algorithm), default=None)
