"""Settings of arms that are SIP URIs."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bridge.config.complaints import explain
from bridge.config.settings import ArmSettings, Settings
from bridge.config.sip_arm import SipArmSettings

URI = "sip:proj_1@sip.vendor.example"


def settings(arm: object, **sections: object) -> Settings:
    return Settings.model_validate({"arms": {"out": arm}, **sections})


def complaint(arm: object, **sections: object) -> str:
    with pytest.raises(ValidationError) as caught:
        settings(arm, **sections)
    return "; ".join(what for _, what in explain(caught.value, Settings))


def test_an_arm_with_sip_is_one_by_sip_and_others_have_sessions() -> None:
    both = Settings.model_validate({"arms": {"out": {"sip": URI}, "live": {"url": "wss://a/v1"}}})
    assert isinstance(both.arms["out"], SipArmSettings)
    assert isinstance(both.arms["live"], ArmSettings)
    assert (set(both.sip_arms), set(both.realtime_arms)) == ({"out"}, {"live"})


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("model", "the vendor's side names the model"),
        ("session", "set it up at the vendor"),
        ("voice", "the vendor's side has the voice"),
        ("dialect", "there is no Realtime session here"),
        ("credentials", "sip.trunks.NAME.credentials"),
        ("audio", "the trunk's codecs"),
    ],
)
def test_what_means_nothing_beside_sip_is_refused_with_the_reason(key: str, why: str) -> None:
    said = complaint({"sip": URI, key: "x"})
    assert said.startswith(f"arms.out has '{key}' beside 'sip'")
    assert why in said


def test_a_mistake_is_named_as_it_was_written() -> None:
    assert complaint({"sip": URI, "rings_s": 3}) == (
        "arms.out.rings_s is not known; did you mean 'ring_s'?"
    )
    assert complaint({"sip": URI, "by": "invite"}) == (
        "arms.out.by should be one of bridge, refer, not 'invite'"
    )
    assert "arms.out.sip has headers behind a '?'" in complaint({"sip": f"{URI}?X-A=1"})
    assert "arms.out.sip" in complaint({"sip": "tel:+15550100"})


@pytest.mark.parametrize(
    ("uri", "sip"),
    [
        ("sip:a@127.0.0.1:5070", {"host": "127.0.0.1", "port": 5070}),
        ("sip:a@127.0.0.1", {}),
        ("sip:a@localhost:5060", {}),
        ("sip:a@203.0.113.9", {"public_address": "203.0.113.9"}),
        ("sip:a@bridge.example", {"public_address": "bridge.example"}),
        ("sip:a@[2001:db8::1]:5070", {"host": "2001:db8::1", "port": 5070}),
    ],
)
def test_the_gateways_own_address_is_no_vendor(uri: str, sip: object) -> None:
    assert "this gateway's own address" in complaint({"sip": uri}, sip=sip)


@pytest.mark.parametrize("uri", [URI, "sip:a@127.0.0.1:5071", "sip:a@198.51.100.7"])
def test_another_address_is(uri: str) -> None:
    assert settings({"sip": uri}).sip_arms["out"].sip == uri


def test_tls_that_the_uri_asks_for_needs_a_certificate(tmp_path: Path) -> None:
    wanted = f"{URI};transport=tls"
    assert complaint({"sip": wanted}).endswith("wants TLS, and no sip.tls: add it")
    assert "no sip.tls" in complaint({"sip": "sips:a@sip.vendor.example"})
    tls = {"cert_file": str(tmp_path / "c.pem"), "key_file": str(tmp_path / "k.pem")}
    assert settings({"sip": wanted}, sip={"tls": tls}).sip_arms["out"].wants_tls
    own = complaint({"sip": "sip:a@127.0.0.1;transport=tls"}, sip={"tls": tls})
    assert "this gateway's own address" in own


def test_arms_that_differ_are_two_arms() -> None:
    digests = {
        settings(arm).arms["out"].digest
        for arm in ({"sip": URI}, {"sip": URI, "by": "refer"}, {"sip": f"{URI}:5062"})
    }
    assert len(digests) == 3
