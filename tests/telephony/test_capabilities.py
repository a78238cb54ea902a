"""What the loaded PJSIP says of itself, on the pip wheel and on the capacity build."""

import ast
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import bridge.telephony
from bridge.config.sip import SipSettings
from bridge.errors import ConfigError
from bridge.telephony.capabilities import tls_problem
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.library import load_symbols

_C_FUNCTION = re.compile(r"(pj|pjsua|pjsip|pjmedia)_[a-z0-9_]*[a-z0-9]")


def _examined(question: str) -> str:
    """Ask in a process of its own: PJSIP is up once in a process."""
    ask = f"from bridge.telephony.capabilities import examine; found = examine(); print({question})"
    return subprocess.check_output([sys.executable, "-c", ask], text=True, timeout=60).strip()


@pytest.mark.skipif("+" in version("pjsua2-python"), reason="the pip wheel is not installed")
def test_the_pip_wheel_holds_four_calls_and_its_openssl_is_not_fit_for_tls() -> None:
    calls, tls, problem = _examined(
        "found.call_limit, found.tls_library, found.tls_problem, sep='|'"
    ).split("|")

    assert calls == "4"
    assert tls.startswith("OpenSSL 1.0.2")
    assert problem == f"{' '.join(tls.split()[:2])} is past its end of life, its holes stay open"


@pytest.mark.skipif("+" in version("pjsua2-python"), reason="the pip wheel is not installed")
def test_the_pip_wheel_has_no_usable_memory_ports() -> None:
    assert "pjmedia_mem_capture_create" in _examined("found.memory_ports_problem")


@pytest.mark.skipif("+" in version("pjsua2-python"), reason="the pip wheel is not installed")
@pytest.mark.parametrize(
    ("setting", "more"),
    [
        ("sip.tls", {"tls": {"cert_file": "none.pem", "key_file": "none.key"}}),
        (
            "sip.trunks.one.srtp",
            {"trunks": {"one": {"addresses": "192.0.2.1", "srtp": "optional"}}},
        ),
    ],
)
def test_the_pip_wheel_refuses_settings_of_tls_and_srtp_and_names_the_remedy(
    setting: str, more: dict[str, object]
) -> None:
    settings = SipSettings.model_validate({"host": "127.0.0.1", "port": 0, **more})
    endpoint = SipEndpoint(settings)
    with pytest.raises(ConfigError, match=f"{setting} can't be had.*capacity build"):
        endpoint.start()


@pytest.mark.capacity
def test_the_capacity_build_holds_hundreds_of_calls_with_three_ports_each() -> None:
    calls, ports, ioqueue = _examined(
        "found.call_limit, found.conference_ports, found.ioqueue"
    ).split()

    assert int(calls) == 1024
    assert int(ports) >= 3 * int(calls)
    assert ioqueue.startswith("epoll")


@pytest.mark.capacity
def test_the_capacity_build_has_the_systems_openssl_and_memory_ports() -> None:
    asked = "found.tls_problem, found.srtp_problem, found.memory_ports_problem"
    assert _examined(asked) == "None None None"


@pytest.mark.capacity
def test_the_capacity_build_offers_the_codecs_of_the_telephone_network() -> None:
    codecs = _examined("*found.codecs").split()

    assert {"PCMU/8000/1", "PCMA/8000/1"} <= set(codecs)


@pytest.mark.capacity
def test_every_c_function_that_telephony_names_is_in_the_capacity_build() -> None:
    symbols = load_symbols()
    named = _named_c_functions()

    assert "pjsip_endpt_respond" in named
    assert [name for name in sorted(named) if not hasattr(symbols, name)] == []


def _named_c_functions() -> set[str]:
    named = set()
    for path in Path(bridge.telephony.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            word = node.attr if isinstance(node, ast.Attribute) else None
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                word = node.value
            if word is not None and _C_FUNCTION.fullmatch(word):
                named.add(word)
    return named


@pytest.mark.parametrize(
    ("library", "fit"),
    [
        ("OpenSSL 3.0.22 25 Aug 2026", True),
        ("OpenSSL 3.5.1 1 Jul 2025", True),
        ("OpenSSL 4.0.0 1 Apr 2026", True),
        ("OpenSSL 1.1.1w 11 Sep 2023", False),
        ("OpenSSL 1.0.2k-fips 26 Jan 2017", False),
        ("LibreSSL 3.9.0", False),
        ("", False),
    ],
)
def test_tls_is_offered_on_an_openssl_that_is_still_mended(library: str, fit: bool) -> None:
    assert (tls_problem(library) is None) is fit
