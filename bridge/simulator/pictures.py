"""The agent's eye: reads an ``input_image`` of a client and says what a PNG is, by colour and size.

Another's work than the gateway's reader of headers: it unpacks the pixels, so whoever is answered
"a red picture of 64 by 48 pixels" has got all of its bytes through. JPEGs are taken, and named.
"""

import binascii
import re
import zlib
from base64 import b64decode
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bridge.simulator.refusal import refuse

_URL = re.compile(r"data:(image/png|image/jpeg);base64,([A-Za-z0-9+/]*={0,2})")
_MOST_PIXELS = 512 * 512
"""Larger ones are not unpacked: the reader is slow, and tests draw small ones."""

_PATCH_PX = 32
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""By the colour type of ISO 15948 section 11.2.2; palettes are not read."""

_COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 160, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "grey": (128, 128, 128),
}


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """What the agent sees of a picture; ``tokens``: what it costs to look, by the local server."""

    words: str
    tokens: int


@lru_cache(maxsize=64)
def look_at(image_url: str) -> SeenPicture:
    """Look at a picture.

    Raises:
        EventRefused: no data URL of a PNG or JPEG in base64, or a PNG that can't be unpacked.
    """
    found = _URL.fullmatch(image_url)
    try:
        data = b"" if found is None else b64decode(found[2], validate=True)
    except binascii.Error:
        data = b""
    if found is None or not data:
        raise _refused("Expected a base64-encoded data URL of a PNG or JPEG.")
    if found[1] == "image/jpeg":
        if not data.startswith(b"\xff\xd8\xff"):
            raise _refused("The data is no JPEG.")
        return SeenPicture("a photograph", 1)
    try:
        return _look_at_png(data)
    except (ValueError, IndexError, zlib.error) as error:
        raise _refused("The data is no PNG that can be read.") from error


def _refused(why: str) -> Exception:
    return refuse("invalid_value", f"Invalid 'image_url'. {why}", "item.content")


def _look_at_png(data: bytes) -> SeenPicture:
    chunks = _chunks(data)
    head = chunks[0][1]
    width, height = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
    size = f"{width} by {height} pixels"
    tokens = -(-width // _PATCH_PX) * -(-height // _PATCH_PX)
    channels = _CHANNELS.get(head[9])
    if head[8] != 8 or head[12] or channels is None or width * height > _MOST_PIXELS:
        return SeenPicture(f"a picture of {size}", tokens)
    packed = b"".join(body for name, body in chunks if name == b"IDAT")
    rows = _rows(zlib.decompress(packed), width * channels, height, channels)
    pixels = rows.reshape(-1, channels)
    rgb = pixels[:, :3] if channels > 2 else np.repeat(pixels[:, :1], 3, axis=1)
    mean = rgb.mean(axis=0)
    colour = min(_COLOURS, key=lambda name: float(np.abs(mean - _COLOURS[name]).sum()))
    return SeenPicture(f"a {colour} picture of {size}", tokens)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks, each with its check summed up anew; the last one is IEND."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("no signature")
    found: list[tuple[bytes, bytes]] = []
    at = 8
    while not found or found[-1][0] != b"IEND":
        length = int.from_bytes(data[at : at + 4], "big")
        named, check = data[at + 4 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if zlib.crc32(named) != int.from_bytes(check, "big") or len(check) != 4:
            raise ValueError("a broken chunk")
        found.append((named[:4], named[4:]))
        at += 12 + length
    return found


def _rows(raw: bytes, width: int, height: int, step: int) -> NDArray[np.uint8]:
    """Undo the filters (ISO 15948 section 9.2); (height, width) bytes."""
    lines = np.frombuffer(raw, np.uint8).reshape(height, width + 1)
    out = np.zeros((height + 1, width + step), np.uint8)  # a row and a pixel of zeros before
    for y in range(height):
        kind, above, line = lines[y, 0], out[y].tolist(), out[y + 1].tolist()
        for x, value in enumerate(lines[y, 1:].tolist(), start=step):
            left, up, corner = line[x - step], above[x], above[x - step]
            guess = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]
            line[x] = (value + guess) & 0xFF
        out[y + 1] = line
    return out[1:, step:]


def _paeth(left: int, up: int, corner: int) -> int:
    base = left + up - corner
    return min((left, up, corner), key=lambda each: abs(base - each))
