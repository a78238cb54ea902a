"""Lays the settings of a call's session over each other, field by field. Pure.

From the lowest to the highest:

    arms.NAME.session    the arm's template
    arms.NAME.voice
    agent.session        the dialplan's template
    agent's own fields   instructions, voice, turn_detection, transcription, tools, ...
    agent.language       of the transcription, unless agent.transcription or `languages` says it
    agent.barge_in       who answers the caller and stops the agent, where the bridge decides it

A field is its path in GA's session object. Of two objects that both stand by their fields (turn
detection, transcription, ...) each field is decided by itself, unless their types differ: then the
higher one stands alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bridge.config.session_template import (
    TOOL,
    SemanticVadTurns,
    ServerVadTurns,
    SessionFields,
    SessionTemplate,
    nested_fields,
)
from bridge.config.settings import ArmSettings
from bridge.realtime.flavours import FLAVOURS
from bridge.routing.agent import Agent, NoTurnDetection, TranscriptionChoice, TurnDetection
from bridge.routing.models import Dialplan
from bridge.routing.tools import function_tool

TURNS = "audio.input.turn_detection"
TRANSCRIPTION = "audio.input.transcription"
VOICE = "audio.output.voice"
BY_SERVICE = ("create_response", "interrupt_response")
"""Of turn detection: what the service may do about the caller's turns."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A field's value, and the place where it is written.

    Attributes:
        value: as in a template; a tool of the bridge's own is a
            :class:`~bridge.realtime.session_config.FunctionTool`.
        source: ``arms.live.session``, ``agent.session``, ``agent.voice``.
    """

    value: object
    source: str

    @property
    def is_of_a_template(self) -> bool:
        """Whether a session template asks for it."""
        return self.source.endswith(".session")


Layers = Mapping[str, Setting]
"""The fields of a session by their paths."""


def session_layers(dialplan: Dialplan, name: str = "", arm: ArmSettings | None = None) -> Layers:
    """Return what a call's session is asked to be, and who asks for each field.

    Args:
        dialplan: as it is for calls that are treated so (:func:`bridge.routing.modes.during`).
        name: of the arm; ``arm``: its settings. None where :func:`on_arm` has laid them into the
            dialplan.
    """
    dialplan = dialplan if arm is None else _decided(dialplan, arm)
    agent = dialplan.agent
    merged = {} if arm is None else {**arm_layers(name, arm)}
    _lay_template(merged, agent.session, "agent.session")
    for source, fields in _own_fields(dialplan):
        _lay(merged, fields, f"agent.{source}")
    _lay(merged, _spoken_language(agent, merged), "agent.language")
    if agent.barge_in.is_ours and TURNS not in merged:
        if f"{TURNS}.type" not in merged:
            _lay(merged, {f"{TURNS}.type": "server_vad"}, "agent.barge_in")
        _lay(merged, {f"{TURNS}.{each}": False for each in BY_SERVICE}, "agent.barge_in")
    return merged


def arm_layers(name: str, arm: ArmSettings) -> Layers:
    """Return what an arm's settings alone ask for."""
    merged: dict[str, Setting] = {}
    _lay_template(merged, arm.session, f"arms.{name}.session")
    _lay(merged, {} if arm.voice is None else {VOICE: arm.voice}, f"arms.{name}.voice")
    return merged


def is_asked_for(layers: Layers, path: str) -> bool:
    """Return whether a field is asked for: null takes back what a lower layer asks for."""
    return path in layers and layers[path].value is not None


def on_arm(dialplan: Dialplan, arm: ArmSettings) -> Dialplan:
    """Return a dialplan as it is for calls on an arm: with the arm's template in its own.

    Its agent's turn detection and transcription are those that the session will have, so that
    whatever depends on them (overdue turns, emergency words) goes by what is in force.
    """
    dialplan = _decided(dialplan, arm)
    if arm.session is None and dialplan.agent.session is None:
        return dialplan
    templates: dict[str, Setting] = {}
    _lay_template(templates, arm.session, "")
    _lay_template(templates, dialplan.agent.session, "")
    agent = dialplan.agent.model_copy(
        update={"session": SessionTemplate.model_validate(nested_fields(_values(templates)))}
    )
    laid = dialplan.model_copy(update={"agent": agent})
    fields = nested_fields(_values(session_layers(laid)))
    heard = fields.get("audio", {}).get("input") or {}
    in_force = {
        "turn_detection": _turns_in_force(agent, heard),
        "transcription": _transcription_in_force(heard),
    }
    return laid.model_copy(update={"agent": agent.model_copy(update=in_force)})


def _decided(dialplan: Dialplan, arm: ArmSettings) -> Dialplan:
    """Leave the caller's turns to a server that leaves them to nobody, if nobody is named."""
    agent = dialplan.agent
    named = "decided_by" in agent.barge_in.model_fields_set
    if named or not FLAVOURS[arm.flavour].answers_by_itself:
        return dialplan
    barge_in = agent.barge_in.model_copy(update={"decided_by": "service"})
    decided = agent.model_copy(update={"barge_in": barge_in})
    return dialplan.model_copy(update={"agent": decided})


def _values(layers: Layers) -> SessionFields:
    return {path: setting.value for path, setting in layers.items()}


def _lay_template(
    merged: dict[str, Setting], template: SessionTemplate | None, source: str
) -> None:
    _lay(merged, {} if template is None else template.fields(), source)


def _lay(merged: dict[str, Setting], fields: SessionFields, source: str) -> None:
    for path, value in fields.items():
        for other in [each for each in merged if _gives_way(each, path, value, merged)]:
            del merged[other]
        merged[path] = Setting(value, source)


def _gives_way(other: str, path: str, value: object, merged: Layers) -> bool:
    """Return whether a field can't stand beside one that is laid over it."""
    if other.startswith(f"{path}.") or path.startswith(f"{other}."):
        return True  # an object over a plain value, or the other way round
    if "tools" in (path, other):
        return (path.startswith("tools") and other.startswith(TOOL)) or path.startswith(TOOL)
    above, _, last = path.rpartition(".")
    typed = last == "type" and path in merged and merged[path].value != value
    return typed and other.startswith(f"{above}.")


def _own_fields(dialplan: Dialplan) -> Iterator[tuple[str, SessionFields]]:
    agent = dialplan.agent
    yield "instructions", {"instructions": agent.instructions}
    if agent.voice is not None:
        yield "voice", {VOICE: agent.voice}
    yield "turn_detection", _turn_fields(agent.turn_detection)
    yield "transcription", _transcription_fields(agent.transcription)
    targets, digits = tuple(dialplan.handoff.targets), tuple(dialplan.keypad.digits)
    functions = (function_tool(tool, targets, digits) for tool in agent.tools)
    yield "tools", {f"{TOOL}function {each.name}]": each for each in functions}
    yield "mcp_servers", {f"{TOOL}mcp {each.label}]": each.entry() for each in agent.mcp_servers}
    if agent.max_output_tokens is not None:
        yield "max_output_tokens", {"max_output_tokens": agent.max_output_tokens}


def _turn_fields(turns: TurnDetection | None) -> SessionFields:
    if turns is None:
        return {}
    if isinstance(turns, NoTurnDetection):
        return {TURNS: None}
    written = turns.model_dump(exclude_none=True)
    return {f"{TURNS}.{key}": value for key, value in written.items()}


def _transcription_fields(choice: TranscriptionChoice | None) -> SessionFields:
    if choice is None:
        return {}
    language = {} if choice.language is None else {"language": _iso_639(choice.language)}
    return {
        f"{TRANSCRIPTION}.{key}": each for key, each in {"model": choice.model, **language}.items()
    }


def _spoken_language(agent: Agent, merged: Layers) -> SessionFields:
    said = agent.transcription is not None and agent.transcription.language is not None
    transcribed = is_asked_for(merged, f"{TRANSCRIPTION}.model")
    listed = is_asked_for(merged, f"{TRANSCRIPTION}.languages")
    if agent.language is None or said or not transcribed or listed:
        return {}
    return {f"{TRANSCRIPTION}.language": _iso_639(agent.language)}


def _iso_639(language: str) -> str:
    # The API takes ISO 639-1 (`en`), not a region (`en-GB`).
    return language.split("-", maxsplit=1)[0]


def _turns_in_force(agent: Agent, heard: Mapping[str, object]) -> TurnDetection | None:
    if "turn_detection" not in heard:
        return None
    turns = heard["turn_detection"]
    if not isinstance(turns, dict):
        return NoTurnDetection(type="none")
    if agent.barge_in.is_ours:
        turns = {key: value for key, value in turns.items() if key not in BY_SERVICE}
    kind = SemanticVadTurns if turns["type"] == "semantic_vad" else ServerVadTurns
    return kind.model_validate(turns)


def _transcription_in_force(heard: Mapping[str, object]) -> TranscriptionChoice | None:
    transcription = heard.get("transcription")
    if not isinstance(transcription, dict) or transcription.get("model") is None:
        return None
    return TranscriptionChoice.model_construct(
        model=transcription["model"], language=transcription.get("language")
    )
