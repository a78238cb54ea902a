"""Session templates: what may be asked for, what not and why, held against the official types."""

import math
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import pytest
from openai.types.live.responses_delegation_config import ResponsesDelegationConfig
from openai.types.live.session_config import DelegationResponses
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bridge.config.loading import load_settings
from bridge.config.session_template import BackendTemplate, SessionTemplate, nested_fields
from bridge.config.settings import ArmSettings
from bridge.config.tool_templates import McpTemplate
from bridge.errors import ConfigError
from tests.config.official_fields import GA_SESSION, models, paths

WHOLE: dict[str, object] = {
    "audio": {
        "input": {
            "noise_reduction": {"type": "far_field", "strength": 0.5},
            "transcription": {
                "model": "gpt-transcribe",
                "language": "en",
                "languages": ["en", "de"],
                "keywords": ["Fielding"],
                "prompt": "Orders.",
                "delay": "low",
            },
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.4,
                "prefix_padding_ms": 200,
                "silence_duration_ms": 300,
                "idle_timeout_ms": 8000,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"voice": {"id": "voice_1"}, "speed": 1.25},
    },
    "output_modalities": ["audio"],
    "tools": [
        {
            "type": "mcp",
            "server_label": "crm",
            "server_url": "https://crm.example.com/mcp",
            "authorization_env": "CRM_TOKEN",
            "headers": {"X-Team": {"env": "TEAM"}},
            "allowed_tools": {"tool_names": ["find"], "read_only": True},
            "require_approval": {
                "always": {"tool_names": ["pay"], "read_only": False},
                "never": {"tool_names": ["find"], "read_only": True},
            },
            "approve": ["pay"],
            "server_description": "Customers.",
            "defer_loading": False,
            "allowed_callers": ["direct"],
        },
        {"type": "mcp", "server_label": "mail", "connector_id": "connector_gmail"},
        {"type": "mcp", "server_label": "home", "tunnel_id": "tunnel_1"},
    ],
    "tool_choice": {"type": "mcp", "server_label": "crm", "name": "find"},
    "parallel_tool_calls": False,
    "max_output_tokens": "inf",
    "reasoning": {"effort": "low"},
    "truncation": {
        "type": "retention_ratio",
        "retention_ratio": 0.8,
        "token_limits": {"post_instructions": 5000},
    },
    "tracing": {"workflow_name": "calls", "group_id": "a", "metadata": {"b": 1}},
    "include": ["item.input_audio_transcription.logprobs"],
    "prompt": {"id": "pmpt_1", "version": "2", "variables": {"city": "Ulm"}},
}
"""A template with every field that GA has (of unions: with its longest member)."""

OURS = {
    "temperature": "the beta's",
    "tools[].approve[]": "the bridge's own answer to the service's question",
    "tools[].authorization_env": "names the variable with what is sent as authorization",
    "tools[].headers{}.env": "likewise, of a header",
    "tools[].headers{}.file": "likewise",
}
"""Fields of ours that are none of GA's, and what they are."""

FUNCTIONS = "which the bridge runs"
LISTED = {
    "type": "always `realtime`",
    "model": "the arm's `model`",
    "instructions": "agent.instructions",
    "audio.input.format.type": "24 kHz PCM",
    "audio.input.format.rate": "24 kHz PCM",
    "audio.output.format.type": "24 kHz PCM",
    "audio.output.format.rate": "24 kHz PCM",
    "tools[].authorization": "authorization_env",
    "tools[].name": FUNCTIONS,
    "tools[].description": FUNCTIONS,
    "tools[].parameters": FUNCTIONS,
}
"""Fields of GA's that no template may have, and words of the reason that is given."""


OFFICIAL = paths(GA_SESSION)
SETTABLE = paths(SessionTemplate)


def is_settable(path: str) -> bool:
    """Whether a template has the field, has it in parts, or passes what is around it unread."""
    above = (path[: at + len("{}")] for at in range(len(path)) if path[at:].startswith("{}"))
    in_parts = any(each.startswith((f"{path}.", f"{path}{{}}")) for each in SETTABLE)
    return path in SETTABLE or in_parts or any(each in SETTABLE for each in above)


def unsettable(official: Iterable[str]) -> list[str]:
    return sorted(path for path in official if not is_settable(path))


def test_the_walk_goes_into_unions_lists_and_mappings() -> None:
    assert len(OFFICIAL) > 60
    assert {
        "audio.input.turn_detection.eagerness",
        "tools[].require_approval.never.read_only",
        "truncation.token_limits.post_instructions",
        "prompt.variables{}.image_url",
        "tool_choice.server_label",
        "include[]",
    } <= OFFICIAL


def test_every_writable_field_of_the_official_types_is_settable_or_listed_with_its_reason() -> None:
    assert unsettable(OFFICIAL) == sorted(LISTED)


@pytest.mark.parametrize("model", models(GA_SESSION), ids=lambda model: model.__name__)
def test_field_that_the_sdk_would_add_to_any_of_its_types_is_missed(
    model: type[BaseModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(model.model_fields, "sparkle", FieldInfo(annotation=str))
    grown = paths(GA_SESSION) - OFFICIAL
    assert grown
    unread = {path for path in grown if path.startswith("prompt.variables{}.")}
    assert unsettable(grown) == sorted(grown - unread)


def test_template_has_no_field_that_the_official_types_lack() -> None:
    unread = {"tracing.metadata{}", "prompt.variables{}{}"}
    of_live = {f"delegation.{name}" for name in BackendTemplate.model_fields}
    assert {*OURS, *unread, *of_live} == SETTABLE - OFFICIAL


def test_what_is_lives_alone_is_in_lives_official_session() -> None:
    responses = (
        ResponsesDelegationConfig.model_fields.keys() | DelegationResponses.model_fields.keys()
    )
    assert BackendTemplate.model_fields.keys() <= responses


@pytest.mark.parametrize("path", LISTED)
def test_what_is_listed_is_refused_with_the_reason(path: str) -> None:
    keys = path.replace("tools[].", "").split(".")
    session: dict[str, object] = {keys[-1]: "x"}
    for key in reversed(keys[:-1]):
        session = {key: session}
    if path.startswith("tools"):
        kind = "mcp" if keys[-1] == "authorization" else "function"
        session = {"tools": [{"type": kind, **session}]}
    with pytest.raises(ValidationError) as caught:
        SessionTemplate.model_validate(session)
    assert LISTED[path] in str(caught.value)


def test_example_of_all_fields_is_one() -> None:
    """Of the fields of GA's it has all but those of other members of its unions."""
    assert (
        SessionTemplate.model_validate(WHOLE).model_dump(mode="json", exclude_unset=True) == WHOLE
    )


@pytest.mark.parametrize(
    ("session", "words"),
    [
        ({"output_modalities": ["text"]}, "text alone would not be heard"),
        ({"output_modalities": ["text", "audio"]}, "exactly one"),
        ({"audio": {"output": {"speed": 3}}}, "less than or equal to 1.5"),
        ({"audio": {"output": {"voice": {"id": "marin"}}}}, "voice_"),
        ({"audio": {"input": {"noise_reduction": {"type": "near"}}}}, "near_field"),
        ({"audio": {"input": {"turn_detection": {"type": "server"}}}}, "semantic_vad"),
        ({"audio": {"input": {"turn_detection": {"silence_duration": 1}}}}, "type"),
        ({"truncation": {"type": "retention_ratio", "retention_ratio": 2}}, "less than or equal"),
        ({"reasoning": {"effort": "none"}}, "minimal"),
        ({"tools": [{"type": "mcp", "server_label": "a"}]}, "exactly one of server_url"),
        (
            {"tools": [{"type": "mcp", "server_label": "a", "server_url": "u", "tunnel_id": "t"}]},
            "exactly one of server_url",
        ),
        (
            {
                "tools": [
                    {
                        "type": "mcp",
                        "server_label": "a",
                        "server_url": "u",
                        "authorization_env": "A",
                        "headers": {"authorization": {"env": "B"}},
                    }
                ]
            },
            "keep one",
        ),
        ({"tools": [{"type": "mcp", "server_label": "a", "tunnel_id": "t"}] * 2}, "twice: a"),
        ({"sparkle": 1}, "Extra inputs"),
        ({"voice": "marin"}, "GA's is audio.output.voice"),
        ({"turn_detection": None}, "GA's is audio.input.turn_detection"),
        ({"max_response_output_tokens": 9}, "GA's is max_output_tokens"),
        ({"tool_choice": {"type": "function", "name": "auto"}}, "rename the tool"),
        ({"tracing": {"metadata": {"since": date(2026, 1, 1)}}}, "not a valid JSON value"),
        ({"tracing": {"metadata": {"a": [{"b": math.nan}]}}}, "finite number"),
        ({"prompt": {"id": "p", "variables": {"a": {"b": b"c"}}}}, "not a valid JSON value"),
        ({"temperature": math.inf}, "finite number"),
    ],
)
def test_mistake_is_refused(session: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SessionTemplate.model_validate(session)
    assert words in str(caught.value)


def test_value_of_a_header_is_never_written_down() -> None:
    headers = {"X-Key": "hush-hush"}
    entry = {"type": "mcp", "server_label": "a", "server_url": "u", "headers": headers}
    with pytest.raises(ValidationError):
        McpTemplate.model_validate(entry)


def test_mistake_in_the_settings_has_its_line_and_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(
        "arms:\n"
        "  live:\n"
        "    url: wss://realtime.example.com/v1/realtime\n"
        "    session:\n"
        "      audio:\n"
        "        input: {format: {type: audio/pcmu}}\n"
        "      tools:\n"
        "        - {type: mcp, server_label: a, server_url: u, authorization: hush-hush}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    first, second = str(caught.value).splitlines()
    assert f"{path}:6: arms.live.session.audio.input can't have 'format': the bridge" in first
    assert "8: arms.live.session.tools[0] can't have 'authorization': a secret" in second
    assert "hush" not in str(caught.value)


def test_date_in_the_metadata_has_its_line_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(
        "arms:\n  live:\n    url: ws://x/v1/realtime\n"
        "    session: {tracing: {metadata: {since: 2026-01-01}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    words = "metadata.since has no form in JSON: YAML reads it as a date; put it in quotes"
    assert words in str(caught.value)


def test_settings_of_the_environment_keep_null_and_absence_apart(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(
        "arms: {live: {url: 'ws://x/v1/realtime',"
        " session: {audio: {input: {turn_detection: null}}}}}\n"
    )
    session = load_settings(path, {"BRIDGE_NODE": "n"}).realtime_arms["live"].session
    assert session is not None
    assert session.fields() == {"audio.input.turn_detection": None}


@pytest.mark.parametrize(
    ("session", "fields"),
    [
        ({}, {}),
        ({"audio": {"output": {"speed": 1.1}}}, {"audio.output.speed": 1.1}),
        ({"tracing": "auto"}, {"tracing": "auto"}),
        ({"tools": []}, {"tools": ()}),
        ({"prompt": {"id": "p"}}, {"prompt": {"id": "p"}}),
        (
            {"audio": {"input": {"turn_detection": {"eagerness": "low", "type": "semantic_vad"}}}},
            {
                "audio.input.turn_detection.type": "semantic_vad",
                "audio.input.turn_detection.eagerness": "low",
            },
        ),
    ],
)
def test_fields_stand_by_their_paths(
    session: dict[str, object], fields: Mapping[str, object]
) -> None:
    template = SessionTemplate.model_validate(session)
    assert template.fields() == fields
    assert SessionTemplate.model_validate(nested_fields(template.fields())) == template


def test_agent_with_other_tools_has_the_rest_of_the_template() -> None:
    template = SessionTemplate.model_validate(WHOLE)
    rest = {key: value for key, value in WHOLE.items() if key not in ("tools", "tool_choice")}
    assert template.without_tools() == SessionTemplate.model_validate(rest)


def digest_of(session: object, **fields: object) -> str:
    arm = ArmSettings.model_validate({"url": "ws://x/v1/realtime", "session": session, **fields})
    return arm.digest


def test_arms_that_differ_in_turn_detection_alone_are_two_arms() -> None:
    def asking(**turns: object) -> object:
        return {"audio": {"input": {"turn_detection": {"type": "server_vad", **turns}}}}

    sessions: tuple[object, ...] = (
        asking(silence_duration_ms=300),
        asking(silence_duration_ms=700),
        asking(),
        {"audio": {"input": {"turn_detection": None}}},
        {"audio": {"input": {}}},
    )
    digests = [digest_of(each) for each in sessions]
    assert len(set(digests)) == len(digests)
    assert digest_of(sessions[0]) == digests[0]
    assert digest_of(sessions[0], model="other") != digests[0]
