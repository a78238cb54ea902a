"""Sorts a call's tokens into kinds, and prices them. Pure.

Prices are those of `bridge/config/models.yaml`; a cached token is billed at its own price in the
place of the input price (`PROTOCOL.md` section 8).
"""

from collections import Counter
from collections.abc import Mapping

from bridge.config.models import Model, Price
from bridge.realtime.event_values import Usage
from bridge.telemetry.labels import BilledToken, Modality

Tokens = Mapping[tuple[BilledToken, Modality], int]
"""Tokens by how they are billed and what they hold."""

_PER_MILLION = 1e6


def tokens_of(usage: Usage) -> Counter[tuple[BilledToken, Modality]]:
    """Sort what a response was billed for; ``in`` is what was not cached."""
    given = (
        (Modality.TEXT, usage.input_text, usage.cached_text, usage.output_text),
        (Modality.AUDIO, usage.input_audio, usage.cached_audio, usage.output_audio),
        (Modality.IMAGE, usage.input_image, usage.cached_image, 0),
    )
    tokens: Counter[tuple[BilledToken, Modality]] = Counter()
    for modality, taken, cached, made in given:
        for kind, count in (
            (BilledToken.IN, taken - cached),
            (BilledToken.CACHED, cached),
            (BilledToken.OUT, made),
        ):
            if count > 0:
                tokens[kind, modality] = count
    return tokens


def cost_usd(tokens: Tokens, model: Model | None, *, seconds: float = 0.0) -> float | None:
    """Return what was used costs.

    Args:
        tokens: that were billed; a model that is priced by time alone costs nothing by them.
        model: of the table; None where it lacks it.
        seconds: that were used, for a model that is priced by time.

    Returns:
        US dollars; None where the model, or a price that is needed, is not in the table.
    """
    if model is None:
        return None
    if model.usd_per_minute is None:
        return _cost_of(tokens, model)
    timed = seconds / 60 * model.usd_per_minute
    counted = 0.0 if model.prices is None else _cost_of(tokens, model)
    return None if counted is None else timed + counted


def _cost_of(tokens: Tokens, model: Model) -> float | None:
    if not tokens:
        return 0.0 if model.prices is not None else None
    if model.prices is None:
        return None
    by_modality: Mapping[Modality, Price | None] = {
        Modality.TEXT: model.prices.text,
        Modality.AUDIO: model.prices.audio,
        Modality.IMAGE: model.prices.image,
    }
    total = 0.0
    for (kind, modality), count in tokens.items():
        price = by_modality[modality]
        each = None if price is None else _price(price, kind)
        if each is None:
            return None
        total += count * each / _PER_MILLION
    return total


def _price(price: Price, kind: BilledToken) -> float | None:
    match kind:
        case BilledToken.IN:
            return price.input
        case BilledToken.CACHED:
            return price.cached
        case BilledToken.OUT:
            return price.output
