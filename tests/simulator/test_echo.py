"""A session is echoed with what was set in it: clients' types may take an absence, but no null.

The nulls that stay are those of the service's own `session.created` (`PROTOCOL.md` section 4).
"""

from collections.abc import Iterator

import pytest

from tests.realtime.official import DialectName
from tests.simulator.client import connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

NULLS: dict[DialectName, set[str]] = {
    "ga": {
        *("tracing", "prompt", "include"),
        *("audio.input.transcription", "audio.input.noise_reduction"),
        "audio.input.turn_detection.idle_timeout_ms",
    },
    "beta": {"tracing", "input_audio_transcription", "input_audio_noise_reduction"},
}

FUNCTION = {"type": "function", "name": "lookup"}
SPARSE: dict[DialectName, dict[str, object]] = {
    "ga": {
        "audio": {
            "input": {
                "transcription": {"model": "gpt-4o-transcribe"},
                "noise_reduction": {"type": "near_field"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
            }
        },
        "tools": [FUNCTION, {"type": "mcp", "server_label": "orders", "server_url": "https://x"}],
        "tool_choice": {"type": "mcp", "server_label": "orders"},
        "tracing": {"workflow_name": "calls"},
        "prompt": {"id": "pmpt_1"},
        "reasoning": {"effort": "low"},
    },
    "beta": {
        "input_audio_transcription": {"model": "whisper-1"},
        "input_audio_noise_reduction": {"type": "near_field"},
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
        "tools": [FUNCTION],
        "tracing": {"workflow_name": "calls"},
    },
}


def nulls(value: object, path: str = "") -> Iterator[str]:
    """Yield the paths of all that is null."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from nulls(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from nulls(inner, f"{path}[{index}]")


both = pytest.mark.parametrize("dialect", ["beta", "ga"])


@both
async def test_a_session_that_nobody_set_has_the_services_nulls_alone(
    url: str, dialect: DialectName
) -> None:
    async with connected(url, dialect=dialect) as client:
        created = await client.until("session.created")
    assert set(nulls(created["session"])) <= NULLS[dialect]


@both
async def test_an_update_is_echoed_without_what_it_does_not_name(
    url: str, dialect: DialectName
) -> None:
    async with connected(url, dialect=dialect) as client:
        await client.until("session.created")
        updated = await client.update(**SPARSE[dialect])
    assert updated["type"] == "session.updated", updated
    kept = NULLS[dialect] - set(SPARSE[dialect])
    assert set(nulls(updated["session"])) <= kept
