"""The built-in tools take what the agent of `bridge demo` calls them with."""

import json

import pytest

from bridge.engine.tools.arguments import parse_arguments
from bridge.routing.tools import BUILT_IN
from bridge.simulator.scenario import ToolCallSpec, default_scenario

CALLED = [
    rule.tool
    for rule in default_scenario().rules
    if rule.tool is not None and rule.tool.name in BUILT_IN
]


def test_the_demos_agent_ends_its_call() -> None:
    assert "end_call" in [tool.name for tool in CALLED]


@pytest.mark.parametrize("tool", CALLED, ids=lambda tool: tool.name)
def test_arguments_of_the_demos_agent_are_taken(tool: ToolCallSpec) -> None:
    _, schema = BUILT_IN[tool.name]
    assert parse_arguments(json.dumps(tool.arguments), schema) == tool.arguments
