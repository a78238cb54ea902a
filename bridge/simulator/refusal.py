"""The server's refusal of a request, as the exception that an ``error`` event is made from."""

from bridge.realtime.event_values import ApiError


class EventRefused(Exception):
    """A client event was refused: an ``error`` event is due, and nothing has changed."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.code or error.type)
        self.error = error


def refuse(code: str | None, message: str, param: str | None = None) -> EventRefused:
    """Make the refusal of a client's mistake (`PROTOCOL.md` section 7, table of codes)."""
    return EventRefused(ApiError("invalid_request_error", message, code=code, param=param))
