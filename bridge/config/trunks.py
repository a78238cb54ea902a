"""Trunks: the sources of INVITEs, and the headers that each of them is believed."""

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyNetwork, model_validator

from bridge.config.names import HeaderName
from bridge.config.parts import OneOrMore

Headers = Mapping[str, tuple[str, ...]]
"""Lower-case name -> values."""

_ALWAYS_GUARDED = frozenset({"p-asserted-identity"})
"""RFC 3325 section 9.1: one from elsewhere is taken away."""


class Trunk(BaseModel):
    """A carrier or a PBX; addresses alone may be written as a list.

    Attributes:
        addresses: addresses and networks that its INVITEs come from.
        trust: headers that are believed from it, and dropped where another sender has them. The
            caller's P-Asserted-Identity is dropped wherever it isn't listed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    addresses: OneOrMore[IPvAnyNetwork]
    trust: OneOrMore[Annotated[HeaderName, AfterValidator(str.lower)]] = Field((), max_length=20)

    @model_validator(mode="before")
    @classmethod
    def _take_addresses(cls, value: object) -> object:
        return {"addresses": value} if isinstance(value, list | tuple | str) else value


def believed(headers: Headers, trunk: str, trunks: Mapping[str, Trunk]) -> Headers:
    """Return an INVITE's headers without those that its sender isn't trusted for.

    Args:
        trunk: that it came from, "" for none.
        trunks: all, by name.
    """
    guarded = _ALWAYS_GUARDED.union(*(each.trust for each in trunks.values()))
    trusted: Iterable[str] = trunks[trunk].trust if trunk in trunks else ()
    dropped = guarded.difference(trusted)
    return {name: values for name, values in headers.items() if name.lower() not in dropped}
