"""The dialects that there are; an arm names one of them, and a flavour of it."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from bridge.realtime.beta import BetaDialect
from bridge.realtime.dialect import Dialect
from bridge.realtime.flavours import FLAVOURS
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


def dialect_of(dialect: str, flavour: str, takes: Collection[str] = ()) -> Dialect:
    """Return a dialect as a server speaks it.

    Args:
        dialect: of :data:`DIALECTS`.
        flavour: of :data:`~bridge.realtime.flavours.FLAVOURS`.
        takes: session fields that the server takes though its dialect lacks them.
    """
    return DIALECTS[dialect](takes, FLAVOURS[flavour])
