"""SIP messages as PJSIP describes them."""

import pytest

from bridge.telephony.sip_messages import SipMessage


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (b"Request msg INVITE/cseq=1 (rdata0x7f10)", SipMessage("INVITE")),
        (b"Response msg 503/INVITE/cseq=7 (tdta0x7f10)", SipMessage("INVITE", "503")),
        (b"Response msg 200/OPTIONS/cseq=3 (rdata0x7f10)", SipMessage("OPTIONS", "200")),
        (b"INVALID MSG", None),
        (b"", None),
        (None, None),
    ],
)
def test_message_is_read_from_what_pjsip_says_of_it(
    info: bytes | None, message: SipMessage | None
) -> None:
    assert SipMessage.parse(info) == message
