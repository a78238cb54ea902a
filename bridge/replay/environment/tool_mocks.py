"""The tools' webhooks during a replay: each call's script gives their answers.

HTTP/1.1, one request a connection, below ``/<environment>/<tool>``; an environment plays one script
at a time. A tool that the script does not mock is answered 404, so that nothing outside is ever
asked.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bridge.clock import NS_PER_MS
from bridge.processes.http import OneRequestServer, read_request, write_answer
from bridge.replay.evidence.evidence import ToolRequestSeen, at_ms
from bridge.replay.script import ToolMock

_HANGS_S = 600.0
_NO_JSON = b'{"unfinished'


class ToolMocks(OneRequestServer):
    """Answers tools for all calls of a replay. Use ``async with``."""

    def __init__(self) -> None:
        super().__init__()
        self._mocks: dict[str, dict[str, ToolMock]] = {}
        self._requests: list[tuple[str, int, ToolRequestSeen]] = []
        """With the call's id, and the wall time at which each began."""
        self._asked: Counter[tuple[str, str, str]] = Counter()

    def url_of(self, environment: str) -> str:
        """Return the URL below which an environment's tools are."""
        return f"{self.address}/{environment}"

    def set(self, environment: str, mocks: Sequence[ToolMock]) -> None:
        """Have an environment's tools answer so, and no others; what is being answered stays."""
        self._mocks[environment] = {mock.name: mock for mock in mocks}

    def seen(self, call_id: str, answered_wall_ns: int) -> tuple[ToolRequestSeen, ...]:
        """Return what one call's tools were asked, in order."""
        return tuple(
            replace(seen, at_ms=at_ms(begun_ns, answered_wall_ns))
            for of_call, begun_ns, seen in self._requests
            if of_call == call_id
        )

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer as the script says, and remember what was asked."""
        begun_ns = time.time_ns()
        path, body = await read_request(reader)
        environment, _, name = path.strip("/").partition("/")
        asked = json.loads(body)
        call_id = str(asked["call"]["call_id"])
        arguments = asked["arguments"]
        which = (call_id, name, json.dumps(arguments, sort_keys=True))
        self._asked[which] += 1
        place = len(self._requests)
        request = ToolRequestSeen(0.0, name, arguments, self._asked[which])
        self._requests.append((call_id, begun_ns, request))
        status, output = await self._act(self._mocks.get(environment, {}).get(name), writer)
        took_ms = (time.time_ns() - begun_ns) / NS_PER_MS
        text = None if output is None else output.decode()
        ended = replace(request, took_ms=round(took_ms, 1), status=status, output=text)
        self._requests[place] = call_id, begun_ns, ended
        if status is not None:
            await write_answer(writer, status, output or b"")

    async def _act(
        self, mock: ToolMock | None, writer: asyncio.StreamWriter
    ) -> tuple[int | None, bytes | None]:
        """Return status and body; no status where there is no answer."""
        if mock is None:
            return 404, b"{}"
        await self.wait(mock.latency_ms / 1000)
        match mock.fails:
            case None:
                return 200, json.dumps(mock.returns).encode()
            case "http_500":
                return 500, b""
            case "bad_json":
                return 200, _NO_JSON
            case "error":
                writer.transport.abort()
            case "timeout":
                await self.wait(_HANGS_S)
        return None, None
