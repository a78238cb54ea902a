"""`bridge pjsip`, as a person and as a program read it."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "bridge", "pjsip", *arguments]
    return subprocess.check_output(command, text=True, timeout=60)


def test_a_person_reads_one_capability_a_line() -> None:
    first, *lines = _run().splitlines()

    assert first.startswith("PJSIP 2.")
    assert f"({version('pjsua2-python')})" in first
    names = [line[2:20].rstrip() for line in lines if not line.startswith("   ")]
    assert names == [
        *("calls", "conference ports", "ioqueue", "TLS library", "SRTP", "IPv6"),
        *("memory ports", "codecs", "known faults"),
    ]


@pytest.mark.skipif("+" in version("pjsua2-python"), reason="the pip wheel is not installed")
def test_on_the_pip_wheel_it_names_the_way_to_more_calls_and_why_there_is_no_tls() -> None:
    text = _run()

    assert "4 in one process" in text
    assert "deploy/pjsip/build" in text
    assert "SIP over TLS is not offered: OpenSSL 1.0.2" in text
    assert "SRTP              not offered" in text
    assert "IPv6              not offered" in text
    assert "not usable; audio goes by callbacks" in text


@pytest.mark.capacity
def test_on_the_capacity_build_nothing_is_amiss() -> None:
    capabilities = _run().partition("known faults")[0]

    assert "1024 in one process" in capabilities
    assert "not " not in capabilities


def test_a_program_reads_one_json_object() -> None:
    found = json.loads(_run("--json"))

    assert found["call_limit"] >= 4
    assert found["distribution"] == version("pjsua2-python")
    assert "PCMU/8000/1" in found["codecs"]
    assert set(found) >= {
        "ioqueue",
        "tls_library",
        "tls_problem",
        "srtp_problem",
        "ipv6_problem",
        "memory_ports_problem",
    }


def test_it_names_the_faults_of_the_loaded_release_and_their_guards() -> None:
    found, text = json.loads(_run("--json")), _run()
    named = {fault["name"]: fault for fault in found["known_faults"]}

    assert named["CVE-2026-57162"]["guard"] == "at most 32 lines (bridge/sip/bounds.py)"
    is_wheel = found["version"].startswith("2.15")
    assert ("CVE-2026-40892" in named) is is_wheel
    unguarded = [name for name, fault in named.items() if fault["guard"] is None]
    assert (f"{len(named)}, {len(unguarded)} without a guard") in text
    assert text.count("NO GUARD STANDS") == len(unguarded) == (1 if is_wheel else 0)
    for name, fault in named.items():
        assert f"    {name}, up to 2." in text
        assert fault["what"] in text
