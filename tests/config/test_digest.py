"""Settings of digest: users' hashes are checked, and shown nowhere."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bridge.config.loading import load_settings, resolve_trunk_secrets
from bridge.config.sip import SipSettings
from bridge.errors import ConfigError

SHA256, MD5 = "ab" * 32, "cd" * 16


def sip(**users: object) -> SipSettings:
    return SipSettings.model_validate({"trunks": {"pbx": ["192.0.2.1"]}, "users": users})


def test_hashes_are_not_in_what_settings_print() -> None:
    settings = sip(alice={"sha256": SHA256, "md5": MD5, "trunk": "pbx"})
    for shown in (repr(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert SHA256 not in shown
        assert MD5 not in shown
    assert set(settings.users["alice"].compile().hashes.values()) == {SHA256, MD5}


@pytest.mark.parametrize(
    ("users", "words"),
    [
        ({"alice": {"trunk": "pbx"}}, "has no secret: set sha256, md5 or both"),
        ({"alice": {"sha256": SHA256, "trunk": "pbz"}}, "of a trunk that it does not have: pbz"),
        ({"alice": {"sha256": SHA256}}, "trunk"),
        (
            {"a": {"sha256": SHA256, "trunk": "pbx"}, "b": {"md5": MD5, "trunk": "pbx"}},
            "give all of them sha256, or all of them md5",
        ),
        ({'a"b': {"sha256": SHA256, "trunk": "pbx"}}, "users"),
    ],
)
def test_users_that_could_not_call_are_refused(users: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        sip(**users)


def test_a_secret_in_the_place_of_its_hash_is_not_in_the_complaint(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(
        "sip: {trunks: {pbx: [192.0.2.1]}, users: {alice: {md5: wonderland, trunk: pbx}}}\n"
    )
    with pytest.raises(ConfigError) as raised:
        load_settings(path, {})
    assert "32 hexadecimal digits" in str(raised.value)
    assert "wonderland" not in str(raised.value)


def trunk(**given: object) -> SipSettings:
    return SipSettings.model_validate(
        {"trunks": {"carrier": {"addresses": "192.0.2.0/24"} | given}}
    )


CREDENTIALS = {"username": "acme", "secret_env": "CARRIER_SECRET"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"credentials": {"username": "acme"}}, "secret_env or secret_file"),
        ({"credentials": {**CREDENTIALS, "secret_file": "x"}}, "secret_env or secret_file"),
        ({"registration": {"registrar": "sip:a.example"}}, "registration of nobody"),
        ({"registration": {"registrar": "sip:a b", "user": "u"}}, "registrar"),
        ({"outbound_proxy": "sip:@"}, "outbound_proxy"),
    ],
)
def test_a_trunk_that_could_not_be_asked_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        trunk(**given)


def test_no_more_trunks_have_accounts_than_pjsua_holds() -> None:
    trunks = {
        f"t{number}": {"addresses": ["192.0.2.1"], "outbound_proxy": "sip:192.0.2.1"}
        for number in range(8)
    }
    with pytest.raises(ValidationError, match="more than 7 trunks"):
        SipSettings.model_validate({"trunks": trunks})
    trunks.pop("t7")
    SipSettings.model_validate({"trunks": trunks})


def test_trunks_with_srtp_alone_share_an_account_for_each_choice_of_it() -> None:
    proxied = {"addresses": "192.0.2.1", "outbound_proxy": "sip:192.0.2.1"}
    secure = [{"addresses": "192.0.2.2", "srtp": each} for each in ("optional", "required")]
    trunks = {f"s{number}": secure[number % 2] for number in range(10)}
    trunks |= {f"t{number}": proxied for number in range(5)}
    assert SipSettings.model_validate({"trunks": trunks}).shared_srtp == {"optional", "required"}
    with pytest.raises(ValidationError, match="more than 5 trunks"):
        SipSettings.model_validate({"trunks": {**trunks, "t5": proxied}})


@pytest.mark.parametrize("contact", [None, "sip:192.0.2.9"])
def test_a_trunk_whose_contact_leads_elsewhere_takes_its_calls_without_its_account(
    contact: str | None,
) -> None:
    registration = {"registrar": "sip:192.0.2.1", "contact": contact}
    given = {"addresses": "192.0.2.1", "srtp": "required", "credentials": CREDENTIALS}
    settings = SipSettings.model_validate(
        {"trunks": {"carrier": {**given, "registration": registration}}}
    )
    assert settings.shared_srtp == ({"required"} if contact else set())


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("sip:1@192.0.2.9", "carrier"),
        ("sip:1@192.0.2.9:5070;transport=tcp", "carrier"),
        ("sip:1@SIP.carrier.example", "carrier"),
        ("sip:1@reg.carrier.example", "carrier"),
        ("sip:1@proxy.carrier.example", "carrier"),
        ("sip:1@probe.carrier.example", "carrier"),
        ("sip:1@198.51.100.1", ""),
        ("sip:sip.carrier.example@evil.example", ""),
        ("sip:1@sip.carrier.example.evil.example", ""),
        ("tel:+1555", ""),
        ("nonsense", ""),
    ],
)
def test_a_uri_leads_to_a_trunk_by_its_host_alone(uri: str, name: str) -> None:
    given = {
        "addresses": "192.0.2.0/24",
        "credentials": {**CREDENTIALS, "hosts": "sip.Carrier.example"},
        "registration": {"registrar": "sip:reg.carrier.example"},
        "outbound_proxy": "sip:proxy.carrier.example;transport=tcp",
    }
    settings = SipSettings.model_validate(
        {"trunks": {"carrier": given}, "trunk_probes": {"carrier": "sip:probe.carrier.example"}}
    )
    assert settings.trunk_towards(uri) == name


def test_secrets_come_from_a_variable_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("open sesame\n")
    by_file = trunk(credentials={"username": "acme", "secret_file": str(path)})
    assert resolve_trunk_secrets(by_file, {}) == {"carrier": "open sesame"}
    by_variable = trunk(credentials=CREDENTIALS)
    assert resolve_trunk_secrets(by_variable, {"CARRIER_SECRET": "x"}) == {"carrier": "x"}
    assert resolve_trunk_secrets(trunk(), {}) == {}
    with pytest.raises(ConfigError, match="CARRIER_SECRET is not set"):
        resolve_trunk_secrets(by_variable, {"CARRIER_SECRET": ""})
    path.write_text("")
    with pytest.raises(ConfigError, match="the secret file is empty"):
        resolve_trunk_secrets(by_file, {})
