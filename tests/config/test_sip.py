"""Which headers of an INVITE are believed: those that its trunk is trusted for."""

import pytest
from pydantic import ValidationError

from bridge.config.sip import SipSettings

ASSERTED, TIER = "P-Asserted-Identity", "X-Tier"
HEADERS = {"p-asserted-identity": ("<tel:+1>",), "x-tier": ("gold",), "x-other": ("1",)}


def sip(**trunks: object) -> SipSettings:
    return SipSettings.model_validate({"trunks": trunks})


@pytest.mark.parametrize(
    ("trunk", "kept"),
    [
        ("carrier", {"p-asserted-identity", "x-tier", "x-other"}),
        ("pbx", {"x-other"}),
        ("", {"x-other"}),
    ],
)
def test_a_trusted_header_is_believed_from_its_trunk_alone(trunk: str, kept: set[str]) -> None:
    carrier = {"addresses": ["192.0.2.0/24"], "trust": [ASSERTED, TIER]}
    settings = sip(carrier=carrier, pbx=["198.51.100.1"])
    assert settings.believed(HEADERS, trunk).keys() == kept
    assert settings.trunk_of("192.0.2.9") == "carrier"
    assert settings.trunk_of("198.51.100.1") == "pbx"


def test_without_trunks_only_the_asserted_identity_is_dropped() -> None:
    assert sip().believed(HEADERS, "").keys() == {"x-tier", "x-other"}


def test_names_of_headers_are_checked() -> None:
    with pytest.raises(ValidationError, match="trust"):
        sip(carrier={"addresses": ["192.0.2.1"], "trust": ["X Tier"]})


@pytest.mark.parametrize("key", ["addresses", "media_from"])
@pytest.mark.parametrize(
    ("written", "network", "address"),
    [("::1/64", "::/64", "::1"), ("192.0.2.9/24", "192.0.2.0/24", "192.0.2.9")],
)
def test_bits_of_a_host_in_a_network_are_named_with_the_remedy(
    key: str, written: str, network: str, address: str
) -> None:
    expected = f"{key}.*\n.*the address {address} within the network {network}: write the network,"
    with pytest.raises(ValidationError, match=expected):
        sip(carrier={"addresses": network, key: [written]})
    assert sip(carrier={"addresses": network, key: [network, address]}).trunks


@pytest.mark.parametrize(
    ("trunks", "host", "sender"),
    [
        ({}, "127.0.0.1", ""),
        ({}, "::1", ""),
        ({}, "192.0.2.1", None),
        ({"carrier": ["192.0.2.0/24"]}, "192.0.2.1", "carrier"),
        ({"carrier": ["192.0.2.0/24"]}, "127.0.0.9", ""),
        ({"proxy": ["127.0.0.1"]}, "127.0.0.1", "proxy"),
        ({"proxy": ["127.0.0.1"]}, "127.0.0.2", None),
        ({"proxy": ["::1"]}, "127.0.0.1", None),
        ({}, "not an address", None),
    ],
)
def test_sender_is_a_trunk_this_machine_or_a_stranger(
    trunks: dict[str, object], host: str, sender: str | None
) -> None:
    """A proxy on this machine hands on what strangers send: only its own address is a trunk."""
    assert sip(**trunks).sender_at(host) == sender


def test_everything_is_limited_for_strangers_and_nothing_for_trunks() -> None:
    settings = sip(carrier=["192.0.2.1"])
    strangers, trunk = settings.stranger_limits, settings.trunks["carrier"].limits
    assert None not in strangers.model_dump().values()
    assert set(trunk.model_dump().values()) == {None}
    assert settings.strangers == "refuse"


@pytest.mark.parametrize(
    ("sip_settings", "what"),
    [
        ({"trunks": {"one": {"addresses": "192.0.2.1", "transport": "tls"}}}, "wants TLS, one"),
        (
            {"tls": {"cert_file": "a", "key_file": "b", "verify_client": True}},
            "verifies clients and names no ca_file",
        ),
        ({"tls": {"cert_file": "a"}}, "key_file"),
    ],
)
def test_settings_of_tls_are_whole(sip_settings: dict[str, object], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        SipSettings.model_validate(sip_settings)


@pytest.mark.parametrize(
    ("uri", "trunk"),
    [
        ("sip:1@192.0.2.7", "b"),
        ("sip:1@SIP.carrier.example:5061;transport=tls", "a"),
        ("sip:1@other.example", None),
        ("tel:+1555", None),
    ],
)
def test_a_trunk_is_dialled_by_its_address_or_its_hosts(uri: str, trunk: str | None) -> None:
    carrier = {"addresses": ["198.51.100.1"], "domains": ["sip.Carrier.example"]}
    settings = sip(a=carrier, b=["192.0.2.0/24"])
    assert settings.trunk_towards(uri) == (trunk or "")


@pytest.mark.parametrize(
    ("host", "read", "is_ipv6"),
    [
        ("::1", "::1", True),
        ("[2001:DB8:0::7]", "2001:db8::7", True),
        ("::", "::", True),
        ("0.0.0.0", "0.0.0.0", False),
        ("sip.example", "sip.example", False),
    ],
)
def test_the_host_says_which_family_is_heard(host: str, read: str, is_ipv6: bool) -> None:
    settings = SipSettings(host=host)
    assert (settings.host, settings.is_ipv6) == (read, is_ipv6)


@pytest.mark.parametrize(
    ("sip_settings", "what"),
    [
        ({"host": "fe80::1%eth0"}, "has a zone"),
        ({"host": "::ffff:127.0.0.1"}, "write 127.0.0.1"),
        ({"host": "[::1]:5060"}, "is no IPv6 address.*port"),
        ({"host": "::1", "public_address": "192.0.2.1"}, "not of the family"),
        ({"host": "0.0.0.0", "public_address": "2001:db8::1"}, "not of the family"),
    ],
)
def test_a_host_that_sip_can_not_have_is_refused(sip_settings: dict[str, str], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        SipSettings.model_validate(sip_settings)


def test_a_trunk_of_ipv6_is_found_however_its_address_is_written() -> None:
    settings = sip(carrier=["2001:db8:1::/48"])
    assert settings.trunk_of("2001:db8:1:2::3") == "carrier"
    assert settings.trunk_towards("sip:1@[2001:0DB8:1::0]:5060") == "carrier"
    assert settings.sender_at("2001:db8:2::3") is None


GERMAN = {"country_code": "49", "national_prefix": "0", "international_prefix": "00"}


def test_an_asserted_number_is_read_as_its_trunk_writes_numbers() -> None:
    carrier = {"addresses": ["192.0.2.0/24"], "trust": [ASSERTED], "numbers": GERMAN}
    settings = sip(carrier=carrier, plain={"addresses": ["192.0.2.0/24"], "trust": [ASSERTED]})
    headers = {
        "p-asserted-identity": ('"Eve" <sip:03012345678@a>, <tel:004416329600000>',),
        "from": ("<sip:03012345678@a>;tag=1",),
        "x-number": ("03012345678",),
    }
    assert settings.believed(headers, "carrier") == {
        "p-asserted-identity": ('"Eve" <sip:+493012345678@a>, <tel:+4416329600000>',),
        "from": ("<sip:+493012345678@a>;tag=1",),
        "x-number": ("03012345678",),
    }
    assert settings.believed(headers, "plain") == headers


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        ({"national_prefix": "0"}, "country_code"),
        ({"bare": "national"}, "country_code"),
        ({"out": "national"}, "country_code"),
        ({"out": "international"}, "international_prefix"),
        ({**GERMAN, "international_prefix": "0"}, "one prefix"),
        ({"country_code": "0049"}, "country_code"),
        ({"country_code": "49", "national_prefix": "0;ext=1"}, "national_prefix"),
        ({"out": "+"}, "out"),
    ],
)
def test_number_formats_that_make_no_sense_are_refused(
    numbers: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        sip(carrier={"addresses": ["192.0.2.1"], "numbers": numbers})


@pytest.mark.parametrize(
    ("headers", "what"),
    [
        ({"X-A": "1\r\nVia: x"}, "X-A"),
        ({"X-A": "1\n"}, "X-A"),
        ({"X-A": "a\x00b"}, "X-A"),
        ({"X-A": "caf\u00e9"}, "X-A"),
        ({"X-A": ""}, "X-A"),
        ({"X-A": " 1"}, "X-A"),
        ({"X-A": "1" * 300}, "X-A"),
        ({f"X-{each}": "1" * 95 for each in "AB"}, "more than 200"),
        ({"X-A\r\nVia": "x"}, "headers"),
        ({"X-A: b": "x"}, "headers"),
        ({"Via": "x"}, "may have Diversion, .*not 'Via'"),
        ({"Authorization": "Digest x"}, "not 'Authorization'"),
        ({"X-Bridge-Call-Id": "c_1"}, "not 'X-Bridge-Call-Id'"),
        ({"X-Telnyx-Token": "t"}, "secrets belong into credentials"),
        ({"X-API-Key": "t"}, "secrets belong into credentials"),
        ({"X-Auth": "t"}, "secrets belong into credentials"),
        ({"X-A": "1", "x-a": "2"}, "x-a twice"),
        ({"P-Asserted-Identity": "Acme"}, "no address"),
        ({"P-Asserted-Identity": "<sip:a@b>, <http://c>"}, "no address"),
        ({"Privacy": "id;everything"}, "none of"),
    ],
)
def test_headers_that_a_trunk_must_not_set_are_refused(headers: dict[str, str], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        sip(carrier={"addresses": ["192.0.2.1"], "headers": headers})


@pytest.mark.parametrize(
    "caller_id", ["", "a b", "a>b", "a@b@c", "a\r\nVia", "a@", "sip:a@b", "a\n"]
)
def test_a_caller_id_is_a_user_with_a_domain_or_without(caller_id: str) -> None:
    with pytest.raises(ValidationError, match="caller_id"):
        sip(carrier={"addresses": ["192.0.2.1"], "caller_id": caller_id})


def test_words_on_callers_numbers_are_believed_of_all_until_one_is_named() -> None:
    named = {"addresses": ["192.0.2.1"], "trust": ["Verstat"]}
    assert sip(other=["192.0.2.2"]).believes_verstat("")
    settings = sip(carrier=named, other=["192.0.2.2"])
    believed = [settings.believes_verstat(each) for each in ("carrier", "other", "")]
    assert believed == [True, False, False]


@pytest.mark.parametrize(
    ("codecs", "own", "hz", "why"),
    [
        (["PCMA"], [], 8_000, ()),
        (["PCMA"], ["PCMU"], 8_000, ()),
        (["PCMA"], ["PCMA", "G722"], 16_000, ("sip.trunks.carrier.codecs",)),
        (["G722"], ["PCMA"], 16_000, ("sip.codecs",)),
        (["G722"], ["G722"], 16_000, ("sip.codecs", "sip.trunks.carrier.codecs")),
    ],
)
def test_wideband_anywhere_makes_the_audio_of_all_calls_16_khz(
    codecs: list[str], own: list[str], hz: int, why: tuple[str, ...]
) -> None:
    trunks = {"carrier": {"addresses": ["192.0.2.1"], "codecs": own}, "other": ["192.0.2.2"]}
    settings = SipSettings.model_validate({"codecs": codecs, "trunks": trunks})
    assert (settings.audio_hz, settings.wideband_settings) == (hz, why)
    assert settings.all_codecs == tuple(dict.fromkeys((*codecs, *own)))
