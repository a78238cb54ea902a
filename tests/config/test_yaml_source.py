from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from bridge.config.settings import Settings
from bridge.config.yaml_source import YamlSource, load_yaml, load_yaml_model
from bridge.errors import ConfigError


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Loud(Strict):
    type: Literal["loud"]
    level: float = Field(ge=0, le=1)


class Quiet(Strict):
    type: Literal["quiet"]


class Rule(Strict):
    called: str


class Document(Strict):
    name: str
    kind: Annotated[Loud | Quiet, Field(discriminator="type")] | None = None
    rules: tuple[Rule, ...] = ()
    extra: dict[str, Rule] = {}


def error_of(text: str, model: type[BaseModel] = Document) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        YamlSource(Path("f.yaml"), text).parse(model)
    return raised.value


def errors(text: str, model: type[BaseModel] = Document) -> list[str]:
    return str(error_of(text, model)).splitlines()


def test_good_document_becomes_the_model(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text("name: größe\nkind: {type: loud, level: 0.5}\nrules:\n  - called: '1'\n")
    document = load_yaml_model(path, Document)
    assert document.name == "größe"
    assert document.kind == Loud(type="loud", level=0.5)
    assert document.rules == (Rule(called="1"),)


def test_every_mistake_is_told_in_the_order_of_lines() -> None:
    text = (
        "sip:\n"
        "  prt: 1\n"
        "  port: 70000\n"
        "\n"
        "arms:\n"
        "  local:\n"
        "    url: http://x\n"
        "  Bad Name:\n"
        "    model: y\n"
        "media:\n"
        "  ports: memry\n"
        "  append_ms: 30\n"
        "http: 3\n"
        "redis:\n"
        "  url: 5\n"
    )
    assert errors(text, Settings) == [
        "f.yaml:2: sip.prt is not known; did you mean 'port'?",
        "f.yaml:3: sip.port should be less than or equal to 65535, not 70000",
        "f.yaml:7: arms.local.url should match pattern '^wss?://'",
        "f.yaml:8: the key arms.Bad Name should match pattern '^[a-z0-9][a-z0-9_-]{0,63}$'",
        "f.yaml:8: arms.Bad Name.url is missing",
        "f.yaml:11: media.ports should be one of auto, memory, callback, not 'memry';"
        " did you mean 'memory'?",
        "f.yaml:12: media.append_ms should be one of auto, 20, 40, 60, not 30",
        "f.yaml:13: http should be a mapping (key: value)",
        "f.yaml:15: redis.url should be text, and YAML reads it as a number: put it in quotes",
    ]


def test_error_carries_path_and_line_of_the_first_mistake() -> None:
    error = error_of("name: a\nrules:\n  - called: 1\n  - called: 2\n")
    assert (error.path, error.line, error.exit_code) == ("f.yaml", 3, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind:\n  type: quiet\n", ["f.yaml:1: name is missing"]),
        ("name: a\nrules:\n\n  - {}\n", ["f.yaml:4: rules[0].called is missing"]),
        ("name: a\nkind:\n  type: loud\n", ["f.yaml:2: kind.level is missing"]),
        ("name: a\nkind:\n  level: 1\n", ["f.yaml:2: kind.type is missing"]),
        ("name: a\nextra:\n  x:\n    y: 1\n", None),
    ],
)
def test_missing_field_is_told_at_its_mapping(text: str, expected: list[str] | None) -> None:
    assert errors(text) == (
        expected
        or [
            "f.yaml:3: extra.x.called is missing",
            "f.yaml:4: extra.x.y is not known (known here: called)",
        ]
    )


def test_tagged_union_is_followed_without_pydantics_tag() -> None:
    text = "name: a\nkind:\n  type: loud\n  level: 3\n  lvl: 1\n"
    assert errors(text) == [
        "f.yaml:4: kind.level should be less than or equal to 1, not 3",
        "f.yaml:5: kind.lvl is not known; did you mean 'level'?",
    ]


def test_wrong_tag_is_told_at_the_tag() -> None:
    assert errors("name: a\nkind:\n  type: lod\n") == [
        "f.yaml:3: kind.type should be one of loud, quiet, not 'lod'; did you mean 'loud'?"
    ]


def test_duplicate_keys_are_all_told() -> None:
    assert errors("name: a\nname: b\nrules:\n  - called: x\n    called: y\n") == [
        "f.yaml:2: the key 'name' is given twice (first on line 1)",
        "f.yaml:5: the key 'called' is given twice (first on line 4)",
    ]


def test_same_key_in_different_mappings_is_no_duplicate() -> None:
    text = "name: a\nrules: [&r {called: x}, {called: y}, *r]\nextra: {z: {<<: *r}}\n"
    source = YamlSource(Path("f.yaml"), text)
    assert len(source.parse(Document).rules) == 3


def test_unquoted_star_is_explained() -> None:
    (line,) = errors("name: a\nrules:\n  - called: *\n")
    assert line.startswith("f.yaml:3: is not YAML: ")
    assert line.endswith("a value that starts with * must be in quotes")


def test_value_brought_in_by_a_merge_is_told_where_it_stands() -> None:
    assert errors("name: a\nextra:\n  x: &x\n    called: 1\n  y:\n    <<: *x\n") == [
        "f.yaml:4: extra.x.called should be text, and YAML reads it as a number: put it in quotes",
        "f.yaml:4: extra.y.called should be text, and YAML reads it as a number: put it in quotes",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f.yaml:1: the file is empty"),
        ("# only this\n", "f.yaml:1: the file is empty"),
        ("- 1\n", "f.yaml:1: the document should be a mapping (key: value)"),
        ("name: &a [*a]\n", "f.yaml:1: an alias refers to itself"),
        ("name: a\nrules: 3\n", "f.yaml:2: rules should be a list"),
        ("a: b\n---\nc: d\n", "f.yaml:2: is not YAML: expected a single document"),
        ("name: [1\nb: 2\n", "f.yaml:2: is not YAML: while parsing a flow sequence"),
        ("name: a\n\tb: 2\n", "f.yaml:2: is not YAML: "),
        ("name: !!python/name:os.system x\n", "f.yaml:1: is not YAML: could not determine"),
        ("name: a\0\n", "f.yaml: is not YAML: unacceptable character"),
        ("name: 2026-13-45\n", "f.yaml: is not YAML: month must be in 1..12"),
    ],
)
def test_unusable_document(text: str, expected: str) -> None:
    assert str(error_of(text)).startswith(expected)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_yaml(tmp_path / "none.yaml")
    assert str(raised.value) == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"


def test_other_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: a\nrules: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2: is not UTF-8 text"):
        load_yaml(path)


def test_values_that_may_be_secret_are_not_repeated() -> None:
    text = "arms:\n  a:\n    url: http://user:hunter2@x\n    api_key: hunter2\nnode: [hunter2]\n"
    error = error_of(text, Settings)
    assert "hunter2" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__
