"""Which published faults a release of PJSIP has, and that each guard which names a file has it."""

import re
from pathlib import Path

import pytest

from bridge.sip.bounds import BOUNDS
from bridge.telephony.known_faults import KNOWN_FAULTS, faults_of

ROOT = Path(__file__).parents[2]
IN_ALL = {"CVE-2026-57162", "PR 4998", "PR 5082", "PR 5114", "CVE-2026-57163"}


@pytest.mark.parametrize("version", ["2.17", "2.17-dev", "2.17.1"])
def test_the_capacity_builds_release_has_what_is_mended_behind_it(version: str) -> None:
    assert {fault.name for fault in faults_of(version)} == IN_ALL
    assert all(fault.guard for fault in faults_of(version))


def test_the_wheels_release_has_more() -> None:
    names = {fault.name for fault in faults_of("2.15.1")}
    assert {"CVE-2026-40892", "CVE-2026-32945", "CVE-2026-25994", "CVE-2026-41416"} < names
    assert names > IN_ALL


def test_releases_are_compared_as_numbers_and_an_unknown_one_has_all() -> None:
    assert faults_of("2.9") == faults_of("unknown") == KNOWN_FAULTS
    assert faults_of("2.18") == faults_of("3.0") == ()


def test_a_guard_names_files_that_are_there_and_bounds_that_stand() -> None:
    for fault in KNOWN_FAULTS:
        for path in re.findall(r"bridge/\S+\.py", fault.guard or ""):
            assert (ROOT / path).is_file(), fault
    most = {bound.name: bound.most for bound in BOUNDS}
    assert (most["keys"], most["media"]) == (32, 16)
