"""The header Replaces and the status that an INVITE with it is due (RFC 3891)."""

import pytest

from bridge.sip.addresses import host_in
from bridge.telephony.replaces import DialogId, DialogStanding, Replaces, refusal_of

DIALOG = DialogId("98732@sip.example.com", "r33th4x0r", "ff87ff")
GOOD = Replaces(DIALOG)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("98732@sip.example.com;from-tag=ff87ff;to-tag=r33th4x0r", GOOD),
        ("98732@sip.example.com ; To-Tag = r33th4x0r ;x;FROM-TAG=ff87ff;y=1", GOOD),
        (
            "98732@sip.example.com;from-tag=ff87ff;to-tag=r33th4x0r;early-only",
            Replaces(DIALOG, early_only=True),
        ),
        ("98732@sip.example.com;from-tag=ff87ff", None),
        ("98732@sip.example.com;from-tag=ff87ff;to-tag=", None),
        ("98732@sip.example.com;from-tag=ff87ff;to-tag=a;to-tag=b", None),
        ("98732@sip.example.com", None),
        (";from-tag=ff87ff;to-tag=r33th4x0r", None),
        ("a b;from-tag=ff87ff;to-tag=r33th4x0r", None),
        ("", None),
    ],
)
def test_header_is_read_by_its_grammar(value: str, expected: Replaces | None) -> None:
    assert Replaces.parse([value]) == expected


def test_exactly_one_header_is_good() -> None:
    value = "98732@sip.example.com;from-tag=ff87ff;to-tag=r33th4x0r"
    assert Replaces.parse([]) is None
    assert Replaces.parse([value, value]) is None


@pytest.mark.parametrize(
    ("standing", "early_only", "expected"),
    [
        (DialogStanding.UNKNOWN, False, 481),
        (DialogStanding.OVER, False, 603),
        (DialogStanding.OFFERED_TO_US, False, 481),
        (DialogStanding.RINGING_THERE, True, None),
        (DialogStanding.RINGING_THERE, False, None),
        (DialogStanding.CONFIRMED, False, None),
        (DialogStanding.CONFIRMED, True, 486),
        (DialogStanding.BEING_REPLACED, False, 486),
    ],
)
def test_status_goes_by_how_far_the_dialog_is(
    standing: DialogStanding, early_only: bool, expected: int | None
) -> None:
    replaces = Replaces(DIALOG, early_only)
    assert refusal_of(replaces, standing, authorised=True, replaceable=True) == expected


@pytest.mark.parametrize(("authorised", "replaceable"), [(False, True), (True, False)])
@pytest.mark.parametrize("early_only", [False, True])
def test_who_may_not_learns_nothing_of_the_dialog(
    authorised: bool, replaceable: bool, early_only: bool
) -> None:
    replaces = Replaces(DIALOG, early_only)
    given = {"authorised": authorised, "replaceable": replaceable}
    assert refusal_of(replaces, DialogStanding.CONFIRMED, **given) == 403
    assert refusal_of(replaces, DialogStanding.UNKNOWN, **given) == 481


def test_dialog_is_named_from_either_side() -> None:
    message = (
        "SIP/2.0 200 OK\r\ni: one@two\r\n"
        'f: "Not ;tag=this" <sip:a@b;tag=nor-this>;x=1;tag=theirs\r\n'
        "t: <sip:c@d> ; Tag=ours\r\n\r\n"
    )
    assert DialogId.of_message(message, as_caller=False) == DialogId("one@two", "ours", "theirs")
    assert DialogId.of_message(message, as_caller=True) == DialogId("one@two", "theirs", "ours")
    assert DialogId.of_message(message.replace("Tag=", "x="), as_caller=True) is None


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("sip:a@10.0.0.1:5060;transport=tcp", "10.0.0.1"),
        ("<sip:a@pbx.example?x=y>", "pbx.example"),
        ("sip:10.0.0.1", "10.0.0.1"),
        ("sips:a@[2001:db8::1]:5061", "2001:db8::1"),
        ("sip:a@[2001:0DB8:0::0:1]", "2001:db8::1"),
    ],
)
def test_host_of_a_uri(uri: str, host: str) -> None:
    assert host_in(uri) == host
