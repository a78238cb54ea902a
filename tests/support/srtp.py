"""SRTP (RFC 3711) with keys as in RFC 4568, by hand: one UDP port that speaks and listens.

AES_CM_128 with HMAC-SHA1 of 80 or 32 bits, and AEAD_AES_128_GCM and _256 (RFC 7714); no lifetime's
end, no master key identifier.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import struct
from itertools import count

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bridge.audio import g711

SUITES = {"AES_CM_128_HMAC_SHA1_80": 10, "AES_CM_128_HMAC_SHA1_32": 4}
"""With the bytes of their tag."""
GCM_SUITES = {"AEAD_AES_128_GCM": 16, "AEAD_AES_256_GCM": 32}
"""With the bytes of their key."""
_GCM_SALT_BYTES = 12
_ENCRYPTION, _AUTHENTICATION, _SALT = 0, 1, 2
_HEADER = struct.Struct("!BBHII")
_FRAME_SAMPLES = 160
_PTIME_S = 0.02


def new_key(suite: str = "") -> str:
    """Return a master key and salt in base64, as AES_CM_128 wants them or a named suite."""
    length = GCM_SUITES[suite] + _GCM_SALT_BYTES if suite in GCM_SUITES else 30
    return base64.b64encode(secrets.token_bytes(length)).decode()


def context(suite: str, key: str) -> "SrtpContext | GcmContext":
    """Return one direction's keys."""
    return (GcmContext if suite in GCM_SUITES else SrtpContext)(suite, key)


def line(tag: int, suite: str, key: str, more: str = "") -> str:
    """Return the value of a crypto line."""
    return f"crypto:{tag} {suite} inline:{key}{more}"


def lines_in(description: str) -> list[tuple[int, str, str]]:
    """Return tag, suite and key of the crypto lines in a session description."""
    found = re.findall(r"^a=crypto:(\d+) (\S+) inline:([^\s|]+)", description, re.MULTILINE)
    return [(int(tag), suite, key) for tag, suite, key in found]


class SrtpContext:
    """One direction's keys."""

    def __init__(self, suite: str, key: str) -> None:
        master = base64.b64decode(key)
        self._key, self._salt = master[:16], master[16:30]
        self._tag_bytes = SUITES[suite]
        self._cipher_key = _derive(self._key, self._salt, _ENCRYPTION, 16)
        self._auth_key = _derive(self._key, self._salt, _AUTHENTICATION, 20)
        self._session_salt = _derive(self._key, self._salt, _SALT, 14)

    def protect(self, packet: bytes) -> bytes:
        """Encrypt an RTP packet of the first rollover."""
        sent = packet[:12] + self._crypt(packet)
        return sent + self._tag(sent)

    def unprotect(self, packet: bytes) -> bytes | None:
        """Return the RTP packet; None where its tag is another key's."""
        body, tag = packet[: -self._tag_bytes], packet[-self._tag_bytes :]
        if not hmac.compare_digest(self._tag(body), tag):
            return None
        return body[:12] + self._crypt(body)

    def _crypt(self, packet: bytes) -> bytes:
        sequence, ssrc = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
        start = (int.from_bytes(self._session_salt, "big") << 16) ^ (ssrc << 64) ^ (sequence << 16)
        return _aes_counter(self._cipher_key, start, packet[12:])

    def _tag(self, packet: bytes) -> bytes:
        rollover = bytes(4)
        digest = hmac.new(self._auth_key, packet + rollover, hashlib.sha1).digest()
        return digest[: self._tag_bytes]


class GcmContext:
    """One direction's keys of an AEAD_AES_*_GCM suite."""

    def __init__(self, suite: str, key: str) -> None:
        length, master = GCM_SUITES[suite], base64.b64decode(key)
        salt = master[length:] + bytes(2)  # as long as AES_CM's (RFC 7714 section 11)
        self._cipher = AESGCM(_derive(master[:length], salt, _ENCRYPTION, length))
        self._salt = _derive(master[:length], salt, _SALT, _GCM_SALT_BYTES)

    def protect(self, packet: bytes) -> bytes:
        """Encrypt an RTP packet of the first rollover."""
        return packet[:12] + self._cipher.encrypt(self._nonce(packet), packet[12:], packet[:12])

    def unprotect(self, packet: bytes) -> bytes | None:
        """Return the RTP packet; None where its tag is another key's."""
        try:
            sent = self._cipher.decrypt(self._nonce(packet), packet[12:], packet[:12])
        except InvalidTag:
            return None
        return packet[:12] + sent

    def _nonce(self, packet: bytes) -> bytes:
        plain = bytes(2) + packet[8:12] + bytes(4) + packet[2:4]
        return bytes(a ^ b for a, b in zip(plain, self._salt, strict=True))


def _derive(key: bytes, salt: bytes, label: int, length: int) -> bytes:
    """Derive a session key (RFC 3711 section 4.3.1)."""
    start = (int.from_bytes(salt, "big") ^ (label << 48)) << 16
    return _aes_counter(key, start, bytes(length))


def _aes_counter(key: bytes, start: int, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16, "big"))).encryptor()
    return encryptor.update(data)


class SrtpPeer(asyncio.DatagramProtocol):
    """A UDP port that speaks a loud tone; open it with ``async with``.

    Attributes:
        port: its own.
        speaks, hears: keys of what is sent and of what comes; None for plain RTP.
        heard: decrypted payloads that came.
        unread: packets that came and had another key, or none.
    """

    def __init__(self) -> None:
        self.port = 0
        self.speaks: SrtpContext | GcmContext | None = None
        self.hears: SrtpContext | GcmContext | None = None
        self.heard: list[bytes] = []
        self.unread = 0
        self._ssrc = secrets.randbits(31)
        self._sequence = count(100)
        self._transport: asyncio.DatagramTransport
        self._speaking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "SrtpPeer":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
        self._transport.close()

    def speak(self, port: int) -> None:
        """Send a packet every 20 ms from here on."""
        if self._speaking is not None:
            self._speaking.cancel()
        self._speaking = asyncio.create_task(self._speak(port), name="srtp")

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) < 12 or 64 <= data[1] & 0x7F < 96:  # RTCP (RFC 5761 section 4)
            return
        packet = data if self.hears is None else self.hears.unprotect(data)
        if packet is None:
            self.unread += 1
        else:
            self.heard.append(packet[12:])

    async def _speak(self, port: int) -> None:
        wave = 12_000 * np.sin(2 * np.pi * 500 * np.arange(_FRAME_SAMPLES) / 8000)
        payload = g711.encode(g711.Law.PCMU, wave.astype(np.int16))
        while True:
            sequence = next(self._sequence)
            header = _HEADER.pack(0x80, 0, sequence, sequence * _FRAME_SAMPLES, self._ssrc)
            packet = header + payload
            sent = packet if self.speaks is None else self.speaks.protect(packet)
            self._transport.sendto(sent, ("127.0.0.1", port))
            await asyncio.sleep(_PTIME_S)
