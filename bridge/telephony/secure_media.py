"""SRTP with keys in the session description (SDES, RFC 4568): by account, and by crypto line.

PJSUA has one choice of SRTP for an account, so there is an account for each choice that a trunk
makes: a call's is that of the trunk it came from, or that it goes to.

PJSIP refuses a whole description for one crypto line that it can't read, ignores what a line says
behind its key (a master key identifier, packets left plain), and overflows its stack at more than
64 lines (CVE-2026-57162). So the lines that it can't serve are renamed before it reads them, by the
same number of bytes, and the others are left to it. RFC 4568 section 7.1.2 has the answerer pass
over lines like that.
"""

import ctypes
import re
from collections.abc import Collection
from typing import Any

import structlog

from bridge.config.secure_sip import Srtp
from bridge.telephony.guarding import guarded
from bridge.telephony.library import import_pjsua2
from bridge.telephony.received_message import MessageFinder
from bridge.telephony.sip_module import HANDLED, PASS, SipModule

pj: Any = import_pjsua2()  # a SWIG module without types
log = structlog.get_logger(__name__)

_KEY_CHARS = {
    "AES_CM_128_HMAC_SHA1_80": 40,
    "AES_CM_128_HMAC_SHA1_32": 40,
    "AEAD_AES_128_GCM": 40,
    "AEAD_AES_256_GCM": 60,
}
"""The suites that are taken, and the length of key and salt in base64 (RFC 4568 section 6.2, RFC
7714 section 12). PJSIP has those of GCM where its libsrtp is built with OpenSSL."""
_OFFERED = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
"""By us, in this order: every carrier takes the first. GCM would make each INVITE some 200 octets
longer; it is for far ends that offer it."""
_MOST_LINES = 8
"""Of a message: a far end that offers more gets the first ones considered."""

_BEFORE_BODIES_ARE_READ = 12
"""Above PJSIP_MOD_PRIORITY_TRANSPORT_LAYER (8)."""

_USES: dict[Srtp, Any] = {
    "off": pj.PJMEDIA_SRTP_DISABLED,
    "optional": pj.PJMEDIA_SRTP_OPTIONAL,
    "required": pj.PJMEDIA_SRTP_MANDATORY,
}

_ANY_LINE = re.compile(rb"=[ \t]*crypto", re.IGNORECASE)
_LINE = re.compile(
    rb"(?<=\na)=crypto:(?P<tag>0|[1-9][0-9]{0,8}) (?P<suite>[A-Z0-9_]+)"
    rb" inline:(?P<key>[A-Za-z0-9+/]+=*)"
    rb"(?:\|(?:2\^)?[0-9]{1,20})?(?P<parameters>(?: [!-~]+)*) ?(?=\r?\n|\Z)"
)
_OUR_LINE = re.compile(r"^a=crypto:[0-9]+ (?P<suite>\S+) .*\r?\n", re.MULTILINE)
_HARMLESS = re.compile(rb"WSH=[0-9]+|-[!-~]+")
"""Session parameters that oblige to nothing (RFC 4568 sections 6.3.6 and 6.3.7)."""


def secure(config: Any, srtp: Srtp) -> None:
    """Write into an account's configuration whether its calls use SRTP."""
    media = config.mediaConfig
    media.srtpUse = _USES[srtp]
    media.srtpSecureSignaling = 0  # who wants SRTP without TLS is warned at the start
    media.srtpOpt.keyings = pj.IntVector([pj.PJMEDIA_SRTP_KEYING_SDES])
    suites = pj.SrtpCryptoVector()
    for name in usable_suites():
        suite = pj.SrtpCrypto()
        suite.name = name
        suites.append(suite)
    media.srtpOpt.cryptos = suites


def usable_suites() -> tuple[str, ...]:
    """Return the suites that are taken and that the loaded PJSIP has; it must run."""
    there = {str(each) for each in pj.Endpoint.instance().srtpCryptoEnum()}
    return tuple(name for name in _KEY_CHARS if name in there)


def with_offered_suites(description: str) -> str:
    """Return our session description, if it offers keys, without those that we don't offer.

    An answer has one key, of the far end's choice.
    """
    lines = _OUR_LINE.findall(description)
    if len(lines) < 2:
        return description
    return _OUR_LINE.sub(lambda line: line[0] if line["suite"] in _OFFERED else "", description)


def with_usable_keys(message: bytes, suites: Collection[str] = _KEY_CHARS) -> bytes:
    """Return a message whose crypto lines PJSIP can all serve; its length stays.

    Args:
        suites: that PJSIP has.
    """
    kept: set[tuple[int, bytes]] = set()

    def judge(found: re.Match[bytes]) -> bytes:
        line = _LINE.match(message, found.start())
        usable = line is not None and line["suite"].decode() in suites and _is_usable(line)
        if line is not None and usable and len(kept) < _MOST_LINES:
            name = message.count(b"\nm=", 0, found.start()), line["tag"]
            if name not in kept:  # PJSIP refuses all where two of a stream have one tag
                kept.add(name)
                return found[0]
        return found[0][:-6] + b"-rypto"

    return _ANY_LINE.sub(judge, message)


def _is_usable(line: re.Match[bytes]) -> bool:
    if len(line["key"]) != _KEY_CHARS[line["suite"].decode()]:
        return False
    return all(_HARMLESS.fullmatch(each) for each in line["parameters"].split())


class CryptoDoor:
    """Holds PJSIP to the crypto lines that it can serve.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
    """

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._finder = MessageFinder(lib)
        self._suites = usable_suites()
        on_any = {"on_rx_request": self._on_message, "on_rx_response": self._on_message}
        self._module = SipModule(lib, b"mod-crypto", _BEFORE_BODIES_ARE_READ, on_any)

    def _on_message(self, rdata: int) -> int:
        with guarded(log, "crypto_not_judged"):
            found = self._finder.text(rdata)
            text = ctypes.string_at(*found) if found else b""
            if found and _ANY_LINE.search(text):
                ctypes.memmove(
                    found[0], with_usable_keys(text, self._suites), len(text)
                )  # of the same length
            return PASS
        return HANDLED  # PJSIP overflows by some
