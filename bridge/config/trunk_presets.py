"""Presets of trunks: fields that are the same for every customer of a carrier, or for every PBX.

They stand below the fields that are written: a written one wins, within `numbers` and
`registration` each by itself. Sources, read in November 2026: twilio.com/docs/sip-trunking (and
/ip-addresses), twilio.com/docs/api/errors/32207 to 32209, developers.telnyx.com/docs/voice,
support.telnyx.com (numbers come as E.164 without plus by default), developer.vonage.com/sip.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Literal

PresetName = Literal["twilio", "telnyx", "vonage", "pbx", "sbc"]

Fields = Mapping[str, Any]
"""Of a trunk, by name, as a file has them."""


@dataclass(frozen=True, slots=True)
class TrunkPreset:
    """The knowledge of one kind of trunk.

    Attributes:
        fields: to fill in.
        needs: fields that have to be written, or to be filled in from others.
        srtp_with_tls: it has both or none, so that either is filled in beside the other.
        registers: it knows where we are by a registration, with its first domain or address.
    """

    fields: Fields = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    srtp_with_tls: bool = False
    registers: bool = False


PRESETS: Mapping[str, TrunkPreset] = {
    "twilio": TrunkPreset(
        {
            "addresses": [
                "54.172.60.0/30",  # Virginia
                "54.244.51.0/30",  # Oregon
                "54.171.127.192/30",  # Ireland
                "35.156.191.128/30",  # Frankfurt
                "54.65.63.192/30",  # Tokyo
                "54.169.127.128/30",  # Singapore
                "54.252.254.64/30",  # Sydney
                "177.71.206.192/30",  # Sao Paulo
            ],
            "media_from": ["168.86.128.0/18"],
            "trust": ["verstat"],
            "numbers": {"out": "e164"},
        },
        srtp_with_tls=True,
    ),
    "telnyx": TrunkPreset(
        {
            "addresses": ["192.76.120.10", "64.16.250.10"],  # of the USA, its default region
            "domains": ["sip.telnyx.com"],
            "trust": ["P-Asserted-Identity", "verstat"],
            "numbers": {"bare": "international", "out": "e164"},
        }
    ),
    "vonage": TrunkPreset({"numbers": {"bare": "international", "out": "digits"}}),
    "pbx": TrunkPreset(needs=("credentials", "registration"), registers=True),
    "sbc": TrunkPreset(
        {
            "trust": ["P-Asserted-Identity", "Diversion", "History-Info", "verstat"],
            "numbers": {"out": "e164"},
        }
    ),
}


def filled_in(written: Fields) -> Fields:
    """Return the fields that a trunk's preset adds to those that are written."""
    preset = PRESETS.get(str(written.get("preset")))
    if preset is None:
        return {}
    below = dict(preset.fields)
    if preset.srtp_with_tls:
        below |= _whole_security(written)
    if preset.registers:
        below |= _registration(written)
    return dict(_missing(below, written))


def merged(written: Fields, filled: Fields) -> dict[str, Any]:
    """Return written fields with those that are filled in."""
    both = dict(written)
    for name, value in filled.items():
        inner = both.get(name)
        both[name] = merged(inner, value) if isinstance(inner, Mapping) else value
    return both


def lines_of(filled: Fields, place: str = "") -> Iterator[str]:
    """Yield filled fields as ``name: value``, those of sections with dots."""
    for name, value in filled.items():
        if isinstance(value, Mapping):
            yield from lines_of(value, f"{place}{name}.")
        else:
            listed = ", ".join(value) if isinstance(value, list) else value
            yield f"{place}{name}: {listed}"


def _missing(below: Fields, written: Fields) -> Iterator[tuple[str, Any]]:
    for name, value in below.items():
        if name not in written:
            yield name, value
            continue
        inner = written[name]
        both = isinstance(value, Mapping) and isinstance(inner, Mapping)
        if both and (left := dict(_missing(value, inner))):
            yield name, left


def _whole_security(written: Fields) -> Fields:
    if written.get("srtp") == "required":
        return {"transport": "tls"}
    return {"srtp": "required"} if written.get("transport") == "tls" else {}


def _registration(written: Fields) -> Fields:
    for name in ("domains", "addresses"):
        given = written.get(name) or ()
        host = _host_of(str(given if isinstance(given, str) else next(iter(given), "")))
        if host:
            transport = written.get("transport", "udp")
            kept = "" if transport == "udp" else f";transport={transport}"
            return {"registration": {"registrar": f"sip:{host}{kept}"}}
    return {}


def _host_of(place: str) -> str:
    """Return a name or an address as a SIP URI has it; "" for a network of several."""
    try:
        network = ip_network(place)
    except ValueError:
        return place
    if network.num_addresses > 1:
        return ""
    address = str(network.network_address)
    return f"[{address}]" if network.version == 6 else address
