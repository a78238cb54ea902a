"""The scenario of a simulated agent: its answers to callers, from a YAML file checked once.

A caller's sentence is matched as the recogniser heard it, never as it was meant.
"""

from collections.abc import Iterator
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from bridge.config.parts import Name
from bridge.config.yaml_source import load_yaml_model
from bridge.simulator.faults import FaultSpec
from bridge.simulator.mcp import McpCallSpec, McpServerSpec
from bridge.speech.words import words_of

_SCENARIOS = Path(__file__).parent / "scenarios"

Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


BetaSwitch = Literal["enabled", "disabled"]
ServerName = Literal["openai", "azure", "xai", "xai-old", "inworld", "qwen", "vllm-omni", "localai"]

EndsBy = Literal["error", "close", "both"]
"""What a client gets at the end of the longest session, an error ``session_expired``, close code
1001, or both. All have been seen (`PROTOCOL.md` section 1)."""

_GA = "gpt-realtime*"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ToolCallSpec(_Model):
    """A tool that the agent calls."""

    name: ToolName
    arguments: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def offered_as(self) -> str:
        """What a session calls it that offers it."""
        return self.name


class Rule(_Model):
    """One thing that callers say, and what the agent does then.

    Attributes:
        hears: the sentences, any of which the rule answers.
        say: spoken answer; with ``tool``, spoken before the call, in the same response;
            ``{pictures}`` stands for the pictures that the agent was shown, in words.
        tool: called if the session offers a tool of that name.
        mcp: called by the service itself, if the session names that MCP server.
        without_tool: spoken instead of all that where the session has no such tool, else ``say``;
            and after an MCP call that failed or was not approved.
        then: spoken once the tool has answered; ``{field}`` stands for a field of its JSON output.
    """

    hears: tuple[Sentence, ...] = Field(min_length=1)
    say: Sentence | None = None
    tool: ToolCallSpec | None = None
    mcp: McpCallSpec | None = None
    then: Sentence | None = None
    without_tool: Sentence | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.tool is not None and self.mcp is not None:
            raise ValueError("a rule has tool or mcp, not both")
        if self.say is None and self.called is None:
            raise ValueError("a rule needs say, tool or mcp")
        if self.called is None and (self.then is not None or self.without_tool is not None):
            raise ValueError("then and without_tool are for a rule with a tool, and it has none")
        return self

    @property
    def called(self) -> ToolCallSpec | McpCallSpec | None:
        """The tool, whoever runs it."""
        return self.tool or self.mcp


class Pacing(_Model):
    """How fast the agent answers.

    Attributes:
        think_ms: from the caller's last word being understood to the first delta.
        delta_ms: audio in one delta.
        speedup: how many times faster than real time the deltas come.
    """

    think_ms: int = Field(120, ge=0, le=60_000)
    delta_ms: int = Field(100, ge=20, le=1000)
    speedup: float = Field(8.0, ge=1, le=1000)


class Models(_Model):
    """The models that each dialect has, as patterns with ``*``.

    Attributes:
        shutdown_dates: what ``GET /v1/models`` lists: models, and the first day without them;
            None: for ever, as a local server keeps them.
    """

    beta: tuple[str, ...] = ("gpt-4o-realtime-preview*", "gpt-4o-mini-realtime-preview*", _GA)
    ga: tuple[str, ...] = (_GA,)
    live: tuple[str, ...] = ("gpt-live*",)
    shutdown_dates: dict[str, date | None] = Field(
        {"gpt-realtime-2.1": None, "gpt-realtime": None, "gpt-live-1": None}
    )


class DoorSpec(_Model):
    """Where the server is, and what it demands of every request.

    Attributes:
        path: of the Realtime API's WebSocket; tokens are beneath it, the list of models and
            GPT-Live's ``live/sessions`` beside it.
        auth: how a key comes: as a bearer, behind `Basic`, or in a header or a parameter of the
            query by ``name``. Tokens always come as bearers.
        headers, query: name -> pattern of a value, with ``*``, without which a request gets 401.
        model_parameter: of the query, that the model comes by.
        refuses_at_upgrade: an unknown key gets 401 in the place of an error event, as Azure does
            (`PROTOCOL.md` section 1).
    """

    path: str = Field("/v1/realtime", pattern=r"^(/[a-z0-9-]+)*/realtime$")
    auth: Literal["bearer", "basic", "header", "query"] = "bearer"
    name: str = "api-key"
    headers: dict[str, str] = Field(default_factory=dict)
    query: dict[str, str] = Field(default_factory=dict)
    model_parameter: str = "model"
    refuses_at_upgrade: bool = False


class SessionLimit(_Model):
    """How long a session may last.

    Attributes:
        lifetime_s: seconds; None for what the real service gives, 30 minutes in the beta and 60 in
            GA (and in GPT-Live, where it is not known).
        told_by: what the client gets then, but in GPT-Live, which says ``session.closed``.
        token_lifetime_s: seconds that a token is good for, however long was asked for; None for
            what was. A session lives on after the end of its token; a new one needs another.
        no_audio_s: a GPT-Live session that gets no audio at all ends after so many seconds
            (`PROTOCOL.md` section 11).
        usage_every_s: how often a GPT-Live session reports its usage.
        context_s: how many seconds of a GPT-Live session fill its context; made up.
    """

    lifetime_s: float | None = Field(None, gt=0, le=86_400)
    token_lifetime_s: int | None = Field(None, ge=1, le=7_200)
    told_by: EndsBy = "both"
    no_audio_s: float = Field(30, gt=0, le=86_400)
    usage_every_s: float = Field(15, gt=0, le=86_400)
    context_s: float = Field(800, gt=0)


class Scenario(_Model):
    """One simulated agent.

    Attributes:
        voice: an espeak-ng voice.
        greeting: said when a response is asked for before the caller has said anything.
        fallback: said when nothing was understood.
        idle: said to a caller who stays silent for ``idle_timeout_ms``; else ``fallback``.
        pronunciations: word -> ARPABET, for words of ``hears`` that the dictionary lacks.
        keys: API keys that are taken; ``*`` stands for anything.
        mcp_servers: what can be reached of the MCP servers that a session names.
        beta: whether the beta dialect is still there.
        flavour: the server that it speaks as (:mod:`bridge.simulator.flavours`).
        door: what is demanded of requests, the flavour's own where nothing is; its path
            is the one at the start.
        faults: what goes wrong, from the start (:mod:`bridge.simulator.faults`).
    """

    name: Name
    voice: str = "en-us+f3"
    words_per_minute: int = Field(165, ge=80, le=450)
    greeting: Sentence
    rules: tuple[Rule, ...]
    fallback: Sentence
    idle: Sentence | None = None
    pronunciations: dict[str, str] = Field(default_factory=dict)
    pacing: Pacing = Pacing()
    keys: tuple[str, ...] = ("sk-sim*",)
    mcp_servers: tuple[McpServerSpec, ...] = ()
    beta: BetaSwitch = "enabled"
    flavour: ServerName = "openai"
    door: DoorSpec = DoorSpec()
    models: Models = Models()
    session: SessionLimit = SessionLimit()
    faults: tuple[FaultSpec, ...] = ()

    @model_validator(mode="after")
    def _hears_each_sentence_once(self) -> Self:
        if not self.rules:
            raise ValueError("rules is empty: the agent would understand nothing")
        first: dict[tuple[str, ...], str] = {}
        for phrase in self.phrases:
            words = words_of(phrase)
            if words in first:
                raise ValueError(f"two rules hear the same sentence: '{phrase}'")
            first[words] = phrase
        return self

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """Everything that a caller may say."""
        return tuple(phrase for rule in self.rules for phrase in rule.hears)

    def sentences(self) -> Iterator[str]:
        """Yield everything that the agent may say and that is known beforehand."""
        yield self.greeting
        yield self.fallback
        if self.idle is not None:
            yield self.idle
        for rule in self.rules:
            for sentence in (rule.say, rule.then, rule.without_tool):
                if sentence is not None and "{" not in sentence:
                    yield sentence

    def rule_for(self, text: str) -> Rule | None:
        """Return the rule that hears exactly these words, if any."""
        words = words_of(text)
        return next(
            (
                rule
                for rule in self.rules
                if any(words_of(phrase) == words for phrase in rule.hears)
            ),
            None,
        )


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ConfigError: with file and line.
    """
    return load_yaml_model(path, Scenario)


def default_scenario() -> Scenario:
    """Read the support line that comes with the package."""
    return load_scenario(_SCENARIOS / "support.yaml")
