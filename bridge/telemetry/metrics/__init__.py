"""Every metric of the bridge, on a registry of its own.

Names, labels and buckets are those of `NEEDS.md` section 3. Durations are given in nanoseconds, as
the bridge keeps them, and published in seconds. Recording takes a few microseconds and never
blocks; everything runs in the loop's thread.

What happens in a call's context (:func:`bridge.telemetry.logs.bind_call`) leaves the call's id as
an exemplar: never a label, and shown to who asks for OpenMetrics alone.
"""

from bridge.telemetry.metrics.calls import SupervisionMetrics
from bridge.telemetry.metrics.families import ARM_STOPPING
from bridge.telemetry.metrics.media import MediaMetrics, RtpSummary
from bridge.telemetry.metrics.registry import Format, Metrics, SupervisorMetrics
from bridge.telemetry.metrics.turns import TurnMetrics

__all__ = [
    "ARM_STOPPING",
    "Format",
    "MediaMetrics",
    "Metrics",
    "RtpSummary",
    "SupervisionMetrics",
    "SupervisorMetrics",
    "TurnMetrics",
]
