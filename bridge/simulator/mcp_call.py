"""One MCP call within a response, as a series of steps (`PROTOCOL.md` section 7).

The order is the guide's: the call and its arguments, the client's approval where it is needed, the
call's run, and its end. No I/O and no clock, as in :mod:`bridge.simulator.generation`.
"""

from collections.abc import Iterator
from dataclasses import replace

from bridge.realtime.event_values import Phase
from bridge.realtime.events import McpArgumentsDelta, McpArgumentsDone, McpCallChanged, ServerEvent
from bridge.realtime.ids import ItemId
from bridge.realtime.items import McpApprovalRequest, McpCall
from bridge.simulator.conversation import text_tokens
from bridge.simulator.generation import Generation, GenerationStep, in_pieces
from bridge.simulator.mcp import McpUse
from bridge.simulator.names import new_name


class McpCalling:
    """An MCP call on its way.

    Args:
        generation: the response that it is part of.
        use: what is called.
    """

    def __init__(self, generation: Generation, use: McpUse) -> None:
        self._generation = generation
        self._use = use
        self._item_id = ItemId(new_name("mcp"))
        self._place = generation.at(self._item_id)
        self._call = McpCall(
            type="mcp_call",
            item_id=self._item_id,
            server_label=use.server,
            name=use.name,
            arguments="",
        )

    @property
    def worked(self) -> bool:
        """Whether the call has given its output."""
        return self._call.output is not None

    def ask(self) -> Iterator[GenerationStep]:
        """Announce the call and stream its arguments."""
        yield GenerationStep(tuple(self._generation.enter(self._call)))
        for piece in in_pieces(self._use.arguments):
            yield GenerationStep((McpArgumentsDelta(**self._place, delta=piece),))
        self._call = replace(self._call, arguments=self._use.arguments)
        self._generation.hold(self._call)
        self._generation.count(text_tokens(self._use.arguments))
        yield GenerationStep((McpArgumentsDone(**self._place, arguments=self._use.arguments),))

    def request_approval(self) -> tuple[ItemId, GenerationStep]:
        """Ask the client; return the request's name, too."""
        request_id = ItemId(new_name("mcpr"))
        request = McpApprovalRequest(
            type="mcp_approval_request",
            item_id=request_id,
            server_label=self._use.server,
            name=self._use.name,
            arguments=self._use.arguments,
        )
        self._call = replace(self._call, approval_request_id=request_id)
        self._generation.hold(self._call)
        return request_id, GenerationStep(tuple(self._generation.put(request)))

    def run(self) -> Iterator[GenerationStep]:
        """Make the call, to its end."""
        yield GenerationStep((self._changed(Phase.IN_PROGRESS),))
        if self._use.fails is None:
            self._call = replace(self._call, output=self._use.output)
            left = self._generation.leave(self._call)
            yield GenerationStep((self._changed(Phase.COMPLETED), *left))
        else:
            yield self._failed(self._use.fails)

    def refuse(self) -> GenerationStep:
        """End the call without an approval."""
        return self._failed("tool_execution_error")

    def _failed(self, error_type: str) -> GenerationStep:
        failed = replace(self._call, error_type=error_type)
        return GenerationStep((self._changed(Phase.FAILED), *self._generation.leave(failed)))

    def _changed(self, phase: Phase) -> ServerEvent:
        return McpCallChanged(self._item_id, self._place["output_index"], phase)
