"""The tables of the two dialects: each name in them is one of an event or of a shape."""

from dataclasses import asdict, fields
from typing import get_args

import pytest

from bridge.realtime import events as e
from bridge.realtime.duplex_events import DuplexEvent
from bridge.realtime.session_config import SessionKind
from bridge.simulator.dialect_wire import Wire
from bridge.simulator.dialects import DIALECTS
from bridge.simulator.server_events import ROWS
from bridge.simulator.wire import DialectName, SessionIdentity

EVENTS = set(get_args(e.ServerEvent))
WITHOUT_ROW = {
    *(e.SessionCreated, e.SessionUpdated, e.ResponseCreated, e.ResponseDone, e.ErrorReported),
}
"""Written by functions of their own."""

NEVER_MADE = {
    *(e.ConversationCreated, e.InputTranscriptSegment, e.DtmfReceived, e.RateLimitsUpdated),
    *(e.OutputBufferChanged, e.UnknownEvent, e.QuietEvent),
}
"""``rate_limits.updated`` is written with the responses that it belongs to."""


LIVE_ALONE = frozenset(get_args(DuplexEvent))
"""GPT-Live is no spelling of the Realtime API, and is served apart."""


def test_every_event_has_a_row_a_function_or_is_never_made() -> None:
    assert set(ROWS) == EVENTS - WITHOUT_ROW - NEVER_MADE - LIVE_ALONE


@pytest.mark.parametrize("event", ROWS, ids=lambda event: event.__name__)
def test_a_row_names_fields_of_its_event(event: type[e.ServerEvent]) -> None:
    _, named = ROWS[event]
    assert set(named.split()) <= {field.name for field in fields(event)}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_place_is_one_of_the_session_object(name: DialectName) -> None:
    session = Wire(name, SessionIdentity("m", 0)).session
    for place in asdict(DIALECTS[name].places).values():
        here: object = session
        for key in place.split("."):
            assert isinstance(here, dict)
            assert key in here, place
            here = here[key]


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("kind", SessionKind)
def test_a_session_begins_with_an_event_that_names_its_kind(
    name: DialectName, kind: SessionKind
) -> None:
    wire = Wire(name, SessionIdentity("m", 0, kind))
    (created,) = wire.encode(e.SessionCreated(wire.info))
    assert created["type"] == f"{DIALECTS[name].names.session[kind]}.created"
    assert created["session"] == wire.session
