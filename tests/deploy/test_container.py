"""deploy/container, as far as it can be held against the product without building an image."""

import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from capacity.recipe import APT_PACKAGES

from bridge.config.settings import Settings
from tests.deploy.containerfile import CONTAINER, FILE, Instruction, read_stages
from tests.deploy.pages import ROOT, Typed, problem

STAGES = read_stages()
DEFAULTS = Settings.model_validate({})


def of(stage: str, name: str) -> list[Instruction]:
    return [each for each in STAGES[stage] if each.name == name]


def last(stage: str, name: str) -> list[str]:
    return of(stage, name)[-1].words()


def ignored(path: str) -> bool:
    """Return whether the context lacks a path, by its ignore file, whose last word counts."""
    verdict = False
    for line in (CONTAINER / "Containerfile.dockerignore").read_text("utf-8").split():
        pattern = line.removeprefix("!")
        above = [str(parent) for parent in Path(path).parents if parent.name]
        if any(fnmatchcase(each, pattern) for each in (path, *above)):
            verdict = not line.startswith("!")
    return verdict


@pytest.mark.parametrize("stage", [name for name in STAGES if name])
def test_files_that_are_copied_are_there_and_in_the_context(stage: str) -> None:
    copied = [
        path
        for each in of(stage, "COPY")
        if not each.rest.startswith("--from=")
        for path in each.words()[:-1]
    ]
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert [path for path in copied if path != "." and ignored(path)] == []


def test_what_a_checkout_holds_beside_its_sources_is_not_in_the_context() -> None:
    beside = (".venv/bin/python", ".git/config", "deploy/compose/secrets/realtime_key", "state/x")
    assert [path for path in beside if not ignored(path)] == []


def test_every_stage_is_on_the_base_that_is_asked_for() -> None:
    bases = [last(stage, "FROM")[0] for stage in STAGES if stage]
    assert {*bases} == {"${BASE}", "pjsip", "gateway"}
    assert of("", "ARG")[0].rest == "BASE=docker.io/library/debian:12-slim"
    assert last("last", "FROM") == ["gateway"]


@pytest.mark.parametrize("stage", ["gateway", "edge"])
def test_runtime_stages_install_no_compiler_and_run_as_nobody_special(stage: str) -> None:
    text = " ".join(each.rest for each in of(stage, "RUN"))
    for package in ("build-essential", "gcc", "g++", "swig", "python3-dev", "python3-pip"):
        assert package not in text.split()
    assert last(stage, "USER")[0].split(":")[0] not in ("root", "0")
    assert last(stage, "ENTRYPOINT")[:2] == ["tini", "--"]


def test_packages_that_compile_pjsip_are_those_of_its_recipe() -> None:
    words = " ".join(each.rest for each in of("pjsip", "RUN")).split()
    assert [package for package in APT_PACKAGES if package not in words] == []


def test_image_starts_the_gateway() -> None:
    assert last("gateway", "ENTRYPOINT")[2:] == ["bridge"]
    assert problem(Typed(tuple(last("gateway", "CMD")), whole=True)) is None


def test_ports_are_the_settings_own() -> None:
    sip, http = DEFAULTS.sip.port, DEFAULTS.http.port
    assert {*last("gateway", "EXPOSE")} == {f"{sip}/udp", f"{sip}/tcp", f"{http}/tcp"}
    (variable,) = (w for w in last("gateway", "ENV") if w.startswith("HEALTH_URL="))
    place = urlsplit(variable.partition("=")[2])
    assert (place.hostname, place.port) == (DEFAULTS.http.host, http)
    assert place.path == "/healthz"


def test_what_the_gateway_writes_lies_in_the_images_volumes() -> None:
    home = Path(last("gateway", "WORKDIR")[0])
    written = {str(home / path) for path in (DEFAULTS.state_dir, DEFAULTS.media.recordings_dir)}
    assert {*last("gateway", "VOLUME")} == written


def test_no_registry_and_no_configuration_of_a_machine_is_named() -> None:
    kept = [each.rest for name in STAGES for each in STAGES[name] if each.name in ("ENV", "LABEL")]
    assert [text for text in kept if "PIP_CONFIG" in text or "APT_CONFIG" in text] == []
    text = FILE.read_text("utf-8") + (CONTAINER / "build").read_text("utf-8")
    assert "index-url=" not in text


def build(*arguments: str, path: str = os.environ["PATH"]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", str(CONTAINER / "build"), *arguments],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_names_every_option() -> None:
    done = build("--help")
    assert done.returncode == 0
    for option in ("--base", "--target", "--tag", "--machine-config", "--offered-by", "--test"):
        assert f"  {option} " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--bass", "x"), "no option --bass"),
        (("--base",), "--base needs a value"),
        (("--target", "tested"), "--target is gateway or edge, not tested"),
        (("--target", "edge", "--test"), "--test is for the gateway's image"),
        (("--", "-x"), "what follows -- is for --test"),
    ],
)
def test_bad_input_is_said(arguments: tuple[str, ...], said: str) -> None:
    done = build(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(("there", "missing"), [((), "buildah"), (("buildah",), "mmdebstrap")])
def test_a_missing_program_is_named_with_its_package(
    there: tuple[str, ...], missing: str, tmp_path: Path
) -> None:
    for name in there:
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(Path("/usr/bin") / name)
    done = build("--base", "mmdebstrap", path=str(tmp_path))
    assert done.returncode == 3
    assert f"{missing} is not installed: apt-get install {missing}" in done.stderr


def test_bill_of_materials_has_debians_packages_and_the_sources_of_pjsip(tmp_path: Path) -> None:
    python = tmp_path / "python.cdx.json"
    python.write_text('{"bomFormat": "CycloneDX", "components": [{"name": "redis"}]}')
    (tmp_path / "pjsua2").mkdir()
    (tmp_path / "pjsua2" / "__init__.py").touch()
    ref = tmp_path / "pjsua2" / "_pjproject_ref"
    ref.write_text("debian-1:22.10.1+dfsg-1-libsrtp-2.5.0-3\n")
    dpkg = tmp_path / "dpkg-query"
    rows = ("tini\t0.19.0-1\tamd64\ttini\tii \n", "gone\t1\tall\tgone\trc \n")
    dpkg.write_text(f"#!/bin/sh\nprintf '%s' '{''.join(rows)}'\n")
    dpkg.chmod(0o755)

    def bill() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(CONTAINER / "bill_of_materials.py"), str(python)],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    found = json.loads(bill().stdout)["components"]
    assert [each["name"] for each in found] == [
        "redis",
        "tini",
        "asterisk",
        "libsrtp2",
        "espeak-ng",
    ]
    assert found[1]["purl"] == "pkg:deb/debian/tini@0.19.0-1?arch=amd64&distro=debian-12"
    assert found[2]["version"] == "1:22.10.1+dfsg-1"
    assert found[3]["version"] == "2.5.0-3"
    assert re.fullmatch(r"1\.\d+\.\d+", found[4]["version"])

    ref.write_text("somewhere else")
    assert "names no Debian source: 'somewhere else'" in bill().stderr


def test_page_names_the_options() -> None:
    page = (CONTAINER / "README.md").read_text("utf-8")
    options = ("--base", "--target", "--machine-config", "--offered-by", "--test")
    assert [option for option in options if option not in page] == []
