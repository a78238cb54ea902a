"""The published JSON Schema: current, and as good as what it describes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from bridge.config.parts import document_schema
from bridge.routing.models import Dialplan

SHIPPED = Path(__file__).parents[2] / "dialplans"
PUBLISHED = SHIPPED / "dialplan.schema.json"
FILES = sorted(SHIPPED.glob("*.yaml"))


def as_an_editor_reads_it(text: str) -> Any:  # Any: what a person may write in YAML
    """Return a document as editors see it, where a date is text (YAML 1.2)."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(PUBLISHED.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_published_schema_is_the_present_one() -> None:
    assert json.loads(PUBLISHED.read_text()) == document_schema(Dialplan, "dialplan"), (
        "bridge check --schema > dialplans/dialplan.schema.json"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_dialplans_meet_it_and_name_it_to_the_editor(
    path: Path, validator: Draft202012Validator
) -> None:
    text = path.read_text()
    assert [error.message for error in validator.iter_errors(as_an_editor_reads_it(text))] == []
    first = text.splitlines()[0]
    assert first == f"# yaml-language-server: $schema={PUBLISHED.name}"


@pytest.mark.parametrize(
    ("written", "instead", "place"),
    [
        ("stir: failed", "stir: faild", ["match", 0, "stir"]),
        ("greeting_by: cached", "greeting_by: cache", ["agent", "greeting_by"]),
        ("  max_calls: 5", "  max_call: 5", ["limits"]),
        ("  - stir: failed", "  - stirr: failed", ["match", 0]),
        ("reprompts: 0", "reprompts: none", ["caller_silence", "reprompts"]),
    ],
)
def test_mistakes_do_not_meet_it(
    written: str, instead: str, place: list[str | int], validator: Draft202012Validator
) -> None:
    text = (SHIPPED / "10-screened.yaml").read_text()
    assert written in text
    found = validator.iter_errors(as_an_editor_reads_it(text.replace(written, instead)))
    assert [list(error.absolute_path) for error in found] == [place]


def test_descriptions_are_the_docstrings() -> None:
    schema = document_schema(Dialplan, "dialplan")
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == "urn:telephony-bridge:schema:dialplan:v1"
    definitions: Any = schema["$defs"]
    rule = definitions["Rule"]
    assert rule["description"] == "Conditions that all hold for a call that is taken."
    assert rule["properties"]["trunk"]["description"] == (
        "a key of `sip.trunks` in the settings; any of a list."
    )
    # One line of a docstring for two fields, and a field of the class above.
    assert definitions["DeadAir"]["properties"]["offer"]["description"].startswith("None for the")
    assert "IANA" in definitions["Hours"]["properties"]["time_zone"]["description"]
    assert definitions["When"]["properties"]["is"]["description"].startswith("`open` within")
