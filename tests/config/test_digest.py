"""Settings of digest: users' hashes are checked, and shown nowhere."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bridge.config.loading import load_settings
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
