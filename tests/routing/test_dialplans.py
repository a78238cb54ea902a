from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.config.loading import load_settings
from bridge.errors import ConfigError
from bridge.routing.agent import Agent
from bridge.routing.matching import check_arms, load_dialplans, match
from bridge.routing.models import Dialplan
from bridge.routing.rules import incoming_call

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
SHIPPED = Path(__file__).parents[2] / "dialplans"

GOOD = """\
schema: dialplan/v1
name: {name}
match:
  - called: "{called}"
arm: local
agent:
  instructions: Be brief.
"""


def write(directory: Path, file_name: str, text: str) -> None:
    (directory / file_name).write_text(text)


def good(directory: Path, file_name: str, *, name: str, called: str) -> None:
    write(directory, file_name, GOOD.format(name=name, called=called))


def error_lines(directory: Path) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load_dialplans(directory)
    return str(raised.value).replace(f"{directory}/", "").splitlines()


def test_files_are_read_in_the_order_of_names(tmp_path: Path) -> None:
    good(tmp_path, "90-rest.yaml", name="rest", called="*")
    good(tmp_path, "10-sales.yml", name="sales", called="+1555*")
    write(tmp_path, "README.md", "no dialplan")
    dialplans = load_dialplans(tmp_path)
    assert [dialplan.name for dialplan in dialplans] == ["sales", "rest"]


def test_first_matching_rule_wins(tmp_path: Path) -> None:
    good(tmp_path, "1.yaml", name="exact", called="+1 (555) 0100")
    good(tmp_path, "2.yaml", name="prefix", called="+1555*")
    good(tmp_path, "3.yaml", name="named", called="sales")
    dialplans = load_dialplans(tmp_path)

    def taken(called: str) -> str | None:
        dialplan = match(dialplans, incoming_call(called, NOW))
        return dialplan.name if dialplan else None

    assert taken("sip:+1-555-0100@gw.example;transport=tcp") == "exact"
    assert taken("+15550101") == "prefix"
    assert taken("sip:sales@gw.example") == "named"
    assert taken("+4930123") is None
    assert taken("sip:gw.example") is None


def test_shipped_support_line_greets_as_promised() -> None:
    *_, support = load_dialplans(SHIPPED)
    assert support.agent.greeting == (
        "Thanks for calling Northwind support. I am an automated assistant, and this call may be"
        " recorded. How can I help you?"
    )
    assert [tool.name for tool in support.agent.tools] == ["end_call"]
    assert match([support], incoming_call("sip:anything@127.0.0.1", NOW)) is support
    check_arms([support], {"local"})


def test_readme_examples_are_valid(tmp_path: Path) -> None:
    blocks = (SHIPPED / "README.md").read_text().split("```yaml\n")[1:]
    examples = [block.split("```")[0] for block in blocks]
    minimal, *parts = examples
    for number, part in enumerate(parts):
        directory = tmp_path / str(number)
        directory.mkdir()
        indented = "".join(
            f"{'  ' * (part.split(':')[0] in Agent.model_fields)}{line}\n"
            for line in part.splitlines()
        )
        rules = 'match:\n  - called: "*"\n'
        assert rules in minimal
        begins = minimal.replace(rules, "") if part.startswith("match:") else minimal
        write(directory, "example.yaml", begins + indented)
        assert len(load_dialplans(directory)) == 1
    assert len(parts) >= 16


def test_mistakes_of_all_files_are_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.yaml",
        "schema: dialplan/v2\n"
        "name: Support\n"
        "match:\n"
        "  - called: +15550100\n"
        "  - caled: x\n"
        "agent:\n"
        "  instructions: ''\n"
        "  greting: Hello\n"
        "  turn_detection:\n"
        "    type: server_vad\n"
        "    treshold: 1\n"
        "    silence_duration_ms: -1\n"
        "  tools:\n"
        "    - name: end_call\n"
        "      description: d\n"
        "      parameters: {type: array}\n"
        "limits:\n"
        "  max_call_s: 0\n",
    )
    write(tmp_path, "b.yaml", "name: b\nname: c\n")
    good(tmp_path, "c.yaml", name="c", called="*")
    assert error_lines(tmp_path) == [
        "a.yaml:1: schema should be dialplan/v1, not 'dialplan/v2'; did you mean 'dialplan/v1'?",
        "a.yaml:1: rollout or 'arm' should be there, and not both",
        "a.yaml:2: name should match pattern '^[a-z0-9][a-z0-9_-]{0,63}$'",
        "a.yaml:4: match[0].called should be text, and YAML reads it as a number: put it in quotes",
        "a.yaml:5: match[1].caled is not known; did you mean 'called'?",
        "a.yaml:7: agent.instructions should have at least 1 character",
        "a.yaml:8: agent.greting is not known; did you mean 'greeting'?",
        "a.yaml:11: agent.turn_detection.treshold is not known; did you mean 'threshold'?",
        "a.yaml:12: agent.turn_detection.silence_duration_ms should be greater than or equal to 0,"
        " not -1",
        "a.yaml:16: agent.tools[0].parameters should be a JSON Schema with 'type: object'",
        "a.yaml:18: limits.max_call_s should be greater than 0, not 0",
        "b.yaml:2: the key 'name' is given twice (first on line 1)",
    ]


def test_star_in_the_middle_is_refused_at_its_line(tmp_path: Path) -> None:
    good(tmp_path, "a.yaml", name="a", called="1*2")
    assert error_lines(tmp_path) == [
        "a.yaml:4: match[0].called may have a '*' only at its end (any ending) or start"
        " (a star code)"
    ]


def test_dialplan_without_rules_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", GOOD.format(name="a", called="*").replace('\n  - called: "*"', " []"))
    assert error_lines(tmp_path) == ["a.yaml:3: match should have at least one rule"]


def test_tool_declared_twice_is_refused(tmp_path: Path) -> None:
    tool = "    - {name: end_call}\n"
    text = GOOD.format(name="a", called="*") + "  tools:\n" + tool + tool
    write(tmp_path, "a.yaml", text)
    assert error_lines(tmp_path) == ["a.yaml:8: agent.tools declares a tool twice: end_call"]


def test_name_used_twice_is_refused(tmp_path: Path) -> None:
    good(tmp_path, "a.yaml", name="same", called="1")
    good(tmp_path, "b.yaml", name="same", called="2")
    assert error_lines(tmp_path) == [
        "b.yaml:2: the name 'same' is taken by a.yaml:2; dialplans are told apart by their names"
    ]


def test_rule_hidden_by_an_earlier_file_is_refused(tmp_path: Path) -> None:
    good(tmp_path, "a.yaml", name="a", called="+1*")
    good(tmp_path, "b.yaml", name="b", called="+1 555*")
    assert error_lines(tmp_path) == [
        "b.yaml:4: '+1555*' is never reached: '+1*' stands before it, at a.yaml:4; the first"
        " matching rule wins, files in the order of their names"
    ]


def test_rule_hidden_in_its_own_file_is_refused(tmp_path: Path) -> None:
    text = GOOD.format(name="a", called="*").replace("arm:", '  - called: "2"\narm:')
    write(tmp_path, "a.yaml", text)
    assert error_lines(tmp_path)[0].startswith("a.yaml:5: '2' is never reached: '*' stands before")


def test_directory_without_dialplans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no dialplan here; put at least one"):
        load_dialplans(tmp_path)
    with pytest.raises(ConfigError, match=r"none: the dialplans cannot be read.*BRIDGE_DIALPLANS"):
        load_dialplans(tmp_path / "none")


def test_unknown_arm_is_told_at_its_line(tmp_path: Path) -> None:
    good(tmp_path, "a.yaml", name="a", called="*")
    dialplans = load_dialplans(tmp_path)
    arms = load_settings(None, {"BRIDGE_ARMS": "{locl: {url: 'ws://x'}}"}).arms
    with pytest.raises(ConfigError) as raised:
        check_arms(dialplans, arms)
    assert str(raised.value) == (
        f"{tmp_path}/a.yaml:5: arm 'local' is not in the settings (known arms: locl);"
        " did you mean 'locl'?"
    )
    with pytest.raises(ConfigError, match="no arm is configured"):
        check_arms(dialplans, {})


def test_dialplan_without_a_file_is_named_in_complaints() -> None:
    dialplan = Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "made",
            "match": [{"called": "*"}],
            "arm": "x",
            "agent": {"instructions": "i"},
        }
    )
    assert dialplan.place() == "dialplan 'made'"
    with pytest.raises(ConfigError, match="dialplan 'made': arm 'x' is not in the settings"):
        check_arms([dialplan], {"y"})
    limits = dialplan.limits.policy(None, lambda text: text)
    assert limits.session_ready_ms == 5000
    assert limits.max_call_ms == 1_800_000
    assert limits.response_timeout_ms == 10_000
    assert dialplan.recording.enabled
