"""A dialog written down, and the requests that are made of it."""

import dataclasses
import json

import pytest

from bridge.sip.addresses import AddressError
from bridge.sip.dialog import Dialog, Hop, routes_of, uri_of_contact

DIALOG = Dialog(
    call_id="a@b",
    local="<sip:support@us>;tag=1",
    remote='"Ünal, \\"U\\"" <sip:caller@there>;tag=2',
    target="sip:caller@192.0.2.1:5070;transport=tcp",
    contact="sip:bridge@192.0.2.9:5060",
    routes=("<sip:192.0.2.5;lr;did=1>", "<sip:192.0.2.6;lr>"),
    cseq=7,
)


def lines(dialog: Dialog) -> list[str]:
    return dialog.request("BYE", "SIP/2.0/UDP us;branch=z9hG4bK1").decode().split("\r\n")


def test_it_survives_its_writing() -> None:
    assert Dialog.of_json(DIALOG.json) == DIALOG
    passing = dataclasses.replace(DIALOG, passed=(("X-Account", "4711"), ("Subject", "Größe")))
    assert Dialog.of_json(passing.json) == passing


def test_without_headers_that_go_on_it_is_as_nodes_before_them_read_it() -> None:
    assert "passed" not in json.loads(DIALOG.json)


def test_a_header_that_goes_on_adds_no_line() -> None:
    """Redis is another's to write, too."""
    passing = dataclasses.replace(DIALOG, passed=(("X-A\r\nX-B", "1\r\nRoute: <sip:forged>"),))
    read = Dialog.of_json(passing.json)
    assert read is not None
    assert read.passed == (("X-A X-B", "1 Route: <sip:forged>"),)


@pytest.mark.parametrize("text", ["", "{}", "[]", '"x"', '{"routes":1}', '{"routes":[],"x":1}'])
def test_what_is_no_dialog_is_none(text: str) -> None:
    assert Dialog.of_json(text) is None


def test_a_request_goes_by_the_loose_routes_to_the_target() -> None:
    assert lines(DIALOG) == [
        "BYE sip:caller@192.0.2.1:5070;transport=tcp SIP/2.0",
        "Via: SIP/2.0/UDP us;branch=z9hG4bK1",
        "Max-Forwards: 70",
        "Route: <sip:192.0.2.5;lr;did=1>",
        "Route: <sip:192.0.2.6;lr>",
        "From: <sip:support@us>;tag=1",
        'To: "Ünal, \\"U\\"" <sip:caller@there>;tag=2',
        "Call-ID: a@b",
        "CSeq: 107 BYE",
        "Content-Length: 0",
        "",
        "",
    ]
    assert DIALOG.next_hop == Hop("192.0.2.5", 5060, "udp")


def test_a_strict_router_finds_itself_in_the_request_uri() -> None:
    strict = Dialog(
        *(DIALOG.call_id, DIALOG.local, DIALOG.remote, DIALOG.target, DIALOG.contact),
        routes=("<sip:192.0.2.5>", "<sip:192.0.2.6;lr>"),
    )
    told = lines(strict)
    assert told[0] == "BYE sip:192.0.2.5 SIP/2.0"
    assert [line for line in told if line.startswith("Route")] == [
        "Route: <sip:192.0.2.6;lr>",
        f"Route: <{DIALOG.target}>",
    ]


def test_without_routes_the_far_end_itself_is_next() -> None:
    far_side = DIALOG.seen_from_there
    assert far_side.next_hop == Hop("192.0.2.9", 5060, "udp")
    assert (far_side.local, far_side.remote) == (DIALOG.remote, DIALOG.local)
    assert far_side.seen_from_there.next_hop == Hop("192.0.2.1", 5070, "tcp")


@pytest.mark.parametrize("uri", ["sips:a@b", "sip:a@b;transport=tls", "tel:+15550100", "b"])
def test_no_hop_is_made_up(uri: str) -> None:
    with pytest.raises(AddressError):
        Hop.of(uri)


def test_routes_stand_in_lines_and_between_commas() -> None:
    assert routes_of(("<sip:a;lr>, <sip:b;lr>", "<sip:c,d;lr>")) == (
        *("<sip:a;lr>", "<sip:b;lr>", "<sip:c,d;lr>"),
    )
    assert uri_of_contact(('"x, y" <sip:a@b;transport=tcp>;q=1',)) == "sip:a@b;transport=tcp"
    assert uri_of_contact(("*",)) == ""
