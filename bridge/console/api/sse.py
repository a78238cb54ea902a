"""Server-Sent Events: one event's text, and an answer of them."""

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse


def encode(event: str, data: str) -> str:
    """Return an event as it goes over the wire; ``data`` is JSON, and so has no line break."""
    return f"event: {event}\ndata: {data}\n\n"


async def _encoded(events: AsyncIterator[tuple[str, str]]) -> AsyncIterator[str]:
    async for event, data in events:
        yield encode(event, data)


def answer(events: AsyncIterator[tuple[str, str]]) -> StreamingResponse:
    """Return an answer that gives (event, JSON) as they come."""
    return StreamingResponse(
        _encoded(events), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )
