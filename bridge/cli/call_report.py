"""Prints a call for `bridge call`: events while it goes on, the result at its end."""

from typing import assert_never

import click

from bridge.replay.call.timeline import SpokenTurn
from bridge.replay.persona.outcome import PersonaOutcome
from bridge.replay.results.call import CallOutcome, CallResult
from bridge.softphone.events import (
    AgentSpeech,
    CallProgress,
    Held,
    KeysPressed,
    PhoneEvent,
    Spoke,
)

_STATES = {
    "calling": "calling",
    "early": "ringing",
    "confirmed": "answered",
    "disconnected": "ended",
}


def event_fields(event: PhoneEvent) -> dict[str, object]:
    """Return an event as JSON values: ``event`` (a name), ``at_ms`` (since the answer), more."""
    match event:
        case CallProgress():
            name = _STATES[event.state]
            return {"event": name, "at_ms": event.at_ms, "sip_code": event.sip_code}
        case AgentSpeech():
            name = "agent_started" if event.started else "agent_stopped"
            return {"event": name, "at_ms": event.at_ms}
        case Spoke():
            name = "caller_started" if event.started else "caller_stopped"
            return {"event": name, "at_ms": event.at_ms, "text": event.text}
        case KeysPressed():
            return {"event": "keys_pressed", "at_ms": event.at_ms, "digits": event.digits}
        case Held():
            return {"event": "held" if event.held else "resumed", "at_ms": event.at_ms}
        case _:
            assert_never(event)


def print_event(event: PhoneEvent, *, to_stderr: bool) -> None:
    """Print an event as a line for people."""
    click.echo(f"{event.at_ms / 1000:7.2f} s  {_phrase(event)}", err=to_stderr)


def print_result(result: CallResult) -> None:
    """Print what came of a call as lines for people."""
    if result.outcome is not CallOutcome.ANSWERED:
        click.echo(f"{result.outcome.value.replace('_', ' ')} (SIP {result.sip_code})")
        return
    if result.turns:
        click.echo()
    for turn in result.turns:
        click.echo(_turn_line(turn))
    click.echo()
    for interruption in result.interruptions:
        click.echo(
            f"interrupted at {interruption.at_ms / 1000:.2f} s: {_stop(interruption.stop_ms)}"
        )
    click.echo(
        f"{result.duration_ms / 1000:.1f} s, answered after {result.answered_after_ms} ms, "
        f"the agent was heard for {result.agent_heard_ms / 1000:.1f} s, "
        f"the {result.ended_by} hung up"
    )
    if result.recording is not None:
        click.echo(f"recording: {result.recording}")
    if result.persona is not None:
        click.echo(_persona_line(result.persona))
    for check in result.broken:
        click.echo(f"broken: {check}")
    for check in result.undecided:
        click.echo(f"undecided: {check}")
    if result.checks:
        met = len(result.checks) - len(result.broken) - len(result.undecided)
        click.echo(f"{met} of {len(result.checks)} expectations met")


def _phrase(event: PhoneEvent) -> str:
    match event:
        case CallProgress():
            code = f" (SIP {event.sip_code})" if event.sip_code else ""
            return _STATES[event.state] + code
        case AgentSpeech():
            return "agent speaks" if event.started else "agent is quiet"
        case Spoke():
            return f"caller: {event.text}" if event.started else "caller is quiet"
        case KeysPressed():
            return f"keys {event.digits}"
        case Held():
            return "on hold" if event.held else "off hold"
        case _:
            assert_never(event)


def _turn_line(turn: SpokenTurn) -> str:
    span = f"{turn.start_ms / 1000:6.2f}-{turn.end_ms / 1000:6.2f} s"
    text = "(speech)" if turn.text is None else turn.text
    latency = "" if turn.latency_ms is None else f"  [after {turn.latency_ms} ms]"
    return f"{span}  {turn.speaker:6}  {text}{latency}"


def _persona_line(persona: PersonaOutcome) -> str:
    why = f" ({persona.why})" if persona.why else ""
    cost = "" if persona.cost_usd is None else f", about {persona.cost_usd:.4f} USD"
    stopped = persona.stopped.value.replace("_", " ")
    return f"persona: {stopped}{why}; {persona.model}, {persona.tokens} tokens{cost}"


def _stop(stop_ms: int | None) -> str:
    if stop_ms is None:
        return "the agent was not heard to stop"
    return f"the agent fell silent after {stop_ms} ms"
