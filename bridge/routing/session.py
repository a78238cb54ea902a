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
from bridge.routing.models import (
    Agent,
    Dialplan,
    NoTurnDetection,
    SemanticVadTurns,
    ServerVadTurns,
)
from bridge.routing.models import TurnDetection as TurnsAsked
from bridge.routing.tools import function_tool, mcp_tool

NO_SECRETS: Mapping[str, str] = MappingProxyType({})

_DEFAULT_SILENCE_MS = 500
_SEMANTIC_WAIT_MS = MappingProxyType({"low": 8_000, "medium": 4_000, "auto": 4_000, "high": 2_000})
"""The longest that semantic detection waits for more words (the service's reference)."""

_TOLD_LATE_MS = 800
"""What a service may be late with the end of a turn: the filler must begin within two seconds."""


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


def greeting_instructions(dialplan: Dialplan) -> str | None:
    """Return the instructions of the response that greets the caller.

    Returns:
        ``Say exactly: "<greeting>"`` (the simulator speaks what stands between the first and the
        last quotation mark), or None where the agent waits for the caller.
    """
    greeting = dialplan.agent.greeting
    return None if greeting is None else f'Say exactly: "{greeting}"'


def cached_greeting(dialplan: Dialplan) -> str | None:
    """Return the greeting that the bridge may have to speak itself."""
    agent = dialplan.agent
    return agent.greeting if agent.greeting_by == "cached" else None


def trailing_silence_ms(dialplan: Dialplan) -> int:
    """Return the silence that the server counts into the end of the caller's speech.

    ``audio_end_ms`` of speech_stopped includes the silence that ended the turn; it is what the
    dialplan asks for, or the documented default (`PROTOCOL.md` section 4). Semantic and manual
    turns have no such figure: 0.
    """
    turns = dialplan.agent.turn_detection
    if isinstance(turns, SemanticVadTurns | NoTurnDetection):
        return 0
    asked_ms = None if turns is None else turns.silence_duration_ms
    return _DEFAULT_SILENCE_MS if asked_ms is None else asked_ms


def turn_overdue_ms(dialplan: Dialplan) -> int | None:
    """Return how long a service may take to tell the end of a turn, from that of a sound.

    Semantic detection waits by its eagerness (`PROTOCOL.md` section 4), the other for its silence.
    A sound's end is known 300 ms late, which is as much as network and smoothing take. None: the
    service tells no ends.
    """
    turns = dialplan.agent.turn_detection
    if isinstance(turns, NoTurnDetection):
        return None
    if isinstance(turns, SemanticVadTurns):
        return _SEMANTIC_WAIT_MS[turns.eagerness or "auto"] + _TOLD_LATE_MS
    return trailing_silence_ms(dialplan) + _TOLD_LATE_MS


def _transcription(agent: Agent) -> Transcription | None:
    choice = agent.transcription
    if choice is None:
        return None
    language = choice.language or agent.language
    # The API takes ISO 639-1 (`en`), not a region (`en-GB`).
    return Transcription(choice.model, language.split("-")[0] if language else None)


def _turn_detection(agent: Agent) -> TurnDetection | None:
    """Return how turns end; the service does nothing about them where the bridge decides.

    The reasons are told in :mod:`bridge.engine.caller.barge_in`.
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
