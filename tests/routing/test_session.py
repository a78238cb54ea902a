import json

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bridge.config.settings import ArmSettings
from bridge.realtime.commands import UpdateSession
from bridge.realtime.dialects import DIALECTS
from bridge.realtime.session_config import (
    AudioFormat,
    FunctionTool,
    ManualTurns,
    McpTool,
    SemanticVad,
    ServerVad,
    SessionConfig,
    Transcription,
)
from bridge.routing.agent import AgentPolicy
from bridge.routing.models import Dialplan
from bridge.routing.session import read_config, session_config
from bridge.routing.session_layers import session_layers
from bridge.routing.tools import BUILT_IN
from tests.config.official_fields import BETA_SESSION, GA_SESSION, leaves, models, paths
from tests.config.test_session_template import WHOLE


def dialplan(**agent: object) -> Dialplan:
    return Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "made",
            "match": [{"called": "*"}],
            "arm": "local",
            "agent": {"instructions": "Be brief.", **agent},
        }
    )


def agent_policy(**agent: object) -> AgentPolicy:
    return dialplan(**agent).agent.policy(lambda text: text)


def test_what_is_not_said_is_not_sent() -> None:
    plan = dialplan(barge_in={"decided_by": "service"})
    assert session_config(plan) == SessionConfig(instructions="Be brief.")
    assert agent_policy().greeting_instructions is None


def test_everything_that_is_said_is_sent() -> None:
    schema = {"type": "object", "properties": {"order": {"type": "string"}}}
    config = session_config(
        dialplan(
            voice="marin",
            language="pt-BR",
            turn_detection={"type": "server_vad", "threshold": 0.4, "idle_timeout_ms": 8000},
            transcription={"model": "gpt-transcribe"},
            tools=[
                {
                    "name": "find",
                    "description": "Find an order.",
                    "parameters": schema,
                    "webhook": {"url": "https://tools.example.com/find"},
                },
                {"name": "end_call"},
            ],
            mcp_servers=[
                {
                    "label": "crm",
                    "url": "https://crm.example.com/mcp",
                    "authorization_env": "CRM_TOKEN",
                    "allowed_tools": ["find_customer"],
                }
            ],
            max_output_tokens=100,
        ),
        {"CRM_TOKEN": "secret"},
    )
    assert config == SessionConfig(
        instructions="Be brief.",
        voice="marin",
        transcription=Transcription("gpt-transcribe", "pt"),
        turn_detection=ServerVad(
            threshold=0.4, create_response=False, interrupt_response=False, idle_timeout_ms=8000
        ),
        tools=(
            FunctionTool("find", "Find an order.", schema),
            FunctionTool("end_call", *BUILT_IN["end_call"]),
            McpTool(
                "crm",
                {
                    "server_url": "https://crm.example.com/mcp",
                    "require_approval": "always",
                    "allowed_tools": ["find_customer"],
                    "authorization": "secret",
                },
            ),
        ),
        max_output_tokens=100,
    )
    assert config.input_format is config.output_format is AudioFormat.PCM_24KHZ


def test_transcription_keeps_its_own_language() -> None:
    config = session_config(dialplan(language="en", transcription={"model": "m", "language": "de"}))
    assert config.transcription == Transcription("m", "de")


def test_other_turn_detections() -> None:
    semantic = {"type": "semantic_vad", "eagerness": "low", "create_response": False}
    by_service = dialplan(turn_detection=semantic, barge_in={"decided_by": "service"})
    assert session_config(by_service).turn_detection == SemanticVad(
        eagerness="low", create_response=False
    )
    off = session_config(dialplan(turn_detection={"type": "none"}))
    assert off.turn_detection == ManualTurns()


def test_service_does_nothing_about_turns_where_the_bridge_decides() -> None:
    nothing = ServerVad(create_response=False, interrupt_response=False)
    assert session_config(dialplan()).turn_detection == nothing
    semantic = dialplan(turn_detection={"type": "semantic_vad"})
    assert session_config(semantic).turn_detection == SemanticVad(
        create_response=False, interrupt_response=False
    )


def test_two_deciders_are_refused() -> None:
    turns = {"type": "server_vad", "interrupt_response": True}
    with pytest.raises(ValidationError, match="decided_by: service"):
        dialplan(turn_detection=turns)


def test_greeting_is_to_be_said_exactly() -> None:
    assert agent_policy(greeting=' Hello "you". ').greeting_instructions == (
        'Say exactly: "Hello "you"."'
    )


@pytest.mark.parametrize(
    ("turns", "overdue_ms"),
    [
        (None, 1_300),
        ({"type": "server_vad", "silence_duration_ms": 200}, 1_000),
        ({"type": "semantic_vad"}, 4_800),
        ({"type": "semantic_vad", "eagerness": "low"}, 8_800),
        ({"type": "none"}, None),
    ],
)
def test_turns_are_overdue_when_the_service_should_have_ended_them(
    turns: dict[str, object] | None, overdue_ms: int | None
) -> None:
    assert agent_policy(turn_detection=turns).turn_overdue_ms == overdue_ms


def heard(**turn_detection: object) -> dict[str, object]:
    return {"audio": {"input": {"turn_detection": turn_detection}}}


BETA_WHOLE: dict[str, object] = {
    "audio": {
        "input": {
            "noise_reduction": {"type": "far_field"},
            "transcription": {"model": "whisper-1", "language": "en", "prompt": "Orders."},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.4,
                "prefix_padding_ms": 200,
                "silence_duration_ms": 300,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"voice": "sage", "speed": 1.25},
    },
    "tool_choice": "required",
    "max_output_tokens": 500,
    "temperature": 0.8,
    "tracing": {"workflow_name": "calls", "group_id": "a", "metadata": {"b": 1}},
}
LISTED_TOOLS: dict[str, object] = {
    "tools": [
        {"type": "mcp", "server_label": "a", "server_url": "https://a", "allowed_tools": ["find"]}
    ]
}
SENT = {
    "ga": (GA_SESSION, [WHOLE, LISTED_TOOLS, heard(type="semantic_vad", eagerness="low")]),
    "beta": (BETA_SESSION, [BETA_WHOLE, heard(type="semantic_vad", eagerness="low")]),
}
"""Dialect -> the official types of its session, and templates that have all of it together."""

IN_THE_URL = "the connection's URL has it"
OF_TOKENS = "of tokens for browsers, which the bridge asks for none of"
SILENT = {
    "ga": {"model": IN_THE_URL},
    "beta": {
        "model": IN_THE_URL,
        "client_secret.expires_after.anchor": OF_TOKENS,
        "client_secret.expires_after.seconds": OF_TOKENS,
        "client_secret.expires_at.anchor": OF_TOKENS,
        "client_secret.expires_at.seconds": OF_TOKENS,
        "include[]": "of sessions that transcribe, and a call's session talks",
    },
}
"""Dialect -> what leaves in no session.update, and why."""


def session_sent(dialect: str, template: object) -> object:
    """Return what leaves for an arm with a template and an agent with a function."""
    plan = dialplan(tools=[{"name": "end_call"}], barge_in={"decided_by": "service"})
    arm = ArmSettings.model_validate({"url": "ws://x/v1/realtime", "session": template})
    config = read_config(session_layers(plan, "live", arm), {"CRM_TOKEN": "t", "TEAM": "t"})
    return json.loads(DIALECTS[dialect]().encode(UpdateSession(config)))["session"]


def silent(dialect: str) -> set[str]:
    """Return the fields of a dialect's official types that no template's session.update has."""
    official, templates = SENT[dialect]
    sent = [session_sent(dialect, each) for each in templates]
    read = {path for path in paths(official) if not path.startswith("prompt.variables{}.")}
    return {path for path in read if not any(leaves(each, path) for each in sent)}


@pytest.mark.parametrize("dialect", SENT)
def test_every_field_of_the_official_types_leaves_or_is_listed_with_its_reason(
    dialect: str,
) -> None:
    assert silent(dialect) == set(SILENT[dialect])


@pytest.mark.parametrize("model", models(BETA_SESSION), ids=lambda model: model.__qualname__)
def test_field_that_the_sdk_would_add_to_the_betas_types_is_missed(
    model: type[BaseModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(model.model_fields, "sparkle", FieldInfo(annotation=str))
    assert {path.rpartition(".")[2] for path in silent("beta") - set(SILENT["beta"])} == {"sparkle"}
