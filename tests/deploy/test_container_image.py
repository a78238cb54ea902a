"""The image itself: built on a Debian that is made here, and looked over.

Minutes and some gigabytes; `IMAGE_STORAGE=DIR` keeps what is built for the next run.
"""

import json
import os
import re
import subprocess
import venv
from pathlib import Path

import pytest

from tests.deploy.images import BASE, Built, Storage

pytestmark = [pytest.mark.nightly, pytest.mark.slow, pytest.mark.timeout(3600)]

_MOST_BYTES = 400 * 10**6
_COMPILERS = ("gcc", "cc", "g++", "c++", "clang", "ld", "as", "make", "swig", "pip", "pip3")
_PATHS = ("usr/bin", "usr/sbin", "usr/local/bin", "opt/bridge/bin")
_SAID = "usr/share/telephony-bridge"
_VALIDATE = """
import sys
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(sys.stdin.read())
sys.exit(0 if fault is None else str(fault))
"""


def test_image_is_under_400_mb(gateway: Built, storage: Storage) -> None:
    assert sum(size for _, size in gateway.files().values()) < _MOST_BYTES
    (listed,) = json.loads(storage.buildah("images", "--json", "telephony-bridge"))
    number, unit = listed["size"].split()
    assert unit == "MB"
    assert float(number) * 10**6 < _MOST_BYTES


def test_image_has_no_compiler_and_no_pip(gateway: Built, edge: Built) -> None:
    found = [
        f"{path}/{name}"
        for built in (gateway, edge)
        for path in _PATHS
        for name in _COMPILERS
        if os.path.lexists(built.root / path / name)
    ]
    assert found == []
    assert (gateway.root / "usr/bin/tini").exists()


def test_image_says_what_docker_must_know(gateway: Built) -> None:
    config = gateway.config
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"][0] == "tini"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in config["Labels"].items()
    }
    assert labels["vendor"] == "Example Ltd"
    assert re.fullmatch(r"[0-9a-f]{40}", labels["revision"])
    assert labels["version"] == "0.1.0"
    assert labels["licenses"] == "GPL-3.0-or-later"


def test_nothing_of_this_machines_configuration_is_left(gateway: Built, storage: Storage) -> None:
    machine = gateway.root / "run/machine"
    assert not machine.exists() or list(machine.iterdir()) == []
    assert not (gateway.root / "etc/pip.conf").exists()
    kept = json.loads(storage.buildah("inspect", "--type", "image", "telephony-bridge"))
    assert [each for each in kept["Docker"]["config"]["Env"] if "CONFIG" in each] == []
    sources = (gateway.root / "etc/apt/sources.list").read_text()
    assert {line.split()[1].split("/")[2] for line in sources.splitlines()} == {"deb.debian.org"}


def _plain(name: str) -> str:
    """Return a distribution's name in the one way that compares (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_bill_of_materials_is_cyclonedx_and_whole(gateway: Built, tmp_path: Path) -> None:
    text = (gateway.root / _SAID / "bill-of-materials.cdx.json").read_text()
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv/bin/python")
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "cyclonedx-python-lib[json-validation]"], check=True
    )
    done = subprocess.run(
        [python, "-c", _VALIDATE], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    bill = json.loads(text)
    purls = [each.get("purl", "") for each in bill["components"]]
    packages = (gateway.root / "opt/bridge/lib/python3.11/site-packages").glob("*.dist-info")
    installed = {each.name.split("-")[0].replace("_", "-").lower() for each in packages}
    listed = {
        each["name"].replace("_", "-").replace(".", "-").lower() for each in bill["components"]
    }
    assert installed - {"telephony-bridge"} <= listed
    assert bill["metadata"]["component"]["name"] == "telephony-bridge"
    for begin in ("pkg:deb/debian/tini@", "pkg:deb/debian/asterisk@", "pkg:deb/debian/libsrtp2@"):
        assert any(purl.startswith(begin) for purl in purls), begin
    (speech,) = (each for each in bill["components"] if each["name"] == "espeak-ng")
    assert re.fullmatch(r"pkg:github/espeak-ng/espeak-ng@\d+\.\d+\.\d+", speech["purl"])
    assert speech["licenses"] == [{"license": {"id": "GPL-3.0-or-later"}}]


def test_licences_are_listed_and_the_sources_offered(gateway: Built) -> None:
    said = gateway.root / _SAID
    licences = (said / "licences.txt").read_text().splitlines()
    assert {"pjsua2-python", "telephony-bridge", "numpy", "espeakng-loader"} <= {*licences}
    assert "GNU GENERAL PUBLIC LICENSE" in "\n".join(licences)
    assert "version 3 or later" in (said / "LICENCES.md").read_text()
    version_3 = (gateway.root / "usr/share/common-licenses/GPL-3").read_text()
    assert "Version 3, 29 June 2007" in version_3
    offer = (said / "SOURCE_OFFER.md").read_text()
    assert "Written offer" in offer
    assert "three years" in offer
    assert re.search(r"^Offered by: Example Ltd. Version 0.1.0, revision [0-9a-f]{40}", offer, re.M)


def test_tests_of_the_capacity_build_pass_in_the_image(storage: Storage) -> None:
    done = storage.build("--base", BASE, "--test")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"\d{2,} passed", done.stdout)
