"""What the engine reads of a dialplan stands beside the section it is compiled of, once."""

import ast
import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import bridge.routing
from bridge.engine.policy import CallPolicy, policy_of
from bridge.realtime.recovery import RecoveryPolicy
from bridge.routing.fallback import Recovery
from bridge.routing.handoff import HandoffTarget
from bridge.routing.models import Dialplan

BRIDGE = Path(bridge.routing.__file__).parents[1]
ROUTING = {"engine/policy.py", "realtime/recovery.py"}
"""Beside the sections: what is put together of all, and the recovery's plan, which knows none."""


def _policies() -> Iterator[type]:
    yield from (CallPolicy, HandoffTarget)
    for module in pkgutil.walk_packages(bridge.routing.__path__, "bridge.routing."):
        found = vars(importlib.import_module(module.name)).values()
        for each in found:
            is_dataclass = isinstance(each, type) and dataclasses.is_dataclass(each)
            if is_dataclass and each.__name__.endswith("Policy"):
                yield each


def _defaults(policy: type) -> set[str]:
    fields = dataclasses.fields(policy)
    missing = dataclasses.MISSING
    return {
        each.name
        for each in fields
        if each.default is not missing or each.default_factory is not missing
    }


def test_defaults_stand_in_the_sections_alone() -> None:
    policies = set(_policies()) - {RecoveryPolicy}
    assert len(policies) > 12
    assert {policy.__name__: _defaults(policy) for policy in policies if _defaults(policy)} == {}
    compiled = {name.removesuffix("_s") for name in Recovery.model_fields} - {"filler"}
    twice = {name for name in _defaults(RecoveryPolicy) if name.removesuffix("_ms") in compiled}
    assert twice == set()


def test_nothing_else_copies_a_section() -> None:
    declared = {
        f"{path.relative_to(BRIDGE)}"
        for path in BRIDGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        and (node.name.endswith("Policy") or node.name == "HandoffTarget")
    }
    assert {path for path in declared if not path.startswith("routing/")} == ROUTING


def test_every_section_reaches_the_engine() -> None:
    """One that is empty, but for a person, has all of its policies."""
    plan = Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "test",
            "match": [{"called": "*"}],
            "arm": "local",
            "agent": {"instructions": "Be brief."},
            "consent": {"disclosure": "An AI listens."},
            "handoff": {"targets": {"ann": {"to": "sip:ann@pbx.example"}}},
        }
    )
    policy = policy_of(plan, lambda text: text)
    sections = (policy.barge_in, policy.dead_air, policy.caller_silence, policy.consent)
    assert None not in (*sections, policy.emergency, policy.person)
