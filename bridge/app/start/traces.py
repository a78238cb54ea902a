"""Opens the way for traces, where a collector is named; the extra `otel` is imported only then."""

import asyncio
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bridge.clock import Clock
from bridge.config.secret_places import read_secret
from bridge.config.tracing import TracingSettings
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.telemetry.tracing.export import Tracing


def check_tracing(settings: TracingSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that the collector gets; empty where none is named.

    Raises:
        ConfigError: the extra is missing, or a header's value can't be read.
    """
    if settings.endpoint is None:
        return {}
    try:
        found = find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ConfigError(
            "tracing.endpoint is set, and OpenTelemetry is not installed",
            remedy="pip install 'telephony-bridge[otel]', or leave tracing.endpoint out",
        )
    return {
        name: read_secret(place, f"tracing.headers.{name}", "header", environ)
        for name, place in settings.headers.items()
    }


def open_tracing(
    settings: TracingSettings,
    clock: Clock,
    version: str,
    count: Callable[[str, int], None],
    environ: Mapping[str, str],
) -> "Tracing | None":
    """Return what makes traces of calls; None where no collector is named.

    Raises:
        ConfigError: as :func:`check_tracing`.
    """
    headers = check_tracing(settings, environ)
    if settings.endpoint is None:
        return None
    from bridge.telemetry.tracing.export import Tracing

    return Tracing(settings, headers, clock, version=version, count=count)


async def close_tracing(tracing: "Tracing | None") -> None:
    """Send what waits; a thread waits for it, for two seconds at most."""
    if tracing is not None:
        await asyncio.to_thread(tracing.close)
