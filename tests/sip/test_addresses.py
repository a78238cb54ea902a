"""Addresses by RFC 3261 section 25.1 and RFC 3966, and what no display name may change."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.sip.addresses import (
    Address,
    AddressError,
    Uri,
    addresses_in,
    called_by,
    canonical_user,
    split_list,
    user_in,
)

VICTIM, CALLER = "+15550171", "+15559999999"


def quoted(name: str) -> str:
    """Write a display name as RFC 3261 section 25.1 has a quoted-string."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_a_name_that_looks_like_an_address_is_a_name() -> None:
    forged = f'"<sip:{VICTIM}@x>" <sip:{CALLER}@carrier.example;verstat=TN-Validation-Passed-A>'
    assert user_in(forged) == CALLER
    assert Address.parse(forged).display == f"<sip:{VICTIM}@x>"


@given(st.text())
@example(f'\\" <sip:{VICTIM}@x>')
@example(f'" <sip:{VICTIM}@x>')
@example(f"<sip:{VICTIM}@x>, ")
@example("\\")
def test_no_display_name_changes_who_the_caller_is(name: str) -> None:
    assert user_in(f"{quoted(name)} <sip:{CALLER}@carrier.example>;tag=1") == CALLER
    assert user_in(f"{quoted(name)}<tel:{CALLER}>") == CALLER
    assert [
        each.uri.user for each in addresses_in((f"{quoted(name)} <tel:{CALLER}>,<tel:+1>",))
    ] == [
        CALLER,
        "+1",
    ]


@given(st.text())
def test_a_name_without_quotes_leaves_the_caller_or_makes_the_address_unreadable(name: str) -> None:
    try:
        found = Address.parse(f"x{name} <sip:{CALLER}@carrier.example>")
    except AddressError:
        return
    assert found.uri.user == CALLER or "<" in name or ":" in name


USERS = st.text().map(canonical_user)
HOSTS = st.sampled_from(["pbx.example", "192.0.2.1", "[2001:db8::1]", "anonymous.invalid"])
WORDS = st.from_regex(r"\A[a-z][a-z0-9-]{0,8}\Z")
PARAMETERS = st.lists(st.tuples(WORDS, st.from_regex(r"\A[A-Za-z0-9.%-]{0,8}\Z"))).map(tuple)
URIS = st.one_of(
    st.builds(
        Uri,
        scheme=st.sampled_from(["sip", "sips"]),
        user=USERS.filter(bool),
        host=HOSTS,
        port=st.none() | st.integers(0, 65535),
        user_parameters=PARAMETERS,
        parameters=PARAMETERS,
        headers=st.from_regex(r"\A([A-Za-z-]{1,8}=[a-z%0-9]{0,8})?\Z"),
    ),
    st.builds(Uri, scheme=st.just("sip"), host=HOSTS, parameters=PARAMETERS),
    st.builds(Uri, scheme=st.just("tel"), user=USERS.filter(bool), parameters=PARAMETERS),
)
NAMES = st.text().map(lambda text: Address.parse(f"{quoted(text)} <sip:x>").display)
TEXTS = st.text().map(lambda text: Address.parse(f"<sip:x>;p={quoted(text)}").parameters[0][1])
ADDRESSES = st.builds(
    Address, uri=URIS, display=NAMES, parameters=st.lists(st.tuples(WORDS, TEXTS)).map(tuple)
)


@given(ADDRESSES)
def test_what_is_written_is_read_again(address: Address) -> None:
    assert Address.parse(str(address)) == address
    assert Uri.parse(str(address.uri)) == address.uri
    assert split_list(f"{address}, {address}") == (str(address), str(address))


@given(st.text() | st.binary().map(lambda octets: octets.decode("utf-8", "surrogateescape")))
@example('<sip:x>;a="')
@example("sip:x:99999")
@example("sip:x:")
@example(";\udc80")
def test_no_text_raises_another_error(text: str) -> None:
    for reading in (text, f"<{text}>", f"sip:{text}", f'"{text}" <sip:{text}>', f"<tel:1>{text}"):
        for parse in (Address.parse, Uri.parse):
            try:
                read = parse(reading)
            except AddressError:
                continue
            str(read).encode()
        user_in(reading).encode()
        called_by(reading).encode()


@given(st.text())
def test_a_user_part_has_one_form_and_is_never_an_address(user: str) -> None:
    once = canonical_user(user)
    assert canonical_user(once) == once
    assert user_in(once) == once
    assert not set(once) & set('"<>@:;,\r\n\x85\u202e')


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("sip:+15550100@gw", "+15550100"),
        ("SIPS:alice@gw:5061;transport=tls", "alice"),
        ("sip:%2B15550100@gw", "+15550100"),
        ("sip:%61lice@gw", "alice"),
        ("sip:M%FCller@gw", "Müller"),
        ("sip:M%C3%BCller@gw", "Müller"),
        ("sip:+15550100;phone-context=x@gw", "+15550100"),
        ("sip:+15550100;rn=+1555;npdi@gw;user=phone", "+15550100"),
        ("sip:alice:secret@gw", "alice"),
        ("sip:alice;x:secret@gw", "alice"),
        ("sip:%3Csip:1@x", "%3Csip"),
        ("sip:a%40b@gw", "a%40b"),
        ("sip:a%3Bb@gw", "a%3Bb"),
        ("tel:+1-555-0100;ext=2", "+1-555-0100"),
        ("TEL:+15550100", "+15550100"),
        ("tel:+1555@gw", ""),
        ("sip:gw", ""),
        ("alice@gw", "alice"),
        ("anonymous", "anonymous"),
        ('"a" sip:b@c', ""),
        ('a "b" <sip:c@d>', ""),
        ("<sip:a@b", ""),
        ("<sip:a@b> c", ""),
        ("<sip:a@b>, <sip:c@d>", ""),
        ("<mailto:a@b>", ""),
        ("Ann Lee <sip:a@b>;tag=1;;x", "a"),
        ("Müller, Ann <sip:a@b>", "a"),
        ("<<sip:a@b>>", ""),
        ("", ""),
    ],
)
def test_user_of_each_spelling(text: str, user: str) -> None:
    assert user_in(text) == user


def test_without_brackets_parameters_are_the_headers() -> None:
    """RFC 3261 section 20."""
    read = Address.parse('sip:a@b;tag=1;x="<sip:c@d>"')
    assert (str(read.uri), read.parameters) == ("sip:a@b", (("tag", "1"), ("x", "<sip:c@d>")))
    within = Address.parse("<sip:a@b;transport=tcp?Subject=x>;tag=1")
    assert within.uri.parameters == (("transport", "tcp"),)
    assert (within.uri.headers, within.parameters) == ("Subject=x", (("tag", "1"),))


@pytest.mark.parametrize(
    ("uri", "called"),
    [
        ("sip:support@192.0.2.1:5060", "support"),
        ("<sip:support@192.0.2.1>", "support"),
        ("SIP:alice@carrier.example?Subject=x", "alice"),
        ("sip:192.0.2.1:5060", "192.0.2.1"),
        ("sip:carrier.example;transport=udp", "carrier.example"),
        ("sip:[::1]:5060", "[::1]"),
        ("urn:service:sos", ""),
        ("", ""),
    ],
)
def test_whom_a_uri_calls(uri: str, called: str) -> None:
    assert called_by(uri) == called


def test_host_is_what_follows_the_first_at() -> None:
    uri = Uri.parse("sip:eve@elsewhere.example:5070;x=@desk.example")
    assert (uri.user, uri.place) == ("eve", "elsewhere.example:5070")


def test_commas_in_names_and_brackets_part_nothing() -> None:
    assert split_list('"a, b\\", c" <sip:x,y@z>;p="1,2" , <tel:+1>') == (
        '"a, b\\", c" <sip:x,y@z>;p="1,2"',
        "<tel:+1>",
    )


def test_a_user_part_that_decodes_to_an_address_is_none() -> None:
    """Escapes are read once, and never again where a number is looked up."""
    called = called_by("sip:%3Csip:admin@pbx.example")
    assert user_in(called) == called
    twice = called_by("sip:%253Csip%253Aadmin%2540x%253E@pbx.example")
    assert user_in(twice) == twice
