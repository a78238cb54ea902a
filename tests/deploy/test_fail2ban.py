"""The filter for fail2ban finds in the gateway's own log lines who was turned away."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.app.watches.turned_away import turned_away_counter
from bridge.config.settings import TelemetrySettings
from bridge.sip.sources import TurnedAway
from bridge.telemetry.logs import configure
from bridge.telemetry.metrics import Metrics
from tests.docs.pages import ROOT
from tests.support.programs import need_program

FILTER = ROOT / "deploy" / "fail2ban" / "filter.d" / "telephony-bridge.conf"


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("source", ["198.51.100.7", "2001:db8::7"])
def test_filter_finds_strangers_and_leaves_trunks_alone(
    log_format: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = need_program("fail2ban-regex", "fail2ban")
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure(TelemetrySettings.model_validate({"log_format": log_format, "log_level": "debug"}))
    count = turned_away_counter(lambda host: "", Metrics("test").sip)
    count(source, "INVITE", TurnedAway.STRANGER)
    count(source, 'OPTIONS"; source=192.0.2.1', TurnedAway.SCANNER)
    count("192.0.2.9", "INVITE", TurnedAway.RATE)
    count("192.0.2.9", "INVITE", TurnedAway.TRANSPORT)
    for reason in (TurnedAway.CREDENTIALS, TurnedAway.REPLAY, TurnedAway.URI, TurnedAway.MALFORMED):
        count(source, "INVITE", reason)
    for reason in (TurnedAway.RATE, TurnedAway.CHALLENGED, TurnedAway.STALE):
        count("192.0.2.9", "INVITE", reason)
    log = tmp_path / "bridge.log"
    log.write_text(written.getvalue())
    done = subprocess.run(
        [program, "--out", "ip", str(log), str(FILTER)], capture_output=True, text=True, check=False
    )
    assert re.findall(r"\S+", done.stdout) == [source] * 6, done.stdout + done.stderr
