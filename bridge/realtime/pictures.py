"""Pictures for the model: PNG or JPEG by their first bytes, bounded, and never decoded here.

    read_picture(bytes) -> Picture, or PictureError with the reason

Only the header is read, for the size in pixels: what a picture unpacks to is the service's matter,
and no bomb goes off in a gateway. A picture becomes an ``input_image`` part of a user's message
(`PROTOCOL.md` section 6), in dialects that have one. Its bytes are in no repr and in no log; what
is said of it is :attr:`Picture.facts`.
"""

import binascii
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import pybase64

from bridge.realtime.items import ContentPart, Item, Message, PartKind

MAX_PICTURE_BYTES = 720 * 1024
"""In base64 it stays below 1 MiB, the largest frame that many a WebSocket library takes unless it
is set otherwise (RFC 6455 gives none). OpenAI documents no bound (openai-agents-js issue 501)."""

MAX_PICTURE_BASE64 = MAX_PICTURE_BYTES * 4 // 3
"""Characters of it."""

MAX_SIDE_PX = 4096
"""Models look at far less; a small file that unpacks to more is meant to hurt."""

UNSEEN = "[a picture that cannot be shown to you now]"
"""Stands for a picture in a session that takes none, or is not given it again."""


class PictureError(Exception):
    """What came is no picture that may be shown.

    Attributes:
        why: the end of a sentence about the picture, without anything of it.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"the picture {why}")
        self.why = why


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG or a JPEG, as it came.

    Attributes:
        media_type: ``image/png`` or ``image/jpeg``, by its bytes.
        width_px, height_px: by its header.
        digest: SHA-256 of its bytes, in hex.
    """

    media_type: str
    width_px: int
    height_px: int
    digest: str
    data: bytes = field(repr=False)

    @property
    def facts(self) -> Mapping[str, str | int]:
        """Facts of it that may be written down."""
        return {
            "digest": self.digest,
            "media_type": self.media_type,
            "size_bytes": len(self.data),
            "width_px": self.width_px,
            "height_px": self.height_px,
        }

    @property
    def part(self) -> ContentPart:
        """The part of a message that shows it."""
        text = pybase64.b64encode(self.data).decode("ascii")
        return ContentPart(PartKind.INPUT_IMAGE, image_url=f"data:{self.media_type};base64,{text}")


def read_picture(data: bytes, media_type: str | None = None) -> Picture:
    """Check a picture by its bytes.

    Args:
        data: of the file.
        media_type: that its sender calls it; None where nobody says.

    Raises:
        PictureError: neither PNG nor JPEG, another one than it is called, broken, or too large.
    """
    if len(data) > MAX_PICTURE_BYTES:
        raise PictureError(f"has more than {MAX_PICTURE_BYTES // 1024} KiB")
    found = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
    if found is None:
        raise PictureError("is neither PNG nor JPEG")
    if media_type is not None and media_type != found:
        raise PictureError(f"is {found}, and is called another type")
    width_px, height_px = _SIZES[found](data)
    if not (0 < width_px <= MAX_SIDE_PX and 0 < height_px <= MAX_SIDE_PX):
        raise PictureError(f"has no side of 1 to {MAX_SIDE_PX} pixels")
    return Picture(found, width_px, height_px, hashlib.sha256(data).hexdigest(), data)


def read_picture_object(given: Mapping[str, object]) -> Picture:
    """Read ``{"media_type": "image/png", "data": base64}``, as tools and the API give pictures.

    Raises:
        PictureError: as :func:`read_picture`, or the object is not of this form.
    """
    media_type, text = given.get("media_type"), given.get("data")
    if not isinstance(text, str) or not isinstance(media_type, str):
        raise PictureError("has no text 'media_type' and 'data'")
    if len(text) > MAX_PICTURE_BASE64:
        raise PictureError(f"has more than {MAX_PICTURE_BYTES // 1024} KiB")
    try:
        data = pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise PictureError("is not base64") from None
    return read_picture(data, media_type)


def in_words(item: Item) -> Item:
    """Return an item with words in the place of its pictures, for a session that gets none."""
    if not isinstance(item, Message):
        return item
    parts = tuple(
        ContentPart(PartKind.INPUT_TEXT, UNSEEN) if part.kind is PartKind.INPUT_IMAGE else part
        for part in item.parts
    )
    return item if parts == item.parts else replace(item, parts=parts)


_PNG = b"\x89PNG\r\n\x1a\n"
_MAGIC = {_PNG: "image/png", b"\xff\xd8\xff": "image/jpeg"}
_CHUNK_FRAME = 12
"""A PNG chunk's length, type and check (ISO 15948 section 5.3)."""

_HEADER_DATA = 13


def _png_size(data: bytes) -> tuple[int, int]:
    """Read width and height, once the file is known to be whole: chunks from IHDR to IEND."""
    chunks = _png_chunks(data)
    name, header = next(chunks, (b"", b""))
    if name != b"IHDR" or len(header) != _HEADER_DATA:
        raise PictureError("begins with no PNG header")
    if all(name != b"IEND" for name, _ in chunks):
        raise PictureError("is cut off")
    return int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names of chunks that are all there, and the beginning of their data."""
    at = len(_PNG)
    while at + _CHUNK_FRAME <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + _CHUNK_FRAME + length > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + min(length, _HEADER_DATA + 1)]
        at += _CHUNK_FRAME + length


_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15 without DHT, JPG and DAC (ITU-T T.81 table B.1)."""

_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_SCAN, _END = 0xDA, 0xD9
_LENGTH_ITSELF, _SOF_BYTES = 2, 8


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Read width and height off the frame header, which comes before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes (T.81 section B.1.1.2)
            at += 1
            continue
        if marker in (_SCAN, _END):
            break
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAME_HEADERS and length >= _SOF_BYTES and at + 2 + length <= len(data):
            return (
                int.from_bytes(data[at + 7 : at + 9], "big"),
                int.from_bytes(data[at + 5 : at + 7], "big"),
            )
        if length < _LENGTH_ITSELF:
            break
        at += 2 + length
    raise PictureError("has no JPEG frame header")


_SIZES: Mapping[str, Callable[[bytes], tuple[int, int]]] = MappingProxyType(
    {"image/png": _png_size, "image/jpeg": _jpeg_size}
)
