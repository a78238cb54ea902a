"""One conversation in both dialects: tool call, interruption, text answer.

The wires differ in names, shapes and order as documented (`PROTOCOL.md` sections 3 and 7); what
the engine sees must not.
"""

import dataclasses

from bridge.realtime.events import (
    FunctionArgumentsDone,
    ItemAdded,
    ItemDone,
    RateLimitsUpdated,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    UnknownEvent,
)
from bridge.realtime.items import Message, Role
from tests.realtime import golden
from tests.realtime.decoding import without_id
from tests.realtime.golden import DIALECTS
from tests.realtime.official import DialectName


def heard(name: DialectName) -> list[ServerEvent]:
    lines = golden.lines(name, "conversation")
    return [without_id(DIALECTS[name].decode(line)) for line in lines]


def in_common(events: list[ServerEvent]) -> list[ServerEvent]:
    """Without what one dialect alone says, or says at another place."""
    return [
        dataclasses.replace(event, name=None) if isinstance(event, FunctionArgumentsDone) else event
        for event in events
        if not isinstance(event, ItemDone | RateLimitsUpdated)
    ]


BETA = heard("beta")
GA = heard("ga")


def test_both_dialects_tell_the_same_conversation() -> None:
    assert in_common(BETA) == in_common(GA)
    assert len(in_common(BETA)) == 47


def test_conversation_has_nothing_unknown() -> None:
    assert not [event for event in BETA + GA if isinstance(event, UnknownEvent)]


def test_rate_limits_follow_created_in_beta_and_done_in_ga() -> None:
    def before(events: list[ServerEvent]) -> list[type[ServerEvent]]:
        return [type(events[i - 1]) for i, e in enumerate(events) if type(e) is RateLimitsUpdated]

    assert before(BETA) == [ResponseCreated] * 3
    assert before(GA) == [ResponseDone] * 3


def test_ga_alone_says_that_an_item_is_done_and_names_the_function() -> None:
    assert not [event for event in BETA if isinstance(event, ItemDone)]
    added = {event.item.item_id for event in GA if isinstance(event, ItemAdded)}
    assert {event.item.item_id for event in GA if isinstance(event, ItemDone)} == added
    names = [
        [event.name for event in events if isinstance(event, FunctionArgumentsDone)]
        for events in (BETA, GA)
    ]
    assert names == [[None], ["find_order"]]


def test_item_is_told_before_its_answer() -> None:
    for events in (BETA, GA):
        user = [
            index
            for index, event in enumerate(events)
            if isinstance(event, ItemAdded)
            and isinstance(event.item, Message)
            and event.item.role is Role.USER
        ]
        answers = [i for i, event in enumerate(events) if isinstance(event, ResponseCreated)]
        assert user[0] < answers[0]
        assert user[1] < answers[2]
