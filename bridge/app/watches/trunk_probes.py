"""Asks every trunk by OPTIONS whether it can be reached (RFC 3261 section 11).

An answer of any code shows that the trunk can be reached; answers are counted where all SIP
messages are, by trunk. The alert TrunkUnreachable compares the two.
"""

import asyncio
from collections.abc import Callable

import structlog

from bridge.config.settings import SipSettings
from bridge.errors import TelephonyError
from bridge.telephony.endpoint import SipEndpoint

log = structlog.get_logger(__name__)


async def keep_probing(
    endpoint: SipEndpoint, settings: SipSettings, on_probe: Callable[[str], None]
) -> None:
    """Ask for ever; cancel to end.

    Args:
        on_probe: told each trunk before it is asked: what can't even be sent has no answer, either.
    """
    while True:
        for trunk, uri in settings.trunk_probes.items():
            on_probe(trunk)
            try:
                endpoint.ask_options(uri)
            except TelephonyError as error:  # a name that can't be resolved just now, too
                log.warning("trunk_not_asked", trunk=trunk, error=str(error))
        await asyncio.sleep(settings.probe_every_s)
