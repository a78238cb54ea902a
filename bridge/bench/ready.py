"""The JSON line by which a part of the benchmark reports that it takes calls."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ready:
    """A JSON line on stdout.

    Attributes:
        sip: URI of its SIP port.
        max_calls: that the loaded PJSIP holds.
        pjsip: its version.
        ports: how audio gets in and out of PJSIP: `memory`, `callback` or `plain`.
    """

    sip: str
    max_calls: int
    pjsip: str
    ports: str
