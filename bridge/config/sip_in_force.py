"""Holds the SIP settings in force: every part of a node reads its trunks here, which may change.

A reload puts others in their place as a whole. A call that goes on keeps those it began with.
"""

from collections.abc import Iterator
from functools import lru_cache

from pydantic import ValidationError

from bridge.config.settings import Settings
from bridge.config.sip import SipSettings
from bridge.errors import ConfigError
from bridge.sip.sources import MOST_ADDRESSES

_RELOADED = frozenset({"trunks", "trunk_probes"})


class SipInForce:
    """Holds the SIP settings in force.

    Attributes:
        settings: the present ones. All but `trunks` and `trunk_probes` stay those of the start:
            sockets, ports and files belong to them.
    """

    def __init__(self, settings: SipSettings) -> None:
        self.settings = settings
        self._sender_at = lru_cache(MOST_ADDRESSES)(settings.sender_at)

    def replace(self, settings: SipSettings) -> None:
        """Put others in force."""
        self.settings = settings
        self._sender_at = lru_cache(MOST_ADDRESSES)(settings.sender_at)

    def sender_at(self, host: str) -> str | None:
        """Return the trunk of an address: "" for this machine's own, None for a stranger's."""
        return self._sender_at(host)

    def trunk_of(self, host: str) -> str:
        """Return the name of the trunk that an address belongs to, "" for none."""
        return self._sender_at(host) or ""


def with_trunks_of(settings: Settings, read: Settings) -> Settings:
    """Return settings with the trunks, and their probes, of others.

    Raises:
        ConfigError: they don't go with the rest, as a user of a trunk that is gone.
    """
    fields = {name: getattr(read.sip, name) for name in _RELOADED}
    kept = {name: getattr(settings.sip, name) for name in settings.sip.model_fields_set}
    try:
        sip = SipSettings.model_validate({**kept, **fields})
    except ValidationError as error:
        why = "; ".join(str(each["msg"]) for each in error.errors(include_input=False))
        raise ConfigError(
            f"the trunks don't go with the settings that the node was started with: {why}",
            remedy="restart it, or change the trunks alone",
        ) from None
    if set(sip.all_codecs) != set(settings.sip.all_codecs):
        raise ConfigError(
            "the trunks have other codecs than the node was started with, and so perhaps another"
            " rate of its audio",
            remedy="restart it, or leave sip.trunks.<name>.codecs as they were",
        )
    return settings.model_copy(update={"sip": sip})


def waiting_for_a_restart(settings: Settings, read: Settings) -> Iterator[str]:
    """Yield the places of settings that differ, and that only a restart takes."""
    for name in Settings.model_fields:
        if name == "sip":
            for part in SipSettings.model_fields:
                if part not in _RELOADED and getattr(settings.sip, part) != getattr(read.sip, part):
                    yield f"sip.{part}"
        elif getattr(settings, name) != getattr(read, name):
            yield name
