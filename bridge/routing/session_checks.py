"""Finds what is wrong with the sessions that templates ask for, before any call is taken. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from bridge.config.rollouts import RolloutSettings
from bridge.config.session_template import TOOL
from bridge.config.settings import ArmSettings
from bridge.errors import ConfigError
from bridge.realtime.dialects import dialect_of
from bridge.realtime.flavour import PLAIN, Flavour
from bridge.realtime.flavours import FLAVOURS
from bridge.realtime.session_config import AudioFormat
from bridge.routing.models import Dialplan
from bridge.routing.session import GA_PATHS, read_config
from bridge.routing.session_layers import (
    BY_SERVICE,
    TRANSCRIPTION,
    TURNS,
    Layers,
    arm_layers,
    is_asked_for,
    session_layers,
)

PROMPTS_END = date(2026, 11, 30)
"""First day without stored prompts (`PROTOCOL.md`, section "Status you must know first")."""

Problem = tuple[str, str]
"""A field's path, and why it can't be asked for."""


def arms_of(dialplan: Dialplan, rollouts: Mapping[str, RolloutSettings]) -> tuple[str, ...]:
    """Return the arms that a dialplan's calls may get; with a flag the old one first."""
    if dialplan.rollout is not None:
        return rollouts[dialplan.rollout].arms
    return () if dialplan.arm is None else (dialplan.arm,)


def _with_session(
    dialplan: Dialplan, arms: Mapping[str, ArmSettings], rollouts: Mapping[str, RolloutSettings]
) -> tuple[str, ...]:
    """Return those of a dialplan's arms that have a Realtime session."""
    return tuple(name for name in arms_of(dialplan, rollouts) if name in arms)


def check_sessions(
    dialplans: Sequence[Dialplan],
    arms: Mapping[str, ArmSettings],
    rollouts: Mapping[str, RolloutSettings],
) -> None:
    """Check that what templates ask for can be asked for, on each arm that it may be asked on.

    Args:
        dialplans: whose arms and flags are there (:func:`bridge.routing.matching.check_arms`).
        arms: those with a Realtime session.

    Raises:
        ConfigError: naming the field, where it is written, the arm and the reason.
    """
    for name, arm in arms.items():
        layers = arm_layers(name, arm)
        for path, why in _unsayable(layers, arm):
            raise _complaint(None, name, layers, path, why)
    for dialplan in dialplans:
        for name in _with_session(dialplan, arms, rollouts):
            for field, why, remedy in _beyond(dialplan, FLAVOURS[arms[name].flavour]):
                raise dialplan.complain(
                    f"agent.{field} can't be on arm '{name}' (flavour {arms[name].flavour}): {why}",
                    ("agent", field),
                    remedy=remedy,
                )
            layers = session_layers(dialplan, name, arms[name])
            for path, why in _problems(dialplan, layers, arms[name]):
                raise _complaint(dialplan, name, layers, path, why)


def session_warnings(
    dialplans: Sequence[Dialplan],
    arms: Mapping[str, ArmSettings],
    rollouts: Mapping[str, RolloutSettings],
) -> Iterator[str]:
    """Yield what an operator should know of sessions that can be asked for all the same."""
    for name, arm in arms.items():
        for command, why in FLAVOURS[arm.flavour].not_taken.items():
            yield (
                f"arm {name}: a server of flavour {arm.flavour} is not sent"
                f" {command.__name__}: {why}"
            )
        yield from _unnamed_rates(name, arm)
    for dialplan in dialplans:
        names = _with_session(dialplan, arms, rollouts)
        for name in names:
            why = FLAVOURS[arms[name].flavour].answers_by_itself
            barge_in = dialplan.agent.barge_in
            if why and barge_in.is_ours and barge_in.model_fields_set:
                yield (
                    f"dialplan {dialplan.name} on arm {name}: agent.barge_in does not say when the"
                    f" agent stops, for the service decides: {why}"
                )
            prompt = session_layers(dialplan, name, arms[name]).get("prompt")
            if prompt is not None and prompt.value is not None:
                yield (
                    f"dialplan {dialplan.name} on arm {name}: {prompt.source}.prompt names a stored"
                    f" prompt, and the service has none from {PROMPTS_END} on: write"
                    " agent.instructions"
                )
        if len(names) > 1 and _differ_in_vain(dialplan, [arms[name] for name in names]):
            yield (
                f"dialplan {dialplan.name}: the arms {' and '.join(names)} differ in their session"
                " alone, and not for its calls: agent.session and the agent's own fields stand"
                " above the arms'"
            )


def _unnamed_rates(name: str, arm: ArmSettings) -> Iterator[str]:
    """Warn of audio whose rate the beta can't name, but where a flavour vouches for its server."""
    if arm.dialect != "beta" or arm.flavour != PLAIN.name:
        return
    formats = arm.audio_formats
    for verb, audio in (("heard", formats.input), ("spoken", formats.output)):
        if audio.is_pcm and audio is not AudioFormat.PCM_24KHZ:
            yield (
                f"arm {name}: audio {audio} is {verb} as `pcm16`, which names no rate in the beta,"
                " and is 24 kHz by its specification: a server that doesn't work at"
                f" {audio.rate_hz // 1000} kHz by itself takes it at the wrong speed, without an"
                " error; write audio: pcm24k, pcmu or pcma"
            )


def _differ_in_vain(dialplan: Dialplan, arms: Sequence[ArmSettings]) -> bool:
    without = [arm.model_copy(update={"session": None}) for arm in arms]
    asked = [read_config(session_layers(dialplan, "", arm)) for arm in arms]
    return all(each == without[0] for each in without) and all(each == asked[0] for each in asked)


def _beyond(dialplan: Dialplan, flavour: Flavour) -> Iterator[tuple[str, str, str]]:
    """Yield what an agent is to do that a server can't: its field, the reason, the remedy."""
    agent = dialplan.agent
    decides = agent.barge_in.is_ours and "decided_by" in agent.barge_in.model_fields_set
    if flavour.answers_by_itself and decides:
        yield "barge_in", flavour.answers_by_itself, "write barge_in: {decided_by: service}"
    if flavour.answers_audio_alone and agent.greeting is not None and agent.greeting_by == "model":
        yield "greeting", flavour.answers_audio_alone, "write greeting_by: cached, or take it out"


def _problems(dialplan: Dialplan, layers: Layers, arm: ArmSettings) -> Iterator[Problem]:
    yield from _unsayable(layers, arm)
    yield from _deciders(dialplan, arm)
    described = [
        path
        for path in layers
        if path.startswith(f"{TRANSCRIPTION}.") and is_asked_for(layers, path)
    ]
    if described and not is_asked_for(layers, f"{TRANSCRIPTION}.model"):
        yield described[0], "nothing names the transcription's model"
    choice = layers.get("tool_choice")
    if choice is not None and isinstance(choice.value, dict):
        kind = choice.value["type"]
        wanted = choice.value["name" if kind == "function" else "server_label"]
        if f"{TOOL}{kind} {wanted}]" not in layers:
            yield "tool_choice", f"the agent has no {kind} '{wanted}'"


def _deciders(dialplan: Dialplan, arm: ArmSettings) -> Iterator[Problem]:
    turns = None if arm.session is None else arm.session.turns
    if dialplan.agent.barge_in.is_ours and turns is not None:
        for each in BY_SERVICE:
            if getattr(turns, each) is not None:
                why = f"the bridge decides it on calls of dialplan {dialplan.name}, which lacks"
                yield f"{TURNS}.{each}", f"{why} `barge_in: {{decided_by: service}}`"


def _unsayable(layers: Layers, arm: ArmSettings) -> Iterator[Problem]:
    """Yield fields of templates that the arm's dialect can't say.

    What a dialplan says in its own words is left out instead, with a warning: the same dialplan
    may be for arms of both dialects.
    """
    dialect = dialect_of(arm.dialect, arm.flavour, arm.takes)
    for name, why in dialect.unsupported(read_config(layers)).items():
        setting, _, inner = name.partition(".")
        path = GA_PATHS.get(setting, "")
        path = f"{path}.{inner}" if inner else path
        for each, asked in layers.items():
            is_tool = setting.startswith("tools") and each.startswith(f"{TOOL}mcp ")
            # An agent without the bridge's own tools is another one: a warning is not enough.
            is_lost = setting == "tools" and each.startswith(f"{TOOL}function ")
            named = is_tool or each == path or each.startswith(f"{path}.")
            if is_lost or (asked.is_of_a_template and named):
                yield each, f"{why} (the arm's dialect is {dialect.name}{_of(arm)})"


def _of(arm: ArmSettings) -> str:
    return "" if arm.flavour == PLAIN.name else f", its flavour {arm.flavour}"


def _complaint(
    dialplan: Dialplan | None, arm: str, layers: Layers, path: str, why: str
) -> ConfigError:
    """Return the error about a field, at its place: the arm's settings or the dialplan's file."""
    source = layers[path].source if path in layers else ""
    if dialplan is not None and source == "agent.tools":
        name = path.removeprefix(f"{TOOL}function ").removesuffix("]")
        return dialplan.complain(
            f"the agent's tool '{name}' can't be offered on arm '{arm}': {why}",
            ("agent", "tools"),
            remedy=f"write arms.{arm}.session.delegation.model",
        )
    if dialplan is not None and source == "agent.session":
        return dialplan.complain(
            f"agent.session.{path} can't be asked for on arm '{arm}': {why}",
            ("agent", "session", *path.split(".")),
            remedy="take it out, or write it in the session of those arms that can",
        )
    return ConfigError(f"arms.{arm}.session.{path} can't be asked for: {why}", remedy="take it out")
