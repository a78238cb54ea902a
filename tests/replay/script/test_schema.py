"""The published JSON Schema of call scripts, and the README that teaches the format."""

import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from bridge.config.parts import Part, document_schema
from bridge.replay.script import CallScript

SHIPPED = Path(__file__).parents[3] / "call_scripts"
PUBLISHED = SHIPPED / "callscript.schema.json"
README = (SHIPPED / "README.md").read_text()
FILES = sorted(SHIPPED.glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(PUBLISHED.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def as_an_editor_reads_it(text: str) -> object:
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def parts_of(annotation: object) -> Iterator[type[Part]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
        for field in annotation.model_fields.values():
            yield from parts_of(field.annotation)
    for argument in typing.get_args(annotation):
        yield from parts_of(argument)


def test_published_schema_is_the_present_one() -> None:
    assert json.loads(PUBLISHED.read_text()) == document_schema(CallScript, "callscript"), (
        "bridge check --schema callscript > call_scripts/callscript.schema.json"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_scripts_meet_it(path: Path, validator: Draft202012Validator) -> None:
    document = as_an_editor_reads_it(path.read_text())
    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize(
    ("caller", "good"),
    [
        ("[{say: Hello}]", True),
        ("[{say: {text: Hello, gap_ms: 100}}]", True),
        ("[{say: {txt: Hello}}]", False),
        ("[{interrupt: Wait}]", True),
        ("[{hangup: true}]", True),
        ("[{hangup: false}]", False),
        ("[{expect: {tool: {name: pay}}}]", True),
        ("[{expect: {tool: [{name: pay}, {name: look, times: 2}]}}]", True),
        ("[{expect: {within: 5}}]", False),
        ("[{backchannel: {text: mm, after: {event: agent_started}}}]", False),
    ],
)
def test_it_takes_what_the_format_takes(
    caller: str, good: bool, validator: Draft202012Validator
) -> None:
    document = as_an_editor_reads_it(f"{{schema: callscript/v1, id: a, caller: {caller}}}")
    assert validator.is_valid(document) is good


def test_every_field_is_in_the_readme() -> None:
    fields = {
        (part.__name__, field.alias or name)
        for part in parts_of(CallScript)
        for name, field in part.model_fields.items()
    }
    assert ("Network", "reorder_pct") in fields
    assert {field for field in fields if not re.search(rf"[`{{ ]{field[1]}[`:]", README)} == set()


@pytest.mark.parametrize(
    "example", [text.partition("```")[0] for text in README.split("```yaml\n")[1:]]
)
def test_examples_of_the_readme_are_good(example: str) -> None:
    document = yaml.safe_load(example)
    steps = document if isinstance(document, list) else []
    shown = document if isinstance(document, dict) else {}
    # The last line may be a key whose value the reader has already.
    rest = {key: value for key, value in shown.items() if value is not None}
    whole = {"schema": "callscript/v1", "id": "x", "hears": ["Hi."], "caller": steps, **rest}
    CallScript.model_validate(whole)
