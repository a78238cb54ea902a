"""Pictures drawn here, byte by byte: PNGs of one colour, and the beginnings of JPEGs."""

import base64
import hashlib
import struct
import zlib

from bridge.realtime.dialect import ServiceTraits
from bridge.realtime.items import PartKind

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 160, 0)


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a PNG chunk (ISO 15948 section 5.3)."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, rgb: tuple[int, int, int] = RED, more: bytes = b"") -> bytes:
    """Draw a PNG of one colour; ``more`` chunks stand before its pixels."""
    rows = (b"\0" + bytes(rgb) * width) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + more
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG that claims to be huge."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(1_000_000), 9))
        + chunk(b"IEND", b"")
    )


def jpeg(width: int, height: int, sof: int = 0xC0, before: bytes = b"") -> bytes:
    """Return a JPEG without a picture: its header, a frame header, a scan of nothing (T.81)."""
    frame = struct.pack(">BHHB", 8, height, width, 3) + b"\1\x22\0\2\x11\1\3\x11\1"
    jfif = b"JFIF\0\1\1\0\0\1\0\1\0\0"
    return (
        b"\xff\xd8"
        + (b"\xff\xe0" + struct.pack(">H", len(jfif) + 2) + jfif)
        + before
        + (bytes([0xFF, sof]) + struct.pack(">H", len(frame) + 2) + frame)
        + b"\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0\xff\xd9"
    )


def as_json(data: bytes, media_type: str = "image/png") -> dict[str, str]:
    """Return a picture as tools and the API give it."""
    return {"media_type": media_type, "data": base64.b64encode(data).decode()}


def digest(data: bytes) -> str:
    """Return what the bridge writes down of a picture."""
    return hashlib.sha256(data).hexdigest()


WITH_PICTURES = ServiceTraits(creates=frozenset({PartKind.INPUT_TEXT, PartKind.INPUT_IMAGE}))
"""Of a service whose agent can be shown some."""
