"""The local server sees pictures in GA: it takes none but data URLs, and says what they are."""

import base64
import zlib
from typing import Any

import pytest

from tests.simulator.client import connected
from tests.support.pictures import BLUE, GREEN, bomb, chunk, jpeg, png

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]


def url_of(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def message(*urls: object, **more: object) -> dict[str, Any]:  # Any: JSON
    parts = [{"type": "input_image", "image_url": each, **more} for each in urls]
    return {"type": "message", "role": "user", "content": parts}


def filtered(width: int, height: int) -> bytes:
    """A blue PNG whose rows use each of the five filters (ISO 15948 section 9.2)."""
    plain = bytes(BLUE) * width
    rows = [bytes([kind]) + _filter(kind, plain, y) for y, kind in enumerate([0, 1, 2, 3, 4])]
    rows += [b"\2" + bytes(len(plain))] * (height - len(rows))
    whole = png(width, height)
    head = whole[: whole.index(b"IDAT") - 4]
    return head + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")


def _filter(kind: int, plain: bytes, y: int) -> bytes:
    before = bytes(3) + plain[:-3]  # the pixel to the left
    above = plain if y else bytes(len(plain))
    if kind == 1:
        guess: Any = before
    elif kind == 3:
        guess = [(a + b) // 2 for a, b in zip(before, above, strict=True)]
    else:  # all rows are alike, so what Paeth guesses is above
        guess = above if kind in (2, 4) else bytes(len(plain))
    return bytes((p - g) & 0xFF for p, g in zip(plain, guess, strict=True))


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        (url_of(png(64, 48)), "a red picture of 64 by 48 pixels"),
        (url_of(png(1, 1, GREEN)), "a green picture of 1 by 1 pixels"),
        (url_of(filtered(7, 9)), "a blue picture of 7 by 9 pixels"),
        (url_of(png(600, 600, BLUE)), "a picture of 600 by 600 pixels"),
        (url_of(jpeg(9, 9), "image/jpeg"), "a photograph"),
    ],
)
async def test_agent_says_what_it_sees(url: str, image: str, seen: str) -> None:
    async with connected(url) as client:
        await client.send("conversation.item.create", item=message(image, detail="low"))
        (part,) = (await client.until("conversation.item.done"))["item"]["content"]
        assert (part["type"], part["image_url"]) == ("input_image", image)
        await client.send("response.create")
        said = await client.until("response.output_audio_transcript.done")
        assert said["transcript"] == f"I see {seen}."
        usage = (await client.until("response.done"))["response"]["usage"]
        assert usage["input_token_details"]["image_tokens"] > 0


@pytest.mark.parametrize(
    "image",
    [
        "https://shop.example/1.png",
        "data:,",
        "data:image/png,plain",
        "data:image/gif;base64,R0lGODlh",
        url_of(png(4, 4), "image/webp"),
        url_of(png(4, 4)) + "!",
        url_of(png(4, 4)[:-3]),
        url_of(png(4, 4).replace(b"IDAT", b"IDAX")),
        url_of(bomb(100, 100)),
        url_of(png(4, 4), "image/jpeg"),
        url_of(jpeg(4, 4)),
        None,
        7,
    ],
)
async def test_what_is_no_picture_is_refused_and_the_session_goes_on(
    url: str, image: object
) -> None:
    async with connected(url) as client:
        await client.send("conversation.item.create", item=message(image))
        error = await client.error()
        assert error["type"] == "invalid_request_error"
        assert error["param"].startswith("item.content")
        await client.send("response.create")
        await client.until("response.done")


async def test_part_has_no_other_fields(url: str) -> None:
    async with connected(url) as client:
        for more in ({"detail": "huge"}, {"media_type": "image/png"}):
            item = message(url_of(png(4, 4)), **more)
            await client.send("conversation.item.create", item=item)
            assert (await client.error())["param"].startswith("item.content[0]")
