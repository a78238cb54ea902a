"""Which phones a supervisor may have the bridge call: parts of the URI, never its text."""

import pytest
from pydantic import ValidationError

from bridge.config.sip import SipSettings


@pytest.mark.parametrize(
    ("phone", "may"),
    [
        ("sip:eve@desk.example", True),
        ("sip:eve@DESK.example", True),
        ("sip:eve@desk.example;transport=tcp", True),
        ("SIP:eve@desk.example", True),
        ("sip:eve@desk.example:5061", False),
        ("sip:eve@elsewhere.example;x=@desk.example", False),
        ("sip:eve@elsewhere.example?X=@desk.example", False),
        ("sip:eve@desk.example;maddr=elsewhere.example", False),
        ("sip:eve@desk.example?Route=%3Csip:elsewhere.example%3E", False),
        ("sip:eve:@elsewhere.example:5060;@desk.example", False),
        ("sips:eve@desk.example", False),
        ("sip:desk.example", True),
        ("tel:+15550100", True),
        ("tel:+15550199", False),
        ("sip:eve@[::1]:5060", True),
        ("sip:eve@:", False),
        ("eve", False),
    ],
)
def test_user_and_place_are_compared(phone: str, may: bool) -> None:
    settings = SipSettings(
        supervisor_phones=("sip:*@desk.example", "tel:+1555010*", "sip:eve@[::1]:*")
    )
    assert settings.may_call(phone) is may


@pytest.mark.parametrize("pattern", ["*", "sip:*", "desk.example", "sip:*@desk.example;x=*"])
def test_a_pattern_that_names_no_place_is_an_error(pattern: str) -> None:
    with pytest.raises(ValidationError, match="supervisor_phones"):
        SipSettings(supervisor_phones=(pattern,))


def test_a_typed_target_is_one_of_those_for_transfers() -> None:
    settings = SipSettings(
        supervisor_phones=("sip:*@desk.example",), supervisor_transfers=("tel:+1555010*",)
    )
    assert settings.may_transfer("tel:+15550100")
    assert not settings.may_transfer("sip:eve@desk.example")
    assert not SipSettings().may_transfer("tel:+15550100")
