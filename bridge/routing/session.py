"""Builds the settings of a call's Realtime session from its dialplan."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import assert_never

from bridge.realtime.session_config import (
    ManualTurns,
    SemanticVad,
    ServerVad,
    SessionConfig,
    Transcription,
    TurnDetection,
)
from bridge.routing.agent import Agent, NoTurnDetection, SemanticVadTurns, ServerVadTurns
from bridge.routing.agent import TurnDetection as TurnsAsked
from bridge.routing.models import Dialplan
from bridge.routing.tools import function_tool, mcp_tool

NO_SECRETS: Mapping[str, str] = MappingProxyType({})


def session_config(dialplan: Dialplan, secrets: Mapping[str, str] = NO_SECRETS) -> SessionConfig:
    """Build the session settings for a call on this dialplan; audio is 24 kHz PCM both ways.

    Args:
        dialplan: the call's.
        secrets: environment variable to value, for the tool servers that need a token.
    """
    agent = dialplan.agent
    return SessionConfig(
        instructions=agent.instructions,
        voice=agent.voice,
        transcription=_transcription(agent),
        turn_detection=_turn_detection(agent),
        tools=(
            *(
                function_tool(tool, tuple(dialplan.handoff.targets), tuple(dialplan.keypad.digits))
                for tool in agent.tools
            ),
            *(
                mcp_tool(server, secrets.get(server.authorization_env or ""))
                for server in agent.mcp_servers
            ),
        ),
        max_output_tokens=agent.max_output_tokens,
    )


def _transcription(agent: Agent) -> Transcription | None:
    choice = agent.transcription
    if choice is None:
        return None
    language = choice.language or agent.language
    # The API takes ISO 639-1 (`en`), not a region (`en-GB`).
    return Transcription(choice.model, language.split("-")[0] if language else None)


def _turn_detection(agent: Agent) -> TurnDetection | None:
    """Return how turns end; the service does nothing about them where the bridge decides.

    The reasons stand in :mod:`bridge.engine.caller.barge_in`.
    """
    detection = _asked_detection(agent.turn_detection)
    if not agent.barge_in.is_ours:
        return detection
    match detection:
        case None:
            return ServerVad(create_response=False, interrupt_response=False)
        case ServerVad() | SemanticVad():
            return replace(detection, create_response=False, interrupt_response=False)
        case _:
            return detection


def _asked_detection(turns: TurnsAsked | None) -> TurnDetection | None:
    match turns:
        case None:
            return None
        case ServerVadTurns():
            return ServerVad(
                threshold=turns.threshold,
                prefix_padding_ms=turns.prefix_padding_ms,
                silence_duration_ms=turns.silence_duration_ms,
                create_response=turns.create_response,
                interrupt_response=turns.interrupt_response,
                idle_timeout_ms=turns.idle_timeout_ms,
            )
        case SemanticVadTurns():
            return SemanticVad(
                eagerness=turns.eagerness,
                create_response=turns.create_response,
                interrupt_response=turns.interrupt_response,
            )
        case NoTurnDetection():
            return ManualTurns()
        case _:
            assert_never(turns)
