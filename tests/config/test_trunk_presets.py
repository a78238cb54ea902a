"""Presets of trunks: what they fill in, beneath whatever is written."""

from typing import Any

import pytest
from pydantic import ValidationError

from bridge.config.sip import SipSettings
from bridge.config.trunk_presets import PRESETS, lines_of
from bridge.config.trunks import Trunk

TLS = {"cert_file": "cert.pem", "key_file": "key.pem"}
CREDENTIALS = {"username": "acme", "secret_env": "SECRET"}


def sip(**trunk: Any) -> SipSettings:
    return SipSettings.model_validate({"tls": TLS, "trunks": {"carrier": trunk}})


def carrier(**trunk: Any) -> Trunk:
    return sip(**trunk).trunks["carrier"]


@pytest.mark.parametrize(
    ("preset", "known", "strangers"),
    [
        (
            "twilio",
            # The first and last of a few regions, and media, which send no SIP.
            ["54.172.60.0", "54.172.60.3", "54.244.51.1", "35.156.191.129", "177.71.206.195"],
            ["54.172.60.4", "168.86.128.1", "54.172.59.255"],
        ),
        ("telnyx", ["192.76.120.10", "64.16.250.10"], ["192.76.120.11", "5.172.39.10"]),
    ],
)
def test_a_carriers_addresses_are_known(
    preset: str, known: list[str], strangers: list[str]
) -> None:
    settings = sip(preset=preset)
    assert [settings.sender_at(each) for each in known] == ["carrier"] * len(known)
    assert [settings.sender_at(each) for each in strangers] == [None] * len(strangers)


def test_twilios_audio_comes_from_its_own_network() -> None:
    (network,) = sip(preset="twilio").trunks["carrier"].media_from
    assert (str(network), network.num_addresses) == ("168.86.128.0/18", 16_384)


@pytest.mark.parametrize(
    ("written", "transport", "srtp"),
    [
        ({}, "udp", "off"),
        ({"transport": "tls"}, "tls", "required"),
        ({"srtp": "required"}, "tls", "required"),
        ({"transport": "tls", "srtp": "off"}, "tls", "off"),
        ({"transport": "tcp"}, "tcp", "off"),
    ],
)
def test_twilio_has_tls_and_srtp_together(
    written: dict[str, str], transport: str, srtp: str
) -> None:
    trunk = carrier(preset="twilio", **written)
    assert (trunk.transport, trunk.srtp) == (transport, srtp)


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ({"preset": "twilio", "srtp": "optional"}, "both|TLS alone"),
        ({"preset": "twilio", "srtp": "required", "transport": "udp"}, "TLS alone"),
        ({"preset": "vonage"}, "addresses"),
        ({"preset": "sbc"}, "addresses"),
        ({"preset": "pbx", "addresses": "192.0.2.1"}, "needs credentials"),
        (
            {"preset": "pbx", "addresses": "192.0.2.0/24", "credentials": CREDENTIALS},
            "needs registration",
        ),
        ({"preset": "twillio", "addresses": "192.0.2.1"}, "preset"),
        ({"preset": ["twilio"], "addresses": "192.0.2.1"}, "preset"),
    ],
)
def test_what_a_preset_lacks_is_an_error(written: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        carrier(**written)


@pytest.mark.parametrize(
    ("written", "registrar"),
    [
        ({"domains": ["pbx.example"]}, "sip:pbx.example"),
        ({"domains": "pbx.example", "transport": "tcp"}, "sip:pbx.example;transport=tcp"),
        ({}, "sip:192.0.2.1"),
        ({"addresses": "2001:db8::1"}, "sip:[2001:db8::1]"),
        ({"registration": {"registrar": "sip:other.example"}}, "sip:other.example"),
        ({"registration": {"expires_s": 60}, "domains": "pbx.example"}, "sip:pbx.example"),
    ],
)
def test_a_pbx_is_registered_with_by_its_name_or_address(
    written: dict[str, Any], registrar: str
) -> None:
    given = {"addresses": "192.0.2.1", "credentials": CREDENTIALS, **written}
    trunk = carrier(preset="pbx", **given)
    assert trunk.registration is not None
    assert trunk.registration.registrar == registrar


def test_what_is_written_wins_in_sections_field_by_field() -> None:
    trunk = carrier(
        preset="telnyx",
        addresses=["5.172.39.10", "5.172.39.25"],
        trust=[],
        numbers={"bare": "national", "country_code": "353"},
    )
    assert [str(each) for each in trunk.addresses] == ["5.172.39.10/32", "5.172.39.25/32"]
    assert trunk.trust == ()
    assert trunk.domains == ("sip.telnyx.com",)
    assert (trunk.numbers.bare, trunk.numbers.out) == ("national", "e164")
    assert list(lines_of(trunk.filled)) == ["domains: sip.telnyx.com", "numbers.out: e164"]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_settings_are_the_same_when_what_was_written_is_read_again(preset: str) -> None:
    """As a variable over a file has it: then, too, only the written fields count as written."""
    given = {
        "addresses": ["192.0.2.1"],
        "credentials": CREDENTIALS,
        "numbers": {"shortest_digits": 6},
        "registration": {"expires_s": 60},
    }
    first = sip(preset=preset, **given) if preset == "pbx" else sip(preset=preset, addresses="::1")
    written = first.model_dump(exclude_unset=True)
    again = SipSettings.model_validate(written)
    assert again == first
    assert again.model_dump(exclude_unset=True) == written
    assert again.trunks["carrier"].filled == first.trunks["carrier"].filled


def test_without_a_preset_nothing_is_filled_in() -> None:
    assert sip(addresses="192.0.2.1").trunks["carrier"].filled == {}
    assert not Trunk.model_validate(["192.0.2.1"]).filled
