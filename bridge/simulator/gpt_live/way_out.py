"""The way from a GPT-Live session to its client: events get their names here, and their order."""

from bridge.realtime.event_values import ApiError
from bridge.simulator.faults import Moment
from bridge.simulator.gpt_live.timeline import Outgoing
from bridge.simulator.names import new_name
from bridge.simulator.outbox import Close, Outbox
from bridge.simulator.wire import WireObject

_NAMELESS = frozenset({"session.output_audio.delta"})
"""Events without an ``event_id``."""

_LEFT_OUT = ("client_event_id", "param")
"""Fields that are left out where there is nothing to say."""


class WayOut:
    """The way to one client.

    Args:
        outbox: takes events for it.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def send(self, outgoing: Outgoing) -> None:
        """Send an event.

        Raises:
            SlowClientError: the client doesn't read.
        """
        named = {} if outgoing.kind in _NAMELESS else {"event_id": new_name("event")}
        written = {"type": outgoing.kind, **named, **_without_nothing(outgoing.fields)}
        self._outbox.put(written, outgoing.moments)

    def emit(self, kind: str, *moments: Moment, **fields: object) -> None:
        """Send an event, by its fields; raises as :meth:`send` does."""
        self.send(Outgoing(kind, fields, frozenset(moments)))

    def report(self, error: ApiError) -> None:
        """Send an error, which always has a code; raises as :meth:`send` does."""
        said: WireObject = {
            "type": error.type,
            "code": error.code or error.type,
            "message": error.message,
            "param": error.param,
            "client_event_id": error.client_event_id,
        }
        self.emit("error", error=_without_nothing(said))

    def hang_up(self, code: int) -> None:
        """Close the connection once all before it is sent."""
        self._outbox.do(Close(code, ""))


def _without_nothing(fields: WireObject) -> WireObject:
    return {
        name: value for name, value in fields.items() if value is not None or name not in _LEFT_OUT
    }
