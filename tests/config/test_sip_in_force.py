"""Trunks that are read again: what goes with the settings that a node was started with."""

import pytest

from bridge.config.settings import Settings
from bridge.config.sip_in_force import waiting_for_a_restart, with_trunks_of
from bridge.errors import ConfigError


def settings(**sip: object) -> Settings:
    return Settings.model_validate({"sip": sip})


def test_trunks_alone_are_taken() -> None:
    read = settings(trunks={"carrier": "192.0.2.7"}, max_calls=7)
    with_them = with_trunks_of(settings(port=5070), read)
    assert (set(with_them.sip.trunks), with_them.sip.port) == ({"carrier"}, 5070)
    assert list(waiting_for_a_restart(settings(), read)) == ["sip.max_calls"]


@pytest.mark.parametrize(("codecs", "taken"), [(["PCMA"], True), (["G722", "PCMU"], False)])
def test_trunk_with_a_codec_that_the_node_has_not_needs_a_restart(
    codecs: list[str], taken: bool
) -> None:
    read = settings(trunks={"carrier": {"addresses": "192.0.2.7", "codecs": codecs}})
    if taken:
        assert with_trunks_of(settings(), read).sip.trunks == read.sip.trunks
        return
    with pytest.raises(ConfigError, match="other codecs than the node was started with"):
        with_trunks_of(settings(), read)
