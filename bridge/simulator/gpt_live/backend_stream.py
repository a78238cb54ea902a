"""One response of the Responses backend, as the events inside GPT-Live's ``response.event``.

Pure. Snapshots are as small as the service's: no input, no instructions, no tools, and an output
that is always empty, so that calls are found in their own events alone (`PROTOCOL.md` section 11).
"""

from collections.abc import Iterator

from bridge.simulator.agent import AgentToolUse
from bridge.simulator.conversation import text_tokens
from bridge.simulator.generation import in_pieces
from bridge.simulator.gpt_live.shapes import BackendShape
from bridge.simulator.names import new_name
from bridge.simulator.wire import WireObject

_FAILURES = {"rate_limit_exceeded": "Rate limit reached. Please try again later."}
_FAILED = "The server had an error while processing your request."


class BackendStream:
    """A response on its way.

    Args:
        backend: the model's settings.
        now_s: Unix time, seconds.
        read_tokens: what the model reads for it.

    Attributes:
        response_id: its name.
    """

    def __init__(self, backend: BackendShape, now_s: int, read_tokens: int) -> None:
        self.response_id = new_name("resp")
        self._backend = backend
        self._now_s = now_s
        self._read = read_tokens
        self._written = 0
        self._items = 0
        self._sequence = 0

    def begin(self) -> Iterator[WireObject]:
        """Announce the response."""
        for kind in ("created", "in_progress"):
            yield self._event(f"response.{kind}", response=self._snapshot("in_progress"))

    def call(self, use: AgentToolUse, call_id: str) -> Iterator[WireObject]:
        """Call a function of the client's, its arguments in pieces."""
        item_id = new_name("fc")
        item = {"id": item_id, "type": "function_call", "call_id": call_id, "name": use.name}
        yield self._item("added", {**item, "arguments": "", "status": "in_progress"})
        kind = "response.function_call_arguments"
        place = {"item_id": item_id, "output_index": self._items}
        for piece in in_pieces(use.arguments):
            yield self._event(f"{kind}.delta", **place, delta=piece)
        yield self._event(f"{kind}.done", **place, arguments=use.arguments)
        yield self._item("done", {**item, "arguments": use.arguments, "status": "completed"})
        self._items += 1
        self._written += text_tokens(use.arguments)

    def write(self, text: str) -> Iterator[WireObject]:
        """Write a message, in pieces."""
        item_id = new_name("msg")
        item = {"id": item_id, "type": "message", "role": "assistant"}
        yield self._item("added", {**item, "content": [], "status": "in_progress"})
        place = {"item_id": item_id, "output_index": self._items, "content_index": 0}
        yield self._event("response.content_part.added", **place, part=_part(""))
        for number, word in enumerate(text.split(" ")):
            delta = f" {word}" if number else word
            yield self._event("response.output_text.delta", **place, delta=delta, logprobs=[])
        yield self._event("response.output_text.done", **place, text=text, logprobs=[])
        yield self._event("response.content_part.done", **place, part=_part(text))
        yield self._item("done", {**item, "content": [_part(text)], "status": "completed"})
        self._items += 1
        self._written += text_tokens(text)

    def complete(self) -> WireObject:
        """End the response."""
        usage = {
            "input_tokens": self._read,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": self._written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self._read + self._written,
        }
        return self._event("response.completed", response=self._snapshot("completed", usage=usage))

    def fail(self, code: str) -> WireObject:
        """End the response as failed."""
        error = {"code": code, "message": message_of(code)}
        return self._event("response.failed", response=self._snapshot("failed", error=error))

    def _item(self, kind: str, item: WireObject) -> WireObject:
        return self._event(f"response.output_item.{kind}", output_index=self._items, item=item)

    def _snapshot(self, status: str, **outcome: object) -> WireObject:
        backend = self._backend
        return {
            "id": self.response_id,
            "object": "response",
            "created_at": self._now_s,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "model": backend.model,
            "output": [],
            "parallel_tool_calls": backend.parallel_tool_calls is not False,
            "tool_choice": backend.tool_choice or "auto",
            "tools": [],
            "usage": None,
            **outcome,
        }

    def _event(self, kind: str, **fields: object) -> WireObject:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence - 1, **fields}


def message_of(code: str) -> str:
    """Return what the service says of a failure."""
    return _FAILURES.get(code, _FAILED)


def _part(text: str) -> WireObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
