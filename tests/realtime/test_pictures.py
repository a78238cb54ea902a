"""Pictures are known by their bytes, bounded by header and size, and never unpacked."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.realtime.commands import CreateItem
from bridge.realtime.dialects import DIALECTS
from bridge.realtime.ids import ToolCallId
from bridge.realtime.items import ContentPart, FunctionCallOutput, Message, PartKind, Role
from bridge.realtime.pictures import (
    MAX_PICTURE_BYTES,
    MAX_SIDE_PX,
    UNSEEN,
    PictureError,
    in_words,
    read_picture,
    read_picture_object,
)
from tests.support.pictures import as_json, bomb, chunk, digest, jpeg, png

WHOLE = png(64, 48)


def refusal(data: bytes, media_type: str | None = None) -> str:
    with pytest.raises(PictureError) as refused:
        read_picture(data, media_type)
    return refused.value.why


def test_png_is_read_off_its_header() -> None:
    picture = read_picture(WHOLE, "image/png")
    assert picture.facts == {
        "digest": digest(WHOLE),
        "media_type": "image/png",
        "size_bytes": len(WHOLE),
        "width_px": 64,
        "height_px": 48,
    }
    assert picture.data == WHOLE


@pytest.mark.parametrize("sof", [0xC0, 0xC1, 0xC2])
@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"\xff\xff\xff\xfe\0\5abc",  # fill bytes before a comment
        b"\xff\xe1" + struct.pack(">H", 60_000) + bytes(59_998),  # EXIF with a thumbnail
        b"\xff\xc4\0\5abc",  # a table whose marker lies among those of frames
    ],
)
def test_jpeg_is_read_off_its_frame_header(sof: int, before: bytes) -> None:
    picture = read_picture(jpeg(640, 480, sof, before))
    assert (picture.media_type, picture.width_px, picture.height_px) == ("image/jpeg", 640, 480)


def test_part_is_a_data_url_of_the_same_bytes() -> None:
    part = read_picture(WHOLE).part
    assert part.kind is PartKind.INPUT_IMAGE
    head, _, text = str(part.image_url).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(text) == WHOLE


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is neither PNG nor JPEG"),
        (b"GIF89a" + bytes(20), "is neither PNG nor JPEG"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "is neither PNG nor JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is neither PNG nor JPEG"),
        (b" " + WHOLE, "is neither PNG nor JPEG"),
        (WHOLE[:-5], "is cut off"),
        (WHOLE[:40], "is cut off"),
        (WHOLE[:8] + chunk(b"IDAT", b"x") + WHOLE[8:], "begins with no PNG header"),
        (WHOLE[:8] + chunk(b"IHDR", bytes(20)) + chunk(b"IEND", b""), "begins with no PNG header"),
        (WHOLE[:8], "begins with no PNG header"),
        (WHOLE[:8] + b"\xff\xff\xff\xffIHDR", "begins with no PNG header"),
        (png(0, 10), "has no side of 1 to 4096 pixels"),
        (bomb(MAX_SIDE_PX + 1, 1), "has no side of 1 to 4096 pixels"),
        (bomb(2**31 - 1, 2**31 - 1), "has no side of 1 to 4096 pixels"),
        (jpeg(65_535, 65_535), "has no side of 1 to 4096 pixels"),
        (jpeg(10, 0), "has no side of 1 to 4096 pixels"),  # its height comes later (DNL)
        (b"\xff\xd8\xff", "has no JPEG frame header"),
        (b"\xff\xd8\xff\xd9", "has no JPEG frame header"),
        (b"\xff\xd8\xff\xe0\0\0" * 3, "has no JPEG frame header"),  # a segment without its length
        (b"\xff\xd8" + b"\xff" * 700_000, "has no JPEG frame header"),
        (jpeg(10, 10)[:22], "has no JPEG frame header"),
        (jpeg(10, 10, before=b"\xff\xda"), "has no JPEG frame header"),
        (WHOLE + bytes(MAX_PICTURE_BYTES), "has more than 720 KiB"),
    ],
)
def test_what_is_no_picture_is_refused_by_its_bytes(data: bytes, why: str) -> None:
    assert refusal(data) == why


def test_largest_picture_is_taken() -> None:
    room = MAX_PICTURE_BYTES - len(png(1, 1, more=chunk(b"tEXt", b"")))
    data = png(1, 1, more=chunk(b"tEXt", bytes(room)))
    assert len(data) == MAX_PICTURE_BYTES
    assert read_picture(data).data == data
    assert len(str(read_picture(data).part.image_url)) < 1024 * 1024
    assert read_picture_object(as_json(data)).digest == digest(data)


def test_name_of_another_type_is_refused() -> None:
    assert refusal(WHOLE, "image/jpeg") == "is image/png, and is called another type"
    assert refusal(jpeg(1, 1), "image/png") == "is image/jpeg, and is called another type"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"media_type": "image/png", "data": None},
        {"media_type": 1, "data": "AAAA"},
        {"media_type": "image/png", "data": "not base64!"},
        {"media_type": "image/png", "data": base64.b64encode(WHOLE).decode()[:-3]},
        {"media_type": "image/png", "data": "A" * (MAX_PICTURE_BYTES * 2)},
        {"media_type": "image/png", "data": "\ud800"},
        {"media_type": "image/svg+xml", "data": base64.b64encode(WHOLE).decode()},
    ],
)
def test_object_of_another_form_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(PictureError):
        read_picture_object(given)


@given(
    st.binary(max_size=200), st.sampled_from([b"", WHOLE[:33], jpeg(3, 4)[:20], b"\xff\xd8\xff"])
)
def test_any_bytes_are_a_picture_or_refused(tail: bytes, head: bytes) -> None:
    try:
        picture = read_picture(head + tail)
    except PictureError:
        return
    assert 0 < picture.width_px <= MAX_SIDE_PX


def test_bytes_are_in_no_repr() -> None:
    picture = read_picture(WHOLE)
    text = base64.b64encode(WHOLE).decode()[:24]
    message = Message(Role.USER, (picture.part,))
    assert "PNG" not in repr(picture)
    assert text not in repr(message)


def test_words_stand_for_pictures_where_there_can_be_none() -> None:
    note = ContentPart(PartKind.INPUT_TEXT, "A roof.")
    shown = Message(Role.USER, (note, read_picture(WHOLE).part))
    words = ContentPart(PartKind.INPUT_TEXT, UNSEEN)
    assert in_words(shown) == Message(Role.USER, (note, words))
    other = FunctionCallOutput(ToolCallId("c"), "{}")
    assert in_words(other) is other


@pytest.mark.parametrize("name", DIALECTS)
def test_dialect_says_what_a_client_may_create_and_encodes_nothing_else(name: str) -> None:
    """By this alone it is known beforehand whether a picture can be said."""
    dialect = DIALECTS[name]()
    assert PartKind.INPUT_TEXT in dialect.capabilities.creates
    assert (PartKind.INPUT_IMAGE in dialect.capabilities.creates) == (name == "ga")
    for kind in PartKind:
        part = ContentPart(kind, text="x", image_url="data:,", audio=b"ab")
        command = CreateItem(Message(Role.USER, (part,)))
        if kind in dialect.capabilities.creates:
            assert dialect.encode(command)
        else:
            with pytest.raises(ValueError, match="cannot create"):
                dialect.encode(command)
