from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.simulator.scenario import default_scenario, load_scenario

GOOD = """\
name: tiny
greeting: Hello.
rules:
  - hears: ["Where is my order?"]
    say: On its way.
fallback: Pardon?
"""


def test_default_scenario_has_what_the_demo_needs() -> None:
    scenario = default_scenario()
    assert "automated assistant" in scenario.greeting
    tools = {rule.tool.name for rule in scenario.rules if rule.tool}
    assert tools == {"end_call", "lookup_invoice", "transfer_to_human"}
    assert scenario.rule_for("where is my ORDER") is not None
    assert scenario.rule_for("where is my dog") is None


def test_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(GOOD)
    scenario = load_scenario(path)
    assert scenario.phrases == ("Where is my order?",)
    assert list(scenario.sentences()) == ["Hello.", "Pardon?", "On its way."]


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("fallback: Pardon?", "falback: Pardon?", None, "fallback"),
        ("    say: On its way.", "    speak: On its way.", None, "speak"),
        ("    say: On its way.", "    then: On its way.", 4, "a rule needs say, tool or mcp"),
        ("    say: On its way.", "    say: x\n    then: y", 4, "for a rule with a tool"),
        ('["Where is my order?"]', "[]", 4, "hears"),
        (
            '"Where is my order?"',
            '"Where is my order?", where is my order',
            None,
            "hear the same sentence",
        ),
    ],
)
def test_mistake_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int | None, what: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as error:
        load_scenario(path)
    assert what in str(error.value)
    assert line is None or error.value.line == line


def test_mistake_in_a_fault_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "faulty.yaml"
    faults = ["faults:", "  - {at: audio, kind: drop, nth: 3}", "  - {at: audio, kind: fail}"]
    path.write_text(GOOD + "\n".join(faults))
    with pytest.raises(ConfigError, match="only at: turn") as error:
        load_scenario(path)
    assert error.value.line == len(GOOD.splitlines()) + 3
