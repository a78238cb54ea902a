"""Every alert is checked and tried by Prometheus' own tool, and leads to a page that helps."""

import re
import subprocess
from itertools import chain
from pathlib import Path

import pytest

from bridge.config.models import load_models
from bridge.config.settings import ArmSettings
from bridge.telemetry.metrics import ARM_STOPPING
from tests.deploy.rules import (
    DEPLOY,
    RULE_FILES,
    alert_tests,
    read_alerts,
    read_cases,
    write_promtool_files,
)
from tests.support.programs import need_program

ALERTS, CASES = read_alerts(), read_cases()
_PROMTOOL_WITHIN_S = 600.0
"""Its time is that of a processor, and a busy machine has little to spare."""


def promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [need_program("promtool", "prometheus"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_PROMTOOL_WITHIN_S
    )


def test_rules_are_valid() -> None:
    done = promtool("check", "rules", *map(str, RULE_FILES))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(_PROMTOOL_WITHIN_S + 60)
def test_every_alert_fires_and_keeps_quiet(tmp_path: Path) -> None:
    tests = [
        test for alert, rule in ALERTS.items() for test in alert_tests(alert, rule, CASES[alert])
    ]
    done = promtool("test", "rules", *write_promtool_files(tests, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_is_without_a_firing_and_a_quiet_case() -> None:
    assert CASES.keys() == ALERTS.keys()
    assert [alert for alert, case in CASES.items() if not (case["fires"] and case["quiet"])] == []


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_leads_to_its_page_in_the_runbook(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("page", "ticket")
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor == alert.lower()
    runbook = (DEPLOY.parent / path).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", runbook, re.MULTILINE)
    assert anchor in [heading.lower() for heading in headings]


def test_an_arm_is_dead_for_every_reason_that_only_a_person_can_mend() -> None:
    reasons = re.search(r'reason=~"([^"]+)"', ALERTS["ArmDead"]["expr"])
    assert reasons is not None
    assert sorted(reasons[1].split("|")) == list(ARM_STOPPING)


def test_a_gateway_after_the_readme_has_no_alert_of_its_models_end() -> None:
    readme = (DEPLOY.parent / "README.md").read_text(encoding="utf-8")
    named = {ArmSettings.model_fields["model"].default}
    named.update(re.findall(r"^ +model: (\S+)$", readme, re.MULTILINE))
    table = load_models()
    ends = {name: known.shutdown for name in named if (known := table.find(name)) is not None}
    assert ends == dict.fromkeys(named)


def test_runbook_goes_through_auth_latency_media_and_state_in_this_order() -> None:
    runbook = (DEPLOY / "RUNBOOK.md").read_text(encoding="utf-8")
    layers = re.findall(r"^## Alerts: (.+)$", runbook, re.MULTILINE)
    assert layers[:4] == ["auth", "latency", "media", "state"]
    of_layer = {
        layer: re.findall(r"^### (\w+)$", page.partition("\n## ")[0], re.MULTILINE)
        for layer in layers
        for page in [runbook.partition(f"\n## Alerts: {layer}\n")[2]]
    }
    assert sorted(chain.from_iterable(of_layer.values())) == sorted(ALERTS)
    assert "TokenRotationFailing" in of_layer["auth"]
    assert "FirstAudioSlow" in of_layer["latency"]
    assert "MediaRestarts" in of_layer["media"]
    assert {"InterruptionRecoveryFailing", "SessionsLost"} <= {*of_layer["state"]}
