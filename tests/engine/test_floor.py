"""The view of who has the floor: its truth table, and one writer for each field it rests on."""

import ast
import inspect
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.engine import floor
from bridge.engine.agent.state import Response
from bridge.engine.call.state import CallEnd, Stage
from bridge.engine.consent.steps import ConsentStep
from bridge.engine.handoff.steps import HandoffStep
from bridge.engine.keypad.state import Collection
from bridge.engine.session.state import FallbackState
from bridge.engine.state import CallState, HandingOver
from bridge.engine.supervision.steps import CallerHolder
from bridge.engine.tools.state import ToolRound
from bridge.engine.turns import State, Trigger
from bridge.engine.voice.state import Filler, Phrase
from bridge.errors import Fault, Outcome
from bridge.realtime.dialect import ServiceTraits
from bridge.realtime.session_config import ResponseConfig
from tests.engine.calls import A1, R1, SILENT, T1, T2
from tests.support.policies import (
    barge_in_policy,
    consent_policy,
    digits_policy,
    fallback_policy,
    handoff_target,
)

ENGINE = Path(inspect.getfile(floor)).parent

# The truth table. A row is a line of facts, and those with "!" have to be false; a question with
# several rows is true where one of them holds.

FACTS: Mapping[str, tuple[str, ...]] = {
    "agent_busy": ("response", "awaited", "owed cancelled", "tool_runs"),
    "audible": ("playing", "phrase_waits", "phrase_plays"),
    "agent_has_floor": ("audible", "agent_speaks"),
    "agent_speaks": ("answering", "answering_aloud", "answering_protected"),
    "caller_has_floor": ("speaking", "stopped_agent", "unexplained !expected"),
    "handing_over": ("supervisor_has", "handoff_begun"),
    "elsewhere": ("supervisor_has", "handoff_wanted", "handoff_begun"),
    "with_person": ("supervisor_has", "handoff_bridged"),
    "awaits_consent": ("asks_consent consent_open",),
}
"""Properties of the call's state."""

QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "caller_may_choose": (
        "!agent_busy !audible !filling !caller_has_floor !held !lost !elsewhere !ending"
        " !awaits_consent !secret",
    ),
    "caller_owes_word": ("caller_may_choose !awaits_key",),
    "caller_is_away": ("held", "elsewhere", "fallback"),
    "caller_is_heard": ("caller_has_floor", "lost sound"),
    "caller_is_talked_over": ("speaking sound", "speaking !listens_itself"),
    "service_owes_speech": ("service_listens !speaking !ending",),
    "service_owes_commit": (
        "service_listens uncommitted !speaking !full_duplex",
        "service_listens uncommitted sound_in_turn !sound !full_duplex",
    ),
    "session_may_change": (
        "talking in_listening !speaking !sound !audible !filling !agent_busy !ending",
    ),
    "agent_is_in_talk": ("!lost !handing_over",),
    "answer_is_unwanted": ("ending", "fallback"),
    "caller_may_be_answered": (
        "!awaits_consent !handing_over !digits !secret_digits !caller_has_floor",
    ),
    "agent_is_waited_for": (
        "talking agent_busy !breathes !fallback !playing !caller_has_floor !held !elsewhere",
        "talking lost       !breathes !fallback !playing !caller_has_floor !held !elsewhere",
    ),
    "agent_owes_sound": (
        "talking agent_busy !breathes !caller_is_heard !held !with_person",
        "talking playing    !breathes !caller_is_heard !held !with_person",
        "talking lost       !breathes !caller_is_heard !held !with_person",
    ),
    "waits_are_filled": ("talking !handing_over !fallback",),
    "agent_can_be_cut": ("agent_has_floor interruptible",),
    "voice_can_be_cut": ("audible interruptible",),
    "is_protected": ("phrase_protected", "answering_protected"),
    "may_cut": ("agent_can_be_cut !is_protected",),
    "sound_may_cut": ("talking !lost !secret_digits may_cut",),
    "may_hand_over": ("leavable !agent_has_floor",),
    "bridge_may_greet": ("!audible !caller_has_floor !fallback !handing_over !ending",),
    "voice_may_sound": ("talking agent_is_in_talk !held !awaits_consent !fallback !leaving",),
    "phrase_may_sound": ("!answering_aloud", "!playing"),
}
"""Functions of the floor."""

AT_WORK = ("in_listening", "in_thinking", "in_speaking")
BEGUN = tuple(f"handoff_{step}" for step in HandoffStep if step is not HandoffStep.WANTED)
WORDS: Mapping[str, tuple[str, ...]] = {
    "response": ("answering", "answering_aloud", "answering_protected", "pausing"),
    "breathes": ("pausing !tool_runs",),
    "awaited": ("expected", "requested", "retry"),
    "handoff_begun": BEGUN,
    "supervisor_has": ("hold_paused", "hold_awaited", "hold_talking", "hold_on_hold"),
    "consent_open": ("consent_due", "consent_telling", "consent_asking"),
    "awaits_key": ("choosing", "digits", "secret_digits"),
    "interruptible": (*AT_WORK, "in_cancelling", "in_recovering"),
    "leavable": (*AT_WORK, "in_recovering", "in_handoff"),
    "service_listens": ("talking !lost !held !handing_over !secret_digits !secret",),
}
"""Names for what rows have in common."""

TABLE = {**FACTS, **QUESTIONS, **WORDS}

# Each plain fact, set on a real call; at most one of a group is true at a time.

ENDING = CallEnd(Outcome.COMPLETED, Fault.NONE, "done")
TARGET = handoff_target("desk", "sip:desk@127.0.0.1")
ASKS = consent_policy(disclosure="You talk to a machine.", question="Do you agree?")

WAYS: Mapping[State, tuple[Trigger, ...]] = {
    State.IDLE: (),
    State.LISTENING: (Trigger.ANSWERED,),
    State.THINKING: (Trigger.ANSWERED, Trigger.SPEECH_STOPPED),
    State.SPEAKING: (Trigger.ANSWERED, Trigger.PLAYOUT_STARTED),
    State.CANCELLING: (Trigger.ANSWERED, Trigger.INTERRUPTED),
    State.RECOVERING: (Trigger.ANSWERED, Trigger.SESSION_LOST),
    State.HANDOFF: (Trigger.ANSWERED, Trigger.TAKEN_OVER),
    State.ENDED: (Trigger.CLOSED,),
}

Put = Callable[[CallState], None]


def field(path: str, value: object) -> Put:
    """Return what sets a field, by its path from the call."""
    *owners, name = path.split(".")

    def put(call: CallState) -> None:
        owner: object = call
        for each in owners:
            owner = getattr(owner, each)
        setattr(owner, name, value)

    return put


def flag(path: str) -> Put:
    return field(path, value=True)


def moved_to(state: State) -> Put:
    def put(call: CallState) -> None:
        for trigger in WAYS[state]:
            call.turns.step(trigger)
        assert call.turns.state is state

    return put


def handoff_at(step: HandoffStep) -> Put:
    return field("handoff", HandingOver(0, TARGET, ENDING, lambda *_: iter(()), step=step))


def collects(*, sensitive: bool) -> Put:
    return field("keypad.collection", Collection(digits_policy(sensitive=sensitive), T2))


def has_policy(**changes: object) -> Put:
    def put(call: CallState) -> None:
        call.policy = replace(call.policy, **changes)  # type: ignore[arg-type]  # fields by name

    return put


RUNNING = "session.responses.running"
GROUPS: tuple[Mapping[str, Put], ...] = (
    {"talking": field("stage", Stage.TALKING)},
    {f"in_{state}": moved_to(state) for state in State},
    {
        "answering": field(RUNNING, Response(R1)),
        "answering_aloud": field(RUNNING, Response(R1, audible=True)),
        "answering_protected": field(RUNNING, Response(R1, protected=True)),
        "pausing": field(RUNNING, Response(R1, pausing=True)),
        "cancelled": field(RUNNING, Response(R1, cancelled=True, audible=True, protected=True)),
    },
    {"expected": flag("session.responses.expected")},
    {"requested": field("session.responses.requested", ResponseConfig())},
    {"retry": field("session.responses.retry", ResponseConfig())},
    {"owed": flag("session.responses.owed")},
    {"tool_runs": lambda call: call.tool_rounds.update({R1: ToolRound(pending={T1})})},
    {"playing": flag("playing")},
    {"phrase_waits": lambda call: call.speech.waiting.append(Phrase("Hello.", protected=False))},
    {"phrase_plays": lambda call: call.speech.pending.update({A1: "Hello."})},
    {"phrase_protected": lambda call: call.speech.protected.add(A1)},
    {"filling": field("filling", Filler.TONE)},
    {"speaking": flag("session.turn.speaking")},
    {"uncommitted": flag("session.turn.uncommitted")},
    {"sound": field("sound.since_ns", 1)},
    {"sound_in_turn": flag("sound.turn_heard")},
    {"stopped_agent": flag("sound.stopped_agent")},
    {"unexplained": flag("sound.unexplained")},
    {"held": flag("held")},
    {"lost": flag("lost")},
    {"fallback": field("fallback", FallbackState(fallback_policy(), ENDING, deque()))},
    {"ending": field("ending", T1)},
    {"leaving": field("leaving", ENDING)},
    {"full_duplex": field("session.service", ServiceTraits(reports_turns=False))},
    {f"handoff_{step}": handoff_at(step) for step in HandoffStep},
    {f"hold_{hold}": field("supervised.hold", hold) for hold in CallerHolder},
    {"secret": flag("supervised.secret")},
    {"choosing": flag("keypad.choosing")},
    {"digits": collects(sensitive=False), "secret_digits": collects(sensitive=True)},
    {f"consent_{step}": field("consent.step", step) for step in ConsentStep},
    {"asks_consent": has_policy(consent=ASKS)},
    {"listens_itself": has_policy(barge_in=barge_in_policy())},
)
PUT = {name: put for group in GROUPS for name, put in group.items()}
GROUP_OF = {name: index for index, group in enumerate(GROUPS) for name in group}


def call_of(facts: frozenset[str]) -> CallState:
    call = CallState(SILENT)
    for name in facts:
        PUT[name](call)
    return call


def holds(word: str, facts: frozenset[str]) -> bool:
    """Return what the table says of a call with these plain facts, and no others."""
    if word.startswith("!"):
        return not holds(word[1:], facts)
    if word in PUT:
        return word in facts
    return any(all(holds(each, facts) for each in row.split()) for row in TABLE[word])


def answer(name: str, call: CallState) -> bool:
    """Return what the product says."""
    if name in FACTS:
        return bool(getattr(call, name))
    return bool(getattr(floor, name)(call))


def plain_facts(word: str) -> set[str]:
    """Return the plain facts that a word rests on."""
    word = word.removeprefix("!")
    if word in PUT:
        return {word}
    return {fact for row in TABLE[word] for each in row.split() for fact in plain_facts(each)}


def example(word: str) -> frozenset[str]:
    """Return plain facts that make one of the call's own facts true, by its first row."""
    if word in PUT:
        return frozenset({word})
    words = TABLE[word][0].split()
    return frozenset().union(*(example(each) for each in words if not each.startswith("!")))


def named_facts(question: str) -> set[str]:
    """Return the call's own facts, and the plain ones, that a question's rows name."""
    found: set[str] = set()
    for row in TABLE[question]:
        for word in (each.removeprefix("!") for each in row.split()):
            inner = word in QUESTIONS or word in ("service_listens", "breathes")
            found |= named_facts(word) if inner else {word}
    return found


def possible(facts: frozenset[str]) -> bool:
    """Return whether at most one fact of each group is among these."""
    groups = [GROUP_OF[name] for name in facts]
    return len(groups) == len(set(groups))


def combinations(options: list[list[frozenset[str]]]) -> Iterator[frozenset[str]]:
    for chosen in itertools.product(*options):
        facts = frozenset[str]().union(*chosen)
        if possible(facts):
            yield facts


def every_case(name: str) -> Iterator[frozenset[str]]:
    """Yield a fact's cases from all plain facts it rests on; a question's, from all that its rows
    name, of which each is false, or true by its first row.
    """
    if name in QUESTIONS:
        yield from combinations(
            [[frozenset(), example(word)] for word in sorted(named_facts(name))]
        )
        return
    groups: dict[int, list[frozenset[str]]] = {}
    for fact in sorted(plain_facts(name)):
        groups.setdefault(GROUP_OF[fact], [frozenset()]).append(frozenset({fact}))
    yield from combinations(list(groups.values()))


@pytest.mark.parametrize("name", [*FACTS, *QUESTIONS])
def test_answers_are_those_of_the_table(name: str) -> None:
    answers = set()
    for facts in every_case(name):
        wanted = holds(name, facts)
        assert answer(name, call_of(facts)) == wanted, sorted(facts)
        answers.add(wanted)
    assert answers == {True, False}


def test_answers_rest_on_nothing_else() -> None:
    """Any facts at all, in calls that have few of them and in calls that have many."""
    draw = random.Random(16)
    for number in range(3_000):
        share = 0.05 + 0.45 * (number / 3_000)
        facts = frozenset(draw.choice(sorted(group)) for group in GROUPS if draw.random() < share)
        call = call_of(facts)
        for name in (*FACTS, *QUESTIONS):
            assert answer(name, call) == holds(name, facts), (name, sorted(facts))


def test_every_question_is_in_the_table() -> None:
    asked = {
        name
        for name, found in inspect.getmembers(floor, inspect.isfunction)
        if found.__module__ == floor.__name__ and not name.startswith("_")
    }
    assert asked == set(QUESTIONS)


# One writer

WRITERS = {
    "speaking": "caller/state",
    "uncommitted": "caller/state",
    "commit_asked": "caller/state",
    "_since_ns": "voice/state",
    "stopped_agent": "caller/state",
    "unexplained": "caller/state",
    "expected": "agent/state",
    "retry": "agent/state",
    "choosing": "keypad/state",
    "prompt_due": "keypad/state",
    "filling": "voice/filler",
}
"""Fields that one module writes; the others call its methods."""


def written_by(tree: ast.AST) -> set[str]:
    """Return the names of the attributes that are assigned to."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
    }


@pytest.mark.parametrize(("name", "owner"), WRITERS.items())
def test_field_has_one_writer(name: str, owner: str) -> None:
    writers = {
        str(path.relative_to(ENGINE).with_suffix(""))
        for path in ENGINE.rglob("*.py")
        if name in written_by(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert writers == {owner}
