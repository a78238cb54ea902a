"""The agent's section of a dialplan: instructions, voice, turns, tools, and their policy."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bridge.config.complaints import Location
from bridge.config.parts import Part, Text
from bridge.config.secret_places import SecretPlace
from bridge.config.session_template import SemanticVadTurns, ServerVadTurns, SessionTemplate
from bridge.config.tool_templates import McpTemplate
from bridge.routing.barge_in import BargeIn
from bridge.routing.parts import MAX_PHRASE_CHARS, AtHand, Language
from bridge.routing.tools import McpServer, ToolDeclaration

_DEFAULT_SILENCE_MS = 500
_SEMANTIC_WAIT_MS = MappingProxyType({"low": 8_000, "medium": 4_000, "auto": 4_000, "high": 2_000})
"""The longest that semantic detection waits for more words (the service's reference)."""

_REPORTED_LATE_MS = 800
"""What a service may be late with the end of a turn: the filler must begin within two seconds."""


class NoTurnDetection(Part):
    """The server does not detect turns."""

    type: Literal["none"]


TurnDetection = Annotated[
    ServerVadTurns | SemanticVadTurns | NoTurnDetection, Field(discriminator="type")
]


class TranscriptionChoice(Part):
    """Transcription of the caller; without a language the agent's is taken."""

    model: Text
    language: Language | None = None


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """The part of a call's policy that its agent's own fields compile to.

    Attributes:
        greet: the agent speaks first.
        greeting_instructions: instructions of the greeting's response alone; None for the
            session's own.
        cached_greeting: said by the bridge if nothing of the agent's is heard in time; None leaves
            the greeting to the agent.
        mcp_approved: names of tools of MCP servers that may run where the server asks.
        vad_trailing_silence_ms: silence that the server includes in ``audio_end_ms`` of
            ``speech_stopped``, as the dialplan asks for it, or the documented default
            (`PROTOCOL.md` section 4); 0 for semantic and manual turns, which have no such figure.
            Taken off when the caller's last sound is put in time.
        turn_overdue_ms: from the end of a sound of the caller's, which is known 300 ms late, as
            much as network and smoothing take; by then the service has to report that the turn is
            over. Semantic detection waits by its eagerness, the other for its silence. None: it may
            take for ever.
    """

    greet: bool
    greeting_instructions: str | None
    cached_greeting: str | None
    mcp_approved: frozenset[str]
    vad_trailing_silence_ms: int
    turn_overdue_ms: int | None


class Agent(Part):
    """The agent's instructions, voice and abilities.

    Attributes:
        instructions: what the agent is told to be and do.
        language: BCP 47, like ``en`` or ``pt-BR``; of the bridge's own voice, too.
        transcription: writes down the caller's words; None: off.
        tools: what the agent may do.
        mcp_servers: tool servers that the Realtime service calls by itself (GA arms).
        max_output_tokens: longest answer; None for no limit.
        greeting: spoken first, word for word; None waits for the caller.
        greeting_by: ``model``: the model speaks it, however long that takes; ``cached``: if nothing
            of it is heard 800 ms after our answer, the bridge speaks it instead, by its own voice.
        voice: None leaves the server's default.
        turn_detection: None leaves the server's default.
        session: further fields of the Realtime session, in GA's words; the fields here win.
    """

    instructions: Text
    greeting: Text | None = None
    greeting_by: Literal["model", "cached"] = "model"
    voice: Text | None = None
    language: Language | None = None
    turn_detection: TurnDetection | None = None
    transcription: TranscriptionChoice | None = None
    tools: tuple[ToolDeclaration, ...] = ()
    mcp_servers: tuple[McpServer, ...] = ()
    barge_in: BargeIn = BargeIn()
    max_output_tokens: int | None = Field(None, ge=1, le=32_768)
    session: SessionTemplate | None = None

    @model_validator(mode="after")
    def _cached_greeting_is_short(self) -> Self:
        if self.greeting_by == "cached" and not 0 < len(self.greeting or "") <= MAX_PHRASE_CHARS:
            raise ValueError(
                "should have with 'greeting_by: cached' a 'greeting' of at most"
                f" {MAX_PHRASE_CHARS} characters"
            )
        return self

    @field_validator("tools")
    @classmethod
    def _names_differ(cls, tools: tuple[ToolDeclaration, ...]) -> tuple[ToolDeclaration, ...]:
        names = [tool.name for tool in tools]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"declares a tool twice: {', '.join(twice)}")
        return tools

    @model_validator(mode="after")
    def _one_decides(self) -> Self:
        asked = (self.turn_detection, None if self.session is None else self.session.turns)
        for turns in asked if self.barge_in.is_ours else ():
            if not isinstance(turns, ServerVadTurns | SemanticVadTurns):
                continue
            if turns.create_response is not None or turns.interrupt_response is not None:
                raise ValueError(
                    "should have 'create_response' and 'interrupt_response' only with"
                    " 'barge_in: {decided_by: service}'; else the bridge decides"
                )
        return self

    @property
    def bridge_greeting(self) -> str | None:
        """The greeting that the bridge may have to speak itself."""
        return self.greeting if self.greeting_by == "cached" else None

    @property
    def session_servers(self) -> tuple[McpTemplate, ...]:
        """The tool servers that its session template asks for."""
        return () if self.session is None else self.session.tools or ()

    def policy(self, at_hand: AtHand) -> AgentPolicy:
        """Compile what the core has to know; what could not be rendered is not said."""
        return AgentPolicy(
            greet=self.greeting is not None,
            greeting_instructions=self._greeting_instructions(),
            cached_greeting=at_hand(self.bridge_greeting),
            mcp_approved=frozenset(
                name
                for servers in (self.mcp_servers, self.session_servers)
                for each in servers
                for name in each.approve
            ),
            vad_trailing_silence_ms=self._trailing_silence_ms(),
            turn_overdue_ms=self._turn_overdue_ms(),
        )

    def _greeting_instructions(self) -> str | None:
        # The simulator speaks what stands between the first and the last quotation mark.
        return None if self.greeting is None else f'Say exactly: "{self.greeting}"'

    def _trailing_silence_ms(self) -> int:
        turns = self.turn_detection
        if isinstance(turns, SemanticVadTurns | NoTurnDetection):
            return 0
        asked_ms = None if turns is None else turns.silence_duration_ms
        return _DEFAULT_SILENCE_MS if asked_ms is None else asked_ms

    def _turn_overdue_ms(self) -> int | None:
        turns = self.turn_detection
        if isinstance(turns, NoTurnDetection):
            return None
        if isinstance(turns, SemanticVadTurns):
            return _SEMANTIC_WAIT_MS[turns.eagerness or "auto"] + _REPORTED_LATE_MS
        return self._trailing_silence_ms() + _REPORTED_LATE_MS


def secret_places(agent: Agent) -> Iterator[tuple[SecretPlace, Location]]:
    """Yield the places of secrets that an agent's tools name, and where they stand."""
    for index, tool in enumerate(agent.tools):
        if tool.webhook is not None and tool.webhook.secret_env is not None:
            place = SecretPlace(env=tool.webhook.secret_env)
            yield place, ("tools", index, "webhook", "secret_env")
    for index, server in enumerate(agent.mcp_servers):
        if server.authorization_env is not None:
            place = SecretPlace(env=server.authorization_env)
            yield place, ("mcp_servers", index, "authorization_env")
    for index, template in enumerate(agent.session_servers):
        yield from ((place, ("session", "tools", index)) for place in template.secret_places)
