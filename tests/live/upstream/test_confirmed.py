"""Services that confirm another session than was asked for: refused where it would be heard."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.live.conftest import StartGateway
from tests.live.odd_service import DIALECTS, Json, OddService, Visit, odd_service
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]

AGENT = {
    "instructions": "Be a test.",
    "greeting": "Hello.",
    "turn_detection": {"type": "server_vad", "threshold": 0.5},
    "transcription": {"model": "gpt-4o-mini-transcribe"},
    "tools": [{"name": "end_call"}],
}
PATHS: dict[str, dict[str, tuple[str, ...]]] = {
    "ga": {
        "input_format": ("audio", "input", "format"),
        "output_format": ("audio", "output", "format"),
        "voice": ("audio", "output", "voice"),
        "turns": ("audio", "input", "turn_detection"),
        "transcription": ("audio", "input", "transcription"),
        "tools": ("tools",),
        "noise_reduction": ("audio", "input", "noise_reduction"),
        "speed": ("audio", "output", "speed"),
        "truncation": ("truncation",),
        "reasoning": ("reasoning",),
    },
    "beta": {
        "input_format": ("input_audio_format",),
        "output_format": ("output_audio_format",),
        "voice": ("voice",),
        "turns": ("turn_detection",),
        "transcription": ("input_audio_transcription",),
        "tools": ("tools",),
        "noise_reduction": ("input_audio_noise_reduction",),
        "speed": ("speed",),
        "temperature": ("temperature",),
    },
}
TEMPLATES: dict[str, dict[str, object]] = {
    "ga": {"truncation": "disabled", "reasoning": {"effort": "low"}},
    "beta": {"temperature": 0.7},
}
SHARED: dict[str, object] = {
    "audio": {"input": {"noise_reduction": {"type": "near_field"}}, "output": {"speed": 1.1}}
}
ULAW: dict[str, Any] = {"ga": {"type": "audio/pcmu"}, "beta": "g711_ulaw"}  # Any: wire values
PCM: dict[str, Any] = {"ga": {"type": "audio/pcm"}, "beta": "pcm16"}  # Any: as above
SLOW = {"ga": {"type": "audio/pcm", "rate": 16_000}, "beta": "pcm16_16khz"}


def saying(dialect: str, field: str, value: object) -> Callable[[Json, Visit], Json]:
    """Confirm all as asked, but one field."""

    def confirm(asked: Json, _visit: Visit) -> Json:
        at = asked
        *parents, last = PATHS[dialect][field]
        for key in parents:
            at = at[key]
        at[last] = value
        return asked

    return confirm


async def place(
    start_gateway: StartGateway, service: OddService, session: object = None
) -> tuple[int, str]:
    """Place a call; return its final status and the metrics after it."""
    gateway, port = await start_gateway(
        service.url,
        dialect=service.dialect,
        voice="marin",
        session=session,
        dialplan={"agent": AGENT},
    )
    async with RtpCaller(port) as caller:
        status = await caller.call()
        if status == 200:
            (runner,) = gateway.calls
            assert runner.record.summary.sessions[0].session_id.startswith("sess_")
            await caller.hang_up()
        await asyncio.gather(*gateway.calls.values())
    return status, gateway.metrics.render()[0].decode()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("output_format", ULAW),
        ("output_format", SLOW),
        ("input_format", ULAW),
        ("voice", "alloy"),
        ("turns", None),
        ("turns", {"type": "server_vad", "create_response": True}),
    ],
)
async def test_difference_that_would_be_heard_is_refused(
    start_gateway: StartGateway, dialect: str, field: str, value: object
) -> None:
    value = value[dialect] if isinstance(value, dict) and dialect in value else value
    async with odd_service(dialect) as service:
        service.confirm = saying(dialect, field, value)
        status, text = await place(start_gateway, service)
    assert status == 503
    ends = [line for line in text.splitlines() if line.startswith("bridge_calls_ended_total{")]
    (ended,) = [line for line in ends if 'reason="session_differs"' in line]
    assert 'fault="provider"' in ended


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("field", "value", "label"),
    [
        ("tools", [], "tools"),
        ("transcription", None, "transcription"),
        ("transcription", {"model": "whisper-1"}, "transcription"),
        ("turns", {"type": "server_vad", "threshold": 0.9}, "turn_detection"),
    ],
)
async def test_difference_that_is_not_heard_is_counted(
    start_gateway: StartGateway, dialect: str, field: str, value: object, label: str
) -> None:
    async with odd_service(dialect) as service:
        service.confirm = saying(dialect, field, value)
        status, text = await place(start_gateway, service)
    assert status == 200
    line = f'bridge_upstream_session_differences_total{{arm="peer",field="{label}"}} 1.0'
    assert line in text


@pytest.mark.parametrize(
    ("dialect", "field", "value", "differs"),
    [
        *((dialect, "noise_reduction", None, True) for dialect in DIALECTS),
        *(
            (dialect, "noise_reduction", {"type": "near_field", "strength": 1}, False)
            for dialect in DIALECTS
        ),
        *((dialect, "speed", 1.0, True) for dialect in DIALECTS),
        *((dialect, "speed", 1.100000001, False) for dialect in DIALECTS),
        ("ga", "truncation", "auto", True),
        ("ga", "reasoning", None, True),
        ("beta", "temperature", 0.8, True),
    ],
)
async def test_template_that_a_service_did_not_take_is_counted(
    start_gateway: StartGateway, dialect: str, field: str, value: object, differs: bool
) -> None:
    async with odd_service(dialect) as service:
        service.confirm = saying(dialect, field, value)
        status, text = await place(start_gateway, service, session={**SHARED, **TEMPLATES[dialect]})
    assert status == 200
    line = f'bridge_upstream_session_differences_total{{arm="peer",field="{field}"}} 1.0'
    assert (line in text) is differs


def filled_in(dialect: str) -> list[Callable[[Json, Visit], Json]]:
    turns = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "extra": 1}
    transcription = {"model": "gpt-4o-mini-transcribe", "language": None, "languages": None}
    return [
        saying(dialect, "output_format", PCM[dialect]),
        saying(dialect, "output_format", None),
        saying(dialect, "voice", "Marin"),
        saying(dialect, "voice", None),
        saying(dialect, "turns", turns),
        saying(dialect, "transcription", transcription),
        lambda asked, _visit: {"id": asked["id"]},
        lambda asked, _visit: {key: asked[key] for key in asked if key != "id"},
        lambda _asked, _visit: {},
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("number", range(9))
async def test_defaults_and_what_is_left_out_are_no_differences(
    start_gateway: StartGateway, dialect: str, number: int
) -> None:
    async with odd_service(dialect) as service:
        service.confirm = filled_in(dialect)[number]
        status, text = await place(start_gateway, service)
    assert status == 200
    assert "bridge_upstream_session_differences_total{" not in text
