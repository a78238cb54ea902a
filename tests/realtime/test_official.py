"""Both dialects before the official types, and proof that the judge can say no."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.realtime.commands import UpdateSession
from bridge.realtime.session_config import SessionConfig
from tests.realtime import golden, strategies
from tests.realtime.golden import DIALECTS
from tests.realtime.official import (
    CLASSES,
    GAPS,
    DialectName,
    Direction,
    Event,
    assert_official,
    problems,
)

FILES: dict[str, Direction] = {"client": "client", "server": "server", "conversation": "server"}
GOLDEN = [
    pytest.param(name, direction, event, id=f"{name}-{event.get('event_id', event['type'])}")
    for name in DIALECTS
    for file, direction in FILES.items()
    for event in golden.objects(name, file)
]
both = pytest.mark.parametrize("name", DIALECTS)

TOLERATED: dict[str, str] = {
    "event_CeRx0036": "early GA servers left the name out of args.done; a client takes both",
}
"""Golden lines, by event_id, that we read though no server should send them today."""


@pytest.mark.parametrize(("name", "direction", "event"), GOLDEN)
def test_golden_line_is_official(name: DialectName, direction: Direction, event: Event) -> None:
    if event.get("event_id") in TOLERATED:
        assert problems(name, direction, event) == ["name: Field required"]
    else:
        assert_official(name, direction, event)


@pytest.mark.parametrize("kind", strategies.commands("ga"))
@both
@given(st.data())
def test_whatever_is_encoded_is_official(name: DialectName, kind: str, data: st.DataObject) -> None:
    command = data.draw(strategies.commands(name)[kind])
    event_id = data.draw(st.none() | strategies.name)
    assert_official(name, "client", json.loads(DIALECTS[name].encode(command, event_id)))


@both
@given(st.data())
def test_what_unsupported_names_is_what_is_not_sent(name: DialectName, data: st.DataObject) -> None:
    """Settings that are named change nothing on the wire, settings that aren't all arrive."""
    dialect = DIALECTS[name]
    config = data.draw(strategies.session_configs)
    named = {path.split(".")[0].split("[")[0] for path in dialect.unsupported(config)}
    whole = {"temperature", "include", "reasoning_effort", "parallel_tool_calls", "prompt"}
    whole |= {"truncation", "noise_reduction_strength"}
    frame = dialect.encode(UpdateSession(config))
    for field in whole:
        without = {f: getattr(config, f) for f in SessionConfig.__slots__ if f != field}
        same = dialect.encode(UpdateSession(SessionConfig(**without))) == frame
        meant = getattr(config, field) != getattr(SessionConfig(), field)
        # A strength without a kind of noise reduction is nothing that could be sent.
        bare = field == "noise_reduction_strength" and config.noise_reduction is None
        assert same == (field in named or not meant or bare)


@pytest.mark.parametrize("gap", GAPS.values(), ids=GAPS.keys())
def test_gap_in_the_official_types_is_still_one(gap: Any) -> None:
    mended = 0
    for event in golden.objects(gap.dialect, "server"):
        official = gap.mend(event)
        if official is not None:
            assert problems(gap.dialect, gap.direction, event), gap.reason
            assert problems(gap.dialect, gap.direction, official) == []
            mended += 1
    assert mended


def test_gap_leaves_the_rest_of_the_event_to_be_judged() -> None:
    created = json.loads(golden.server_line("beta", 3))
    created["session"]["prefix_padding"] = 300
    with pytest.raises(AssertionError, match="prefix_padding: no such field"):
        assert_official("beta", "server", created)


def test_gap_of_item_references_is_still_one() -> None:
    """The model has no references: the TypedDict stands in for it."""
    respond = next(o for o in golden.objects("ga", "client") if o["event_id"] == "respond_full")
    with pytest.raises(ValidationError):
        CLASSES["ga", "client"]["response.create"].model_validate(respond)
    assert problems("ga", "client", respond) == []


REFERENCE = {"type": "item_reference", "id": "item_1"}
VAD = {"type": "server_vad", "prefix_padding": 300}


def ga_update(**session: object) -> Event:
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def response(**fields: object) -> Event:
    return {"type": "response.create", "response": fields}


@pytest.mark.parametrize(
    ("name", "event", "complaint"),
    [
        (
            "ga",
            {"type": "response.cancel", "response": "resp_1"},
            "response: no such field",
        ),
        ("ga", ga_update(voice="alloy"), "session.voice: no such field"),
        ("ga", ga_update(input_audio_format="pcm16"), "session.input_audio_format: no such field"),
        ("ga", ga_update(temperature=0.8), "session.temperature: no such field"),
        ("ga", ga_update(mcp_servers=True), "session.mcp_servers: no such field"),
        ("ga", ga_update(image_input=True), "session.image_input: no such field"),
        ("ga", ga_update(async_functions=True), "session.async_functions: no such field"),
        (
            "ga",
            ga_update(audio={"input": {"turn_detection": VAD}}),
            "session.audio.input.turn_detection.prefix_padding: no such field",
        ),
        ("ga", {"type": "session.update", "session": {"instructions": "x"}}, "Field required"),
        ("ga", {"type": "transcription_session.update", "session": {}}, "no client event of ga"),
        ("ga", response(modalities=["text"]), "response.modalities: no such field"),
        ("ga", response(input=[REFERENCE], voice="alloy"), "response.voice: no such field"),
        ("ga", response(input=[{**REFERENCE, "item": 1}]), "a reference is a type and an id"),
        ("ga", response(input=[{"type": "item_reference"}]), "Field required"),
        ("ga", response(input=[REFERENCE, {"type": "message"}]), "Field required"),
        ("ga", response(input=[REFERENCE], max_output_tokens="few"), "max_output_tokens"),
        ("beta", {"type": "session.update", "session": {"turn_detection": VAD}}, "prefix_padding"),
        ("beta", ga_update(), "session.type: no such field"),
        (
            "beta",
            {"type": "session.update", "session": {"turn_detection": {"idle_timeout_ms": 5000}}},
            "session.turn_detection.idle_timeout_ms: no such field",
        ),
        ("beta", response(output_modalities=["text"]), "response.output_modalities"),
    ],
)
def test_wrong_client_event_is_caught(name: DialectName, event: Event, complaint: str) -> None:
    assert complaint in "; ".join(problems(name, "client", event))
    with pytest.raises(AssertionError):
        assert_official(name, "client", event)


def server(name: DialectName, number: int, /, **changes: object) -> Event:
    return {**json.loads(golden.server_line(name, number)), **changes}


@pytest.mark.parametrize(
    ("name", "event", "complaint"),
    [
        ("ga", server("beta", 29), "no server event of ga"),
        ("beta", server("ga", 30), "no server event of beta"),
        ("ga", server("ga", 26, part={"type": "output_audio"}), "part.type"),
        ("ga", server("ga", 35, name=None), "name"),
        ("ga", server("ga", 33, obfuscation="x"), "obfuscation: no such field"),
        ("beta", server("beta", 32, name="x"), "name: no such field"),
        ("ga", server("ga", 17, audio_start_ms="1012"), "audio_start_ms"),
    ],
)
def test_wrong_server_event_is_caught(name: DialectName, event: Event, complaint: str) -> None:
    assert complaint in "; ".join(problems(name, "server", event))


def test_flat_update_of_the_other_dialect_is_caught_by_the_walk_alone() -> None:
    """It validates, so without the walk the judge would be blind to it."""
    flat = json.loads(DIALECTS["beta"].encode(UpdateSession(SessionConfig(voice="alloy"))))
    flat["session"]["type"] = "realtime"
    CLASSES["ga", "client"]["session.update"].model_validate(flat, strict=True)
    found = problems("ga", "client", flat)
    assert "session.voice: no such field" in found
    assert all(problem.endswith("no such field") for problem in found)


FREE_FORM = frozenset({"parameters", "metadata", "input_schema", "variables"})
"""Objects whose keys are the client's own."""

UNTYPED = frozenset({"cached_tokens_details"})
"""An extra of the beta's wire: no type says what is in it."""


def objects_within(value: object, key: str = "") -> Iterator[dict[str, object]]:
    if isinstance(value, dict) and key not in FREE_FORM | UNTYPED:
        yield value
        for inner_key, inner in value.items():
            yield from objects_within(inner, inner_key)
    elif isinstance(value, list):
        for inner in value:
            yield from objects_within(inner)


@pytest.mark.parametrize(("name", "direction", "event"), GOLDEN)
def test_stray_key_in_any_object_is_caught(
    name: DialectName, direction: Direction, event: Event
) -> None:
    for index in range(len(list(objects_within(event)))):
        stray = copy.deepcopy(event)
        list(objects_within(stray))[index]["stray"] = 1
        with pytest.raises(AssertionError):
            assert_official(name, direction, stray)
