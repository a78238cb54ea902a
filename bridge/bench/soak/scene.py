"""Sets the scene of a soak: the simulated agent, the dialplans and the arms of its gateway."""

from pathlib import Path

import yaml

from bridge.bench.parts import KEY_VARIABLE
from bridge.bench.soak.person import (
    GOODBYE,
    INTERRUPTION,
    LONG_QUESTION,
    QUESTIONS,
    TOOL_QUESTION,
)

_LONG_ANSWER = (
    "You can return anything that you bought within thirty days of delivery. Please keep the"
    " original packaging, because the warehouse needs the label on the side of the box. Print the"
    " return form, put it inside, and take the parcel to any post office."
)
_MODELS = {"ga": "gpt-realtime", "beta": "gpt-4o-realtime-preview"}


def dialplan_of(dialect: str, webhook_url: str) -> dict[str, object]:
    """Return the dialplan of the number that is called as its dialect."""
    tool = {
        "name": "lookup_invoice",
        "description": "Look up the caller's invoice.",
        "parameters": {"type": "object", "properties": {"which": {"type": "string"}}},
        "webhook": {"url": webhook_url, "allow_private": True, "timeout_s": 3},
    }
    return {
        "schema": "dialplan/v1",
        "name": dialect,
        "match": [{"called": dialect}],
        "arm": dialect,
        "agent": {
            "instructions": "Be brief.",
            "language": "en",
            "greeting": "Thanks for calling. How can I help you?",
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
            "transcription": {"model": "gpt-transcribe"},
            "tools": [tool, {"name": "end_call", "description": "Hang up."}],
        },
        "recovery": {"filler": "One moment, please."},
    }


def write_scenario(place: Path) -> Path:
    """Write an agent that understands what our callers say, and not more: it is heard faster."""
    short, hours = QUESTIONS
    scenario = {
        "name": "soak",
        "greeting": "Thanks for calling. How can I help you?",
        "fallback": "Would you say that again, please?",
        "rules": [
            {"hears": [short], "say": "Your order shipped on Monday."},
            {"hears": [hours], "say": "We are open from nine to five on weekdays."},
            {"hears": [LONG_QUESTION], "say": _LONG_ANSWER},
            {"hears": [INTERRUPTION], "say": "Sure, go ahead."},
            {
                "hears": [TOOL_QUESTION],
                "say": "One moment, I will look that up.",
                "tool": {"name": "lookup_invoice", "arguments": {"which": "latest"}},
                "then": "Your invoice is {amount} dollars.",
            },
            {"hears": [GOODBYE], "say": "Goodbye.", "tool": {"name": "end_call"}},
        ],
    }
    path = place / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
    return path


def arm_of(dialect: str, url: str) -> dict[str, object]:
    """Return the arm of a dialect."""
    return {
        "dialect": dialect,
        "url": url,
        "model": _MODELS[dialect],
        "api_key_env": KEY_VARIABLE,
    }
