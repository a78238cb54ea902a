"""What a gateway warns of at its start, by its settings and by the PJSIP that is loaded."""

import pytest
from structlog.testing import capture_logs

from bridge.app.start.addresses import warn_of_demo_pjsip
from bridge.config.sip import SipSettings


@pytest.mark.parametrize(
    ("host", "version", "warned"),
    [
        ("0.0.0.0", "2.15.1", True),
        ("192.0.2.7", "2.15.1", True),
        ("127.0.0.1", "2.15.1", False),
        ("0.0.0.0", "2.17", False),
    ],
)
def test_pypis_pjsip_is_for_this_machine(host: str, version: str, warned: bool) -> None:
    with capture_logs() as lines:
        warn_of_demo_pjsip(SipSettings(host=host), version)
    assert [line["event"] for line in lines] == ["pjsip_is_for_the_demo"] * warned
    for line in lines:
        assert line["log_level"] == "warning"
        assert line["faults"] == ["GHSA-x5pq-qrp4-fmrj"]
        assert "deploy/pjsip/build" in line["remedy"]
