"""Mocks of the tools that a recorded call has used. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from bridge.replay.importing.hiding import Hider
from bridge.replay.importing.recorded import RecordedCall, RecordedToolUse
from bridge.replay.importing.steps import Fields, round_to
from bridge.routing.tools import BUILT_IN


def mocks_of(call: RecordedCall, hider: Hider) -> Iterator[tuple[Fields, str]]:
    """Yield a mock for each tool that ran outside, as it answered first, and a note on it."""
    ran = [each for each in call.tools if each.code is not None and each.name not in BUILT_IN]
    for name in names_of(ran):
        uses = [each for each in ran if each.name == name]
        note = f"called {len(uses)} times; this is its first answer" if len(uses) > 1 else ""
        first = uses[0]
        if first.code != "ok":
            yield {"name": name, "fails": _failure(first.code or "")}, note or str(first.code)
            continue
        mock: Fields = {"name": name, "latency_ms": round_to(first.took_ms or 0, 50)}
        mock["returns"] = hider.hide_json(first.output) if first.output is not None else {}
        if first.output is None:
            note = "what it answered was not kept: write it"
        yield mock, note


def names_of(tools: Sequence[RecordedToolUse]) -> list[str]:
    """Return the names of tools, each once."""
    return list(dict.fromkeys(each.name for each in tools))


_FAILURES: Mapping[str, str] = {"deadline": "timeout", "timeout": "timeout", "not_text": "bad_json"}


def _failure(code: str) -> str:
    return "http_500" if code.startswith("http_5") else _FAILURES.get(code, "error")
