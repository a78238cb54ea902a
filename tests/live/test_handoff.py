"""What goes along with a call that is handed over."""

from urllib.parse import unquote

import pytest

from bridge.live.handoff import (
    MAX_SUMMARY_OCTETS,
    context_headers,
    summary_value,
    with_headers,
)


def test_plain_text_stays_readable() -> None:
    assert summary_value("Wants to move order 4711, please.") == "Wants to move order 4711, please."


@pytest.mark.parametrize("text", ["one\r\nX-Evil: 1", 'say "hi" <now>; \x00 100%', "Größe 靴"])
def test_any_text_is_one_line_of_ascii_that_can_be_read_back(text: str) -> None:
    value = summary_value(text)
    assert value.isascii()
    assert value.isprintable()
    assert not set(value) & set('"<>;\\')
    assert unquote(value) == " ".join(text.split())


@pytest.mark.parametrize("text", ["a" * 999, "ü" * 999, "靴 " * 999])
def test_long_text_is_cut_between_characters(text: str) -> None:
    value = summary_value(text)
    assert MAX_SUMMARY_OCTETS - 12 < len(value) <= MAX_SUMMARY_OCTETS
    assert text.startswith(unquote(value))


def test_without_a_summary_the_call_is_named_alone() -> None:
    assert context_headers("c_1", "  ") == {"X-Bridge-Call-Id": "c_1"}


def test_uri_carries_headers_escaped_once_more() -> None:
    headers = {"X-Bridge-Summary": "a b%C3%BC&?"}
    assert with_headers("sip:a@b", headers) == "sip:a@b?X-Bridge-Summary=a%20b%25C3%25BC%26%3F"
    assert with_headers("sip:a@b?X=1", headers).startswith("sip:a@b?X=1&X-Bridge-Summary=")
    assert with_headers("tel:+1555", headers) == "tel:+1555"
