"""What an INVITE says of its call, bounded, and as private as the caller wants it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bridge.routing.origin import (
    MAX_PASSED_OCTETS,
    MAX_VALUE_CHARS,
    KeptHeader,
    PassedHeader,
    read_origin,
)
from bridge.routing.rules import incoming_call

ASSERTED = {"p-asserted-identity": ('"Ann, A." <sip:+15550100@c>, <tel:+15550100>',)}


def test_all_is_told_by_field() -> None:
    told = read_origin(
        {
            **ASSERTED,
            "diversion": ("<sip:+15550111@c>;reason=unconditional", "<tel:+15550112>"),
            "history-info": ("<sip:a@c>;index=1, <sip:b@c>;index=1.1",),
            "user-to-user": ("00C81f;encoding=hex",),
            "x-account": ("77", "78"),
            "x-else": ("no",),
        },
        ["X-Account", "X-Missing"],
    )
    assert told.texts() == {
        "asserted": '"Ann, A." <sip:+15550100@c>',
        "diversion": "<sip:+15550111@c>;reason=unconditional, <tel:+15550112>",
        "history_info": "<sip:a@c>;index=1, <sip:b@c>;index=1.1",
        "user_to_user": "00C81f;encoding=hex",
    }
    assert told.headers == {"X-Account": "77, 78"}


@pytest.mark.parametrize("privacy", ["id", "ID;critical", "user", "header;id", "user, id"])
def test_who_asks_for_privacy_is_nobody(privacy: str) -> None:
    headers = {**ASSERTED, "privacy": (privacy,)}
    assert read_origin(headers).asserted == ""
    call = incoming_call("1", datetime.now(UTC), caller="<sip:+15550100@c>", headers=headers)
    assert call.caller == "anonymous"


def test_none_asks_for_nothing_and_history_hides_itself_alone() -> None:
    assert read_origin({**ASSERTED, "privacy": ("none",)}).asserted
    hidden = {**ASSERTED, "history-info": ("<sip:a@c>",), "privacy": ("history",)}
    assert read_origin(hidden).texts().keys() == {"asserted", "privacy"}


DESK, ANN = "<sip:+15550111@c>", '"Ann, \\"A.\\"" <sip:+15550111@c>'
MOVED = "<sip:b@c?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%2C%20now%22>;index=1.1"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("diversion", f"{DESK};privacy=full;reason=unconditional, <tel:+1>", "<tel:+1>"),
        ("diversion", f'{DESK};Privacy="URI"', None),
        ("diversion", f"{ANN};privacy=name", f"{DESK};privacy=name"),
        ("diversion", f"{ANN};privacy=off", f"{ANN};privacy=off"),
        ("diversion", "M\xfcller <sip:x@c>", '"M\xfcller" <sip:x@c>'),
        ("history-info", f"<sip:a@c?Privacy=history&Reason=Q.850>;index=1, {MOVED}", MOVED),
        ("history-info", "<sip:a@c?Reason=x&privacy=Session%3Bcritical>;index=1", None),
        ("history-info", "<sip:a@c?Privacy=none>;index=1", "<sip:a@c?Privacy=none>;index=1"),
    ],
)
def test_who_sent_the_call_on_is_told_as_far_as_they_want(
    name: str, value: str, told: str | None
) -> None:
    assert read_origin({name: (value,)}).texts().get(name.replace("-", "_")) == told


@given(
    st.dictionaries(
        st.sampled_from([*ASSERTED, "diversion", "x-a", "privacy"]), st.tuples(st.text())
    )
)
def test_nothing_breaks_it_and_all_is_bounded(headers: dict[str, tuple[str, ...]]) -> None:
    told = read_origin(headers, ["X-A"] * 50)
    assert all(len(each) <= MAX_VALUE_CHARS for each in told.texts().values())


def test_long_values_are_cut_and_counts_bounded() -> None:
    many = {f"x-{n}": ("v" * 5_000,) for n in range(100)}
    told = read_origin({**many, "diversion": ("<tel:+1>," * 1_000,)}, [*many])
    assert len(told.headers) == 16
    assert {len(each) for each in told.headers.values()} == {MAX_VALUE_CHARS}
    assert told.diversion == ", ".join(["<tel:+1>"] * 10)


@pytest.mark.parametrize("name", ["Authorization", "From", "P-Asserted-Identity", "X Y"])
def test_a_dialplan_keeps_no_credential_and_no_identity(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(KeptHeader).validate_python(name)


@pytest.mark.parametrize("name", ["X-Account", "User-to-User", "user-to-user", "x-a"])
def test_a_dialplan_passes_extensions_and_an_applications_headers(name: str) -> None:
    assert TypeAdapter(PassedHeader).validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["Via", "From", "Route", "X-Bridge-Summary", "P-Asserted-Identity", "Diversion", "X Y"]
)
def test_a_dialplan_passes_nothing_that_sip_or_the_bridge_writes(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(PassedHeader).validate_python(name)


def test_headers_go_on_whole_and_only_as_far_as_they_fit() -> None:
    headers = {"x-a": ("a" * 150,), "x-b": ("ü" * 40,), "x-c": ("c", "d"), "x-e": ("",)}
    passed = read_origin(headers, pass_on=["X-A", "X-B", "X-C", "X-D", "X-E"]).passed
    assert passed == {"X-A": "a" * 150, "X-C": "c, d"}
    assert sum(len(f"{n}: {v}\r\n".encode()) for n, v in passed.items()) <= MAX_PASSED_OCTETS
