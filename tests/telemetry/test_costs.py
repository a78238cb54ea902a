"""Tokens and their price."""

import pytest

from bridge.config.models import load_models
from bridge.realtime.event_values import Usage
from bridge.telemetry.costs import cost_usd, tokens_of
from bridge.telemetry.labels import BilledToken, Modality

USAGE = Usage(
    input_text=1500, input_audio=3000, cached_text=500, cached_audio=1000,
    output_text=200, output_audio=4000, total=8700,
)  # fmt: skip


def test_cached_tokens_are_no_input_tokens() -> None:
    tokens = tokens_of(USAGE)
    assert tokens[BilledToken.IN, Modality.TEXT] == 1000
    assert tokens[BilledToken.CACHED, Modality.AUDIO] == 1000
    assert tokens[BilledToken.OUT, Modality.AUDIO] == 4000
    assert sum(tokens.values()) == USAGE.total


def test_a_calls_price_by_the_table() -> None:
    """gpt-realtime-2.1: text 4/0.40/24, audio 32/0.40/64 USD per million."""
    model = load_models().find("gpt-realtime-2.1")
    dollars = (1000 * 4 + 500 * 0.40 + 200 * 24 + 2000 * 32 + 1000 * 0.40 + 4000 * 64) / 1e6
    assert cost_usd(tokens_of(USAGE), model) == pytest.approx(dollars)


def test_a_model_priced_by_the_minute_costs_its_time() -> None:
    whisper = load_models().find("gpt-realtime-whisper")
    assert cost_usd({}, whisper, seconds=90) == pytest.approx(0.0255)
    live = load_models().find("gpt-live-1")
    assert cost_usd(tokens_of(USAGE), live, seconds=120) == pytest.approx(0.10)


def test_a_transcription_priced_by_tokens_costs_its_tokens() -> None:
    model = load_models().find("gpt-4o-transcribe")
    tokens = tokens_of(Usage(input_audio=100, output_text=20, total=120))
    assert cost_usd(tokens, model, seconds=9) == pytest.approx((100 * 6 + 20 * 10) / 1e6)
    assert cost_usd(tokens, load_models().find("gpt-transcribe")) is None


def test_an_unknown_model_or_price_is_no_price() -> None:
    table = load_models()
    assert cost_usd(tokens_of(USAGE), table.find("my-deployment")) is None
    assert cost_usd(tokens_of(USAGE), table.find("gpt-4o-realtime-preview-2024-10-01")) is None
    image = tokens_of(Usage(input_image=10))
    assert cost_usd(image, table.find("gpt-4o-realtime-preview")) is None


def test_nothing_used_costs_nothing() -> None:
    assert cost_usd({}, load_models().find("gpt-realtime")) == 0
