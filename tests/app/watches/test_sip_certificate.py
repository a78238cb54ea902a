"""A renewed certificate of SIP over TLS is taken; one that can't be used is not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.app.watches.sip_certificate import SipCertificate
from bridge.app.watches.troubles import Troubles
from bridge.clock import SystemClock
from bridge.config.sip import SipSettings
from bridge.telemetry.metrics import Metrics
from tests.app.watches.test_troubles import scraped
from tests.support.certificates import Authority
from tests.support.tls_sip import client_context, sdp, tls_phone
from tests.telephony.rig import Rig

pytestmark = [pytest.mark.capacity, pytest.mark.sip]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def rig(authority: Authority) -> AsyncIterator[Rig]:
    cert, key = authority.sign("gateway", days_left=90)
    tls = {"port": 0, "cert_file": cert, "key_file": key, "ca_file": authority.cert_file}
    rig = Rig(SipSettings.model_validate({"host": "127.0.0.1", "port": 0, "tls": tls}))
    rig.start()
    yield rig
    rig.stop()


async def test_renewed_files_are_taken_and_bad_ones_are_not(rig: Rig, authority: Authority) -> None:
    listener, settings = rig.endpoint.tls, rig.settings.tls
    assert listener is not None
    assert settings is not None
    metrics, troubles = Metrics("1"), Troubles()
    watch = SipCertificate(rig.endpoint, settings, SystemClock(), metrics.node, troubles)
    context = client_context(authority.cert_file)

    async with tls_phone(listener.port, context) as early:
        await early.invite(sdp())
        await watch.look()
        first = scraped(metrics).value("bridge_certificate_expiry_timestamp_seconds", of="sip")

        authority.sign("gateway", days_left=5)  # the same files
        await watch.look()
        second = scraped(metrics).value("bridge_certificate_expiry_timestamp_seconds", of="sip")
        assert [each.startswith("SIP's certificate ends on") for each in troubles.words] == [True]

        good = settings.key_file.read_bytes()
        settings.key_file.write_bytes(good[: len(good) // 2])  # as it is while it is written
        await watch.look()
        assert any("is not taken" in each for each in troubles.words)
        async with tls_phone(listener.port, context) as late:
            assert (await late.options()).startswith("SIP/2.0 200")
            assert late.shown != early.shown

        settings.key_file.write_bytes(good)
        await watch.look()
        assert not any("is not taken" in each for each in troubles.words)
        assert (await early.bye()).startswith("SIP/2.0 200")

    assert round((first - second) / 86_400) == 85
