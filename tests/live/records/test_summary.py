"""A field that is read of an INVITE is known wherever a call's origin is kept or shown."""

from dataclasses import fields
from typing import Any

from bridge.console.masking import mask_origin
from bridge.live.records.summary import CallSummary, read_origin_fields
from bridge.routing.origin import Origin
from bridge.store.keys import CALL_FIELDS

TEXTS = {field.name for field in fields(Origin)} - {"headers", "passed"}
"""Fields of a call's origin that are one text each."""


def test_each_field_of_the_origin_is_kept_with_the_call() -> None:
    said: dict[str, Any] = dict.fromkeys(TEXTS, "said")  # Any: `headers` is no text
    assert Origin(**said).texts().keys() == TEXTS
    assert {field.name for field in fields(CallSummary)} >= TEXTS
    assert read_origin_fields(dict.fromkeys(TEXTS, "said")).keys() - {"headers"} == TEXTS
    assert CALL_FIELDS >= TEXTS


def test_each_field_that_may_have_numbers_is_masked_in_the_console() -> None:
    masked = mask_origin(dict.fromkeys(TEXTS, "+15550100123"))
    assert masked.keys() - {"headers"} == TEXTS - {"privacy"}  # words of RFC 3323
    assert "5550100" not in str(masked)
