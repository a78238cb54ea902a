"""What an INVITE says of its caller's number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.routing.verstat import Verstat, read_verstat

NUMBER = "+15551234567"


def asserted(verstat: str) -> dict[str, list[str]]:
    return {"p-asserted-identity": [f"<sip:{NUMBER};verstat={verstat}@carrier.example;user=phone>"]}


@pytest.mark.parametrize(
    ("verstat", "level"),
    [
        ("TN-Validation-Passed", Verstat.PASSED),
        ("TN-Validation-Passed-A", Verstat.A),
        ("TN-Validation-Passed-B", Verstat.B),
        ("TN-Validation-Passed-C", Verstat.C),
        ("tn-validation-passed-b", Verstat.B),
        ("TN-Validation-Passed-A-Diverted", Verstat.A),
        ("TN-Validation-Failed", Verstat.FAILED),
        ("TN-Validation-Failed-A", Verstat.FAILED),
        ("No-TN-Validation", Verstat.NONE),
        ("something-new", Verstat.NONE),
    ],
)
def test_value_is_read(verstat: str, level: Verstat) -> None:
    assert read_verstat(asserted(verstat)) is level


@pytest.mark.parametrize(
    "identity",
    [
        f"<sip:{NUMBER};verstat=TN-Validation-Passed-B@carrier.example>",  # 3GPP TS 24.229
        f'"Ann" <sip:{NUMBER}@carrier.example;verstat=TN-Validation-Passed-B>',  # Telnyx
        f"<tel:{NUMBER};verstat=TN-Validation-Passed-B>",
        f"<sip:{NUMBER}@carrier.example;user=phone>;verstat=TN-Validation-Passed-B",
        f"sip:{NUMBER}@carrier.example;VerStat = TN-Validation-Passed-B",
    ],
)
@pytest.mark.parametrize("header", ["p-asserted-identity", "from"])
def test_parameter_is_found_wherever_carriers_put_it(header: str, identity: str) -> None:
    assert read_verstat({header: [identity]}) is Verstat.B


def test_carriers_word_comes_before_the_callers() -> None:
    lies = {"from": [f"<sip:{NUMBER};verstat=TN-Validation-Passed-A@x>"]}
    assert read_verstat({**lies, **asserted("TN-Validation-Failed")}) is Verstat.FAILED


def test_display_name_tells_nothing() -> None:
    name = '"x;verstat=TN-Validation-Passed-A\\";verstat=TN-Validation-Passed-A"'
    assert read_verstat({"from": [f"{name} <sip:{NUMBER}@x>"]}) is Verstat.NONE


@pytest.mark.parametrize("header", ["attestation-info", "p-attestation-indicator"])
def test_level_of_its_own_header_is_taken_where_the_verification_passed(header: str) -> None:
    level = {header: ["C"]}
    assert read_verstat({**asserted("TN-Validation-Passed"), **level}) is Verstat.C
    assert read_verstat({**asserted("TN-Validation-Failed"), **level}) is Verstat.FAILED
    assert read_verstat(level) is Verstat.NONE


@pytest.mark.parametrize(
    ("header", "value", "level"),
    [
        ("x-plivo-stir-verification", "Verified", Verstat.PASSED),
        ("x-plivo-stir-verification", "Not Verified", Verstat.NONE),
        ("x-plivo-stir-verification", "Not Applicable", Verstat.NONE),
        ("x-twilio-verstat", "TN-Validation-Passed-A", Verstat.A),
    ],
)
def test_header_of_a_carriers_own_is_read(header: str, value: str, level: Verstat) -> None:
    assert read_verstat({header: [value]}) is level


@given(st.dictionaries(st.sampled_from(["from", "p-asserted-identity"]), st.lists(st.text())))
def test_no_header_breaks_it(headers: dict[str, list[str]]) -> None:
    assert read_verstat(headers) in Verstat


def test_a_result_of_another_number_says_nothing_of_the_callers() -> None:
    forged = {"from": ["<sip:+15550171@x>"], **asserted("TN-Validation-Passed-A")}
    assert read_verstat(forged) is Verstat.NONE
    withheld = {"from": ["<sip:anonymous@anonymous.invalid>"], **asserted("TN-Validation-Passed-A")}
    assert read_verstat(withheld) is Verstat.A
