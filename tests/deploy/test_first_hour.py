"""The page of the first hour names commands, files and settings that there are."""

import re
from pathlib import Path

from bridge.config.loading import load_settings
from bridge.routing.matching import check_arms, load_dialplans
from tests.deploy.pages import ROOT, blocks, commands, problem, settings_files
from tests.deploy.rules import DEPLOY, read_rules

PAGE = (DEPLOY / "FIRST_HOUR.md").read_text(encoding="utf-8")
SHELL = "\n".join(blocks(PAGE, "sh"))


def test_commands_are_the_products() -> None:
    found = [typed for typed in commands(PAGE) if typed.whole]
    assert {typed.words[0] for typed in found} >= {"pjsip", "check", "calls"}
    assert {str(typed): why for typed in found if (why := problem(typed))} == {}


def test_files_of_the_repository_are_there() -> None:
    named = set(re.findall(r"(?<![\w/])deploy/[\w./*-]+", SHELL))
    assert len(named) >= 4
    assert [each for each in named if not list(ROOT.glob(each))] == []


def test_settings_are_good(tmp_path: Path) -> None:
    files = settings_files(PAGE)
    assert {str(path) for path in files} >= {
        "/etc/bridge/bridge.yaml",
        "/etc/bridge/dialplans/support.yaml",
    }
    for path, text in files.items():
        place = tmp_path / path.relative_to("/etc")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    settings = load_settings(
        tmp_path / "bridge" / "bridge.yaml", {"CREDENTIALS_DIRECTORY": "/run/credentials/x"}
    )
    dialplans = load_dialplans(tmp_path / "bridge" / "dialplans")
    check_arms(dialplans, settings.arms)
    assert settings.sip.tls is not None
    assert settings.dialplans_dir == Path("/etc/bridge/dialplans")
    key = settings.realtime_arms["live"].api_key_file
    assert key == Path("/run/credentials/x/secret_realtime")
    assert "/etc/bridge/credentials/realtime" in SHELL  # secret_ and the file's name


def test_alert_of_the_page_is_one_of_the_rules() -> None:
    (name,) = set(re.findall(r'"alertname":"(\w+)"', PAGE))
    assert name in {rule.get("alert") for rule in read_rules()}
    assert "job_name: bridge" in PAGE
