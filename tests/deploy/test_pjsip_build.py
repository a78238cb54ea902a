"""`deploy/pjsip/build`: what it says where it can't build, what it keeps, and the wheel it makes.

The build itself takes minutes; `.ci/run` runs it, and the tests marked `capacity` use its result.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from capacity.compiling import Bindings
from capacity.mends import MENDS, mend
from capacity.recipe import APT_PACKAGES, CHECKED, SERVED
from capacity.source import pjproject_version
from capacity.wheel import tag, write_wheel
from capacity.work import BuildError

_DEPLOY = Path(__file__).resolve().parents[2] / "deploy/pjsip"


class _Machine:
    """A machine to run the command on, with a cache of its own."""

    def __init__(self, place: Path) -> None:
        self.cache = place / "cache"
        self.programs = place / "bin"
        self.programs.mkdir()

    def build(
        self, *arguments: str, python: Path | str = sys.executable, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `deploy/pjsip/build`."""
        own = {"XDG_CACHE_HOME": str(self.cache), "PYTHONDONTWRITEBYTECODE": "1"}
        inherited = {name: value for name, value in os.environ.items() if name != "PJPROJECT_DIR"}
        return subprocess.run(
            [python, _DEPLOY / "build", *arguments],
            env=inherited | own | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture
def machine(tmp_path: Path) -> _Machine:
    return _Machine(tmp_path)


def _own_tree(place: Path, version_mak: str, aconfigure: str = "") -> Path:
    tree = place / "pjproject"
    for directory in ("pjlib/include/pj", "pjmedia/build"):
        (tree / directory).mkdir(parents=True)
    (tree / "pjmedia/build/Makefile").write_text("OBJS = bb10_dev.o bdimad_dev.o\n")
    for each in MENDS:
        (tree / each.file).parent.mkdir(parents=True, exist_ok=True)
        with (tree / each.file).open("a") as file:
            file.write(each.before)
    (tree / "version.mak").write_text(version_mak)
    (tree / "aconfigure").write_text(aconfigure)
    return tree


def _version_mak(major: int, minor: int, revision: str = "", suffix: str = "") -> str:
    return (
        f"export PJ_VERSION_MAJOR  := {major}\nexport PJ_VERSION_MINOR  := {minor}\n"
        f"export PJ_VERSION_REV    := {revision}\nexport PJ_VERSION_SUFFIX := {suffix}\n\n"
        "export PJ_VERSION := $(PJ_VERSION_MAJOR).$(PJ_VERSION_MINOR)\n"
    )


def test_outside_a_virtual_environment_it_says_so_and_builds_nothing(machine: _Machine) -> None:
    system = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")

    ended = machine.build(python=system, PATH=str(machine.programs))

    assert ended.returncode == 3
    assert "no virtual environment" in ended.stderr
    assert "--wheel-only" in ended.stderr


def test_without_apt_it_names_the_way_with_a_tree_of_ones_own(machine: _Machine) -> None:
    ended = machine.build("--wheel-only", PATH=str(machine.programs))

    assert ended.returncode == 3
    assert "fetched with apt" in ended.stderr
    assert "PJPROJECT_DIR" in ended.stderr


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get (Debian)")
def test_without_network_it_says_so_and_where_apts_own_words_are(machine: _Machine) -> None:
    nowhere = "http://127.0.0.1:9"

    ended = machine.build("--wheel-only", http_proxy=nowhere, https_proxy=nowhere)

    assert ended.returncode == 3
    assert "cannot read the package lists of Debian sid" in ended.stderr
    (log,) = machine.cache.glob("telephony-bridge/pjsip/build-*.log")
    assert str(log) in ended.stderr
    assert "127.0.0.1" in log.read_text()


def test_a_directory_that_is_no_pjproject_is_refused(machine: _Machine, tmp_path: Path) -> None:
    ended = machine.build("--wheel-only", PJPROJECT_DIR=str(tmp_path))

    assert ended.returncode == 3
    assert f"{tmp_path} is no pjproject source tree" in ended.stderr


def test_a_tree_of_before_2_15_is_refused_before_anything_is_installed(
    machine: _Machine, tmp_path: Path
) -> None:
    tree = _own_tree(tmp_path, _version_mak(2, 14, "1"))

    ended = machine.build("--wheel-only", PJPROJECT_DIR=str(tree), PATH=str(machine.programs))

    assert ended.returncode == 3
    assert "this pjproject is 2.14.1; the bridge needs 2.15" in ended.stderr


def test_a_missing_tool_is_named_where_there_are_no_debian_packages(
    machine: _Machine, tmp_path: Path
) -> None:
    tree = _own_tree(tmp_path, _version_mak(2, 17))

    ended = machine.build("--wheel-only", PJPROJECT_DIR=str(tree), PATH=str(machine.programs))

    assert ended.returncode == 3
    assert "programs needed for the build are missing: g++, make, swig" in ended.stderr


def test_missing_packages_are_named_with_the_command_where_they_cannot_be_installed(
    machine: _Machine, tmp_path: Path
) -> None:
    tree = _own_tree(tmp_path, _version_mak(2, 17))
    none_installed = machine.programs / "dpkg-query"
    none_installed.write_text("#!/bin/sh\nexit 1\n")
    none_installed.chmod(0o755)

    ended = machine.build("--wheel-only", PJPROJECT_DIR=str(tree), PATH=str(machine.programs))

    assert ended.returncode == 3
    assert f"apt-get install {' '.join(APT_PACKAGES)}" in ended.stderr


def _installed(packages: tuple[str, ...]) -> bool:
    listed = subprocess.run(["dpkg-query", "-W", *packages], capture_output=True)
    return listed.returncode == 0


@pytest.mark.skipif(
    shutil.which("dpkg-query") is None or not _installed(APT_PACKAGES),
    reason=f"needs Debian's packages {' '.join(APT_PACKAGES)} (deploy/pjsip/build installs them)",
)
def test_a_step_that_fails_names_the_log_and_leaves_the_users_tree_as_it_was(
    machine: _Machine, tmp_path: Path
) -> None:
    tree = _own_tree(tmp_path, _version_mak(2, 17), "echo no such library >&2; exit 7")
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}

    ended = machine.build("--wheel-only", PJPROJECT_DIR=str(tree))

    assert ended.returncode == 3
    assert "PJSIP's configure failed (exit 7)" in ended.stderr
    assert "| no such library" in ended.stderr
    (log,) = machine.cache.glob("telephony-bridge/pjsip/build-*.log")
    assert str(log) in ended.stderr
    assert "--enable-epoll" in log.read_text()
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before
    assert not list(machine.cache.glob("telephony-bridge/pjsip/work-*"))


def test_a_kept_wheel_is_found_without_apt_or_network(machine: _Machine) -> None:
    wheel = _keep_wheel(machine, _DEPLOY)

    ended = machine.build("--wheel-only", PATH=str(machine.programs))

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == str(wheel)


@pytest.mark.parametrize("changed", ["capacity/recipe.py", "extension.mak"])
def test_a_changed_recipe_finds_no_kept_wheel(
    machine: _Machine, tmp_path: Path, changed: str
) -> None:
    _keep_wheel(machine, _DEPLOY)
    other = tmp_path / "other"
    shutil.copytree(_DEPLOY, other)
    text = (other / changed).read_text()
    (other / changed).write_text(f"{text}# another\n")

    assert _recipe_directory(machine, other) != _recipe_directory(machine, _DEPLOY)


def _recipe_directory(machine: _Machine, deploy: Path, check: str = "") -> Path:
    ask = (
        "from capacity.kept import recipe_directory; from capacity.recipe import CHECKED, SERVED; "
        f"print(recipe_directory(CHECKED.get({check!r}, SERVED)))"
    )
    environment = {"PYTHONPATH": str(deploy), "XDG_CACHE_HOME": str(machine.cache)}
    asked = [sys.executable, "-c", ask]
    return Path(subprocess.check_output(asked, env=os.environ | environment, text=True).strip())


def _keep_wheel(machine: _Machine, deploy: Path, check: str = "") -> Path:
    directory = _recipe_directory(machine, deploy, check)
    wheel = directory / "debian-1:22" / "pjsua2_python-2.17-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    return wheel


@pytest.mark.parametrize("check", sorted(CHECKED))
def test_a_build_to_find_faults_with_is_kept_apart_and_never_the_one_that_is_served(
    machine: _Machine, check: str
) -> None:
    served = _keep_wheel(machine, _DEPLOY)
    checked = _keep_wheel(machine, _DEPLOY, check)

    for wheel, asked in ((served, ()), (checked, ("--check", check))):
        ended = machine.build("--wheel-only", *asked, PATH=str(machine.programs))
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines()[-1] == str(wheel)

    served.unlink()
    ended = machine.build("--wheel-only", PATH=str(machine.programs))
    assert ended.returncode == 3  # it would be built, and there is nothing here to build with


def test_only_what_is_served_is_without_assertions() -> None:
    assert "-DNDEBUG" in SERVED.c_flags
    assert not any("-DNDEBUG" in variant.c_flags for variant in CHECKED.values())


def test_the_version_is_read_from_pjprojects_own_makefile(tmp_path: Path) -> None:
    tree = _own_tree(tmp_path, _version_mak(2, 16, "3", "-dev"))

    assert pjproject_version(tree) == ("2.16.3", ".dev")


def test_a_tree_without_a_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="tells no version"):
        pjproject_version(tmp_path)


def test_pip_installs_the_wheel_and_every_file_is_as_it_was_packed(tmp_path: Path) -> None:
    (tmp_path / "pjsua2.py").write_text("class Endpoint: pass\n")
    extension = tmp_path / f"_pjsua2{sysconfig.get_config_var('EXT_SUFFIX')}"
    extension.write_bytes(bytes(1000))
    (tmp_path / "COPYING").write_text("GPL")
    wheel = write_wheel(
        Bindings(tmp_path / "pjsua2.py", extension),
        version="2.17+capacity",
        source="debian-1:22",
        licence=tmp_path / "COPYING",
        directory=tmp_path,
    )
    packages = tmp_path / "packages"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]

    subprocess.run([*pip, "--no-index", "--no-deps", "--target", packages, wheel], check=True)

    assert wheel.name == f"pjsua2_python-2.17+capacity-{tag()}.whl"
    (distribution,) = importlib.metadata.distributions(path=[str(packages)])
    assert (distribution.metadata["Name"], distribution.version) == (
        "pjsua2-python",
        "2.17+capacity",
    )
    ask = "import pjsua2; print(pjsua2.__version__, pjsua2.Endpoint)"
    alone = os.environ | {"PYTHONPATH": str(packages)}
    told = subprocess.check_output([sys.executable, "-c", ask], env=alone, text=True)
    assert told.split()[0] == "2.17+capacity"
    assert (packages / "pjsua2" / extension.name).read_bytes() == bytes(1000)


class TestMends:
    def test_media_is_marked_as_started_before_its_first_read(self, tmp_path: Path) -> None:
        tree = _own_tree(tmp_path, "")
        mend(tree)
        text = (tree / "pjmedia/src/pjmedia/transport_udp.c").read_text()
        started, *failed = (
            place
            for place, line in enumerate(text.splitlines())
            if "started" in line and "=" in line
        )
        assert len(failed) == 2
        assert all(started < place for place in failed)

    def test_a_tree_without_the_place_is_refused(self, tmp_path: Path) -> None:
        tree = _own_tree(tmp_path, "")
        mend(tree)
        with pytest.raises(BuildError, match=r"transport_udp\.c is not as"):
            mend(tree)
