"""What deploy/systemd holds is taken by systemd, and names what the product has."""

import configparser
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from bridge.config.loading import variable_names
from bridge.config.settings import Settings
from tests.deploy.pages import Typed, blocks, problem
from tests.deploy.rules import DEPLOY
from tests.support.programs import need_program

SYSTEMD = DEPLOY / "systemd"
UNITS = ("bridge.service", "bridge@.service")
MOST_EXPOSED = 2.0
BRIDGE = "/opt/bridge/bin/bridge"


def lines(unit: str, key: str) -> list[str]:
    """Return the values that a unit gives a key, in their order."""
    text = (SYSTEMD / unit).read_text(encoding="utf-8")
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def only(unit: str, key: str) -> str:
    (value,) = lines(unit, key)
    return value


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def verified(unit: str, text: str, tmp_path: Path) -> str:
    """Return what systemd has against a unit; its programs need not be there."""
    program = need_program("systemd-analyze", "systemd")
    path = tmp_path / unit.replace("@.", "@a.")
    path.write_text(text.replace(BRIDGE, "/usr/bin/env"), encoding="utf-8")
    done = subprocess.run(
        [program, "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    complaints = [line for line in done.stderr.splitlines() if path.name in line]
    return "\n".join(complaints) or ("" if done.returncode == 0 else done.stderr)


def exposure(path: Path, limit: float) -> subprocess.CompletedProcess[str]:
    program = need_program("systemd-analyze", "systemd")
    return subprocess.run(
        [program, "security", "--offline=true", f"--threshold={limit * 10:.0f}", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_against_a_unit(unit: str, tmp_path: Path) -> None:
    text = (SYSTEMD / unit).read_text(encoding="utf-8")
    assert verified(unit, text, tmp_path) == ""
    broken = text.replace("ProtectClock=", "ProtectClok=").replace(
        "WatchdogSec=30", "WatchdogSec=x"
    )
    found = verified(unit, broken, tmp_path)
    assert "ProtectClok" in found
    assert "Failed to parse sec value" in found


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_exposed_by_two_at_most(unit: str, tmp_path: Path) -> None:
    path = tmp_path / unit.replace("@.", "@a.")
    text = (SYSTEMD / unit).read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    done = exposure(path, MOST_EXPOSED)
    (figure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(figure) <= MOST_EXPOSED, done.stdout
    assert done.returncode == 0
    named = (SYSTEMD / "README.md").read_text(encoding="utf-8")
    assert f"`systemd-analyze security bridge` says {figure}." in named
    path.write_text(re.sub(r"(?m)^(SystemCallFilter|PrivateUsers|CapabilityB\w+)=.*$", "", text))
    assert exposure(path, MOST_EXPOSED).returncode != 0


@pytest.mark.parametrize("unit", UNITS)
def test_unit_names_what_the_product_has(unit: str) -> None:
    program, *words = shlex.split(only(unit, "ExecStart"))
    assert program == BRIDGE
    assert problem(Typed(tuple(words), whole=True)) is None
    set_by = {each.partition("=")[0] for each in lines(unit, "Environment")}
    ours = {name for name in set_by if name.startswith("BRIDGE_")}
    assert len(ours) >= 5
    assert ours <= set(variable_names())
    assert only(unit, "Type") == "notify"
    assert only(unit, "ExecReload") == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize("unit", UNITS)
def test_stop_leaves_the_time_that_a_drain_takes(unit: str) -> None:
    settings = Settings()
    assert int(only(unit, "TimeoutStopSec")) > settings.drain_s + settings.shutdown_grace_s + 10
    # SIGTERM drains; children get none, or the private Redis would go before the calls.
    assert (only(unit, "KillSignal"), only(unit, "KillMode")) == ("SIGTERM", "mixed")


@pytest.mark.parametrize("unit", UNITS)
def test_what_the_gateway_writes_is_in_its_state_directory(unit: str) -> None:
    where = [each for each in lines(unit, "Environment") if each.partition("=")[2].startswith("%S")]
    assert {each.partition("=")[0] for each in where} == {
        "BRIDGE_STATE_DIR",
        "BRIDGE_MEDIA_RECORDINGS_DIR",
        "BRIDGE_CONSOLE_SCRIPTS_DIR",
        "BRIDGE_CONSOLE_REPLAYS_DIR",
    }
    own = only(unit, "StateDirectory").split()[-1]
    assert all(each.partition("=")[2].startswith(f"%S/{own}/") for each in where)


def test_units_differ_in_names_alone() -> None:
    one, several = ((SYSTEMD / unit).read_text(encoding="utf-8").splitlines() for unit in UNITS)
    assert {
        line for line in several if line not in one and "%i" not in line and line[:1] != "#"
    } == set()


def test_user_is_made(tmp_path: Path) -> None:
    program = need_program("systemd-sysusers", "systemd")
    (tmp_path / "etc").mkdir()
    run(program, f"--root={tmp_path}", str(SYSTEMD / "sysusers.d" / "bridge.conf"))
    (user,) = (tmp_path / "etc" / "passwd").read_text().splitlines()
    assert user.split(":")[0] == only("bridge.service", "User") == only("bridge.service", "Group")
    assert user.split(":")[5:] == ["/var/lib/bridge", "/usr/sbin/nologin"]


def test_directories_are_made(tmp_path: Path) -> None:
    programs = [need_program(f"systemd-{name}", "systemd") for name in ("sysusers", "tmpfiles")]
    (tmp_path / "etc").mkdir()
    run(programs[0], f"--root={tmp_path}", str(SYSTEMD / "sysusers.d" / "bridge.conf"))
    conf = SYSTEMD / "tmpfiles.d" / "bridge.conf"
    run(programs[1], f"--root={tmp_path}", "--create", str(conf))
    modes = {
        name: f"{(tmp_path / name).stat().st_mode & 0o777:o}"
        for name in (
            "etc/bridge",
            "etc/bridge/dialplans",
            "etc/bridge/credentials",
            "var/lib/bridge",
        )
    }
    assert list(modes.values()) == ["750", "750", "700", "750"]
    _, _, source = only("bridge.service", "LoadCredential").partition(":")
    assert (tmp_path / source.lstrip("/")).is_dir()
    assert (tmp_path / only("bridge.service", "WorkingDirectory").lstrip("/")).is_dir()


def test_ports_of_the_pages_are_reserved() -> None:
    parser = configparser.ConfigParser()
    conf = (SYSTEMD / "sysctl.d" / "60-bridge.conf").read_text(encoding="utf-8")
    parser.read_string(f"[all]\n{conf}")
    first, last = map(int, parser["all"]["net.ipv4.ip_local_reserved_ports"].split("-"))
    assert f"ip_local_reserved_ports={first}-{last}`" in (DEPLOY / "SCALING.md").read_text()
    (example,) = [
        each for each in blocks((SYSTEMD / "README.md").read_text(), "sh") if "a.env" in each
    ]
    given = dict(re.findall(r"^(BRIDGE_\w+)=(.*)$", example, re.MULTILINE))
    assert given.keys() <= set(variable_names())
    ports = range(int(given["BRIDGE_SIP_RTP_PORT_MIN"]), int(given["BRIDGE_SIP_RTP_PORT_MAX"]))
    assert first <= ports.start < ports.stop <= last
