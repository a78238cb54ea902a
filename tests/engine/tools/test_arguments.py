"""Arguments that the model wrote, against the schema."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.engine.tools.arguments import BadArgumentsError, parse_arguments
from bridge.routing.tools import BUILT_IN

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"order": {"type": "string", "pattern": "^[0-9]+$"}, "n": {"type": "integer"}},
    "required": ["order"],
    "additionalProperties": False,
}


def test_good_arguments_are_returned() -> None:
    assert parse_arguments('{"order": "12", "n": 3}', SCHEMA) == {"order": "12", "n": 3}


def test_no_text_is_no_arguments() -> None:
    assert parse_arguments("", {"type": "object"}) == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ("{}", "'order' is a required property"),
        ('{"order": "x"}', "order: 'x' does not match"),
        ('{"order": "1", "n": "2"}', "n: '2' is not of type 'integer'"),
        ('{"order": "1", "extra": 1}', "'extra' was unexpected"),
        ("[" * 5000, "no JSON"),
        ('{"order": "' + "1" * 20_000 + '"}', "too long"),
    ],
)
def test_bad_arguments_are_named_for_the_model(text: str, complaint: str) -> None:
    with pytest.raises(BadArgumentsError, match=complaint):
        parse_arguments(text, SCHEMA)


def test_a_reference_to_elsewhere_is_not_fetched() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/schema.json"}}}
    with pytest.raises(BadArgumentsError):
        parse_arguments('{"a": 1}', schema)


@given(st.text(max_size=200))
def test_any_text_gives_arguments_or_a_complaint(text: str) -> None:
    for _, schema in BUILT_IN.values():
        with suppress(BadArgumentsError):
            assert isinstance(parse_arguments(text, schema), dict)
