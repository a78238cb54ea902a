"""The dialects that there are; an arm names one of them."""

from collections.abc import Mapping
from types import MappingProxyType

from bridge.realtime.beta import BetaDialect
from bridge.realtime.dialect import Dialect
from bridge.realtime.ga import GaDialect
from bridge.realtime.live import LiveDialect

DIALECTS: Mapping[str, type[Dialect]] = MappingProxyType(
    {"beta": BetaDialect, "ga": GaDialect, "live": LiveDialect}
)

PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {"beta": "realtime", "ga": "realtime", "live": "live"}
)
"""The protocol of each: dialects of one protocol are spellings of the same events."""

SPELLINGS: tuple[str, ...] = tuple(
    sorted(name for name, protocol in PROTOCOLS.items() if protocol == "realtime")
)
"""The dialects of the Realtime API."""
