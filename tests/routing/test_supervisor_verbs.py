"""The table of the supervisors' verbs: each has what follows from its row, and nothing else has."""

import re
from collections.abc import Iterator

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from bridge.console.access.door import Allowed, AllowedOrHolding
from bridge.console.access.roles import Permission
from bridge.console.api import ROUTERS
from bridge.console.templating import PAGE_VERBS
from bridge.engine.supervision.orders import RULES
from bridge.routing.supervisor_verbs import VERBS, Verb, verb_of
from tests.docs.pages import ROOT, read

AT_THE_NODE = {"flag", "listen", "wrap_up"}
"""Carried out without the engine."""

SCRIPTS = {path.name: read(path) for path in (ROOT / "bridge/console/static/js").glob("*.js")}
HANDBOOK = {
    name: row[-1].strip("`")
    for line in read(ROOT / "deploy/SUPERVISION.md").splitlines()
    if len(row := line.strip("| ").split(" | ")) == 3
    for name in row[0].replace("`", "").split(", ")
}
"""Verb -> permission."""

EVERY_VERB = pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))


def _routes() -> Iterator[tuple[str, APIRoute]]:
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield from ((f"{method} {route.path}", route) for method in route.methods or ())


ROUTES = dict(_routes())


def _door(route: APIRoute) -> Allowed:
    def doors(of: Dependant) -> Iterator[Allowed]:
        for each in of.dependencies:
            if isinstance(each.call, Allowed):
                yield each.call
            yield from doors(each)

    (door,) = doors(route.dependant)
    return door


@EVERY_VERB
def test_verb_has_its_order(verb: Verb) -> None:
    assert verb.order.__name__ == f"{verb.name.title().replace('_', '')}Order"
    assert verb_of(verb.order.model_construct()) is verb


@EVERY_VERB
def test_verb_has_its_path_for_whoever_has_its_permission(verb: Verb) -> None:
    door = _door(ROUTES[f"POST {verb.path}"])
    assert door.permission is Permission(verb.permission)
    assert isinstance(door, AllowedOrHolding) == verb.of_the_holder
    if verb.holder_path:
        assert _door(ROUTES[f"POST {verb.holder_path}"]).permission is Permission.QUEUE_ACCEPT


@EVERY_VERB
def test_verb_is_carried_out(verb: Verb) -> None:
    assert (verb.name in AT_THE_NODE) != (verb.order in RULES)


@EVERY_VERB
def test_verb_has_its_sentence_in_the_table_alone(verb: Verb) -> None:
    assert verb.done
    assert PAGE_VERBS[verb.name]["done"] == verb.done
    written = re.compile(rf"""["'`]{re.escape(verb.done)}["'`:]""")
    assert [name for name, script in SCRIPTS.items() if written.search(script)] == []


@EVERY_VERB
def test_verb_has_its_button_and_its_row_in_the_handbook(verb: Verb) -> None:
    wanted = {f'id: "{verb.name}"', f'perform(callId, "{verb.name}"'}
    assert any(each in SCRIPTS["actions.js"] for each in wanted)
    assert HANDBOOK[verb.name] == verb.permission


def test_nothing_is_a_verb_that_the_table_lacks() -> None:
    actions = {path for path in ROUTES if "/actions/" in path}
    assert actions == {f"POST {verb.path}" for verb in VERBS.values() if not verb.own_path}
    assert {verb.order for verb in VERBS.values()} >= RULES.keys()
    asked = {
        name
        for script in SCRIPTS.values()
        for pattern in (r'perform\(callId, "(\w+)"', r"VERBS\.(\w+)", r'\bverb: "(\w+)"')
        for name in re.findall(pattern, script)
    }
    assert asked <= VERBS.keys()
