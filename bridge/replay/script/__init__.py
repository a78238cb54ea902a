"""Call scripts: a caller's steps, and the expectations of the agent.

One YAML file is one call; `call_scripts/README.md` teaches the format.
"""

from bridge.replay.script.actions import (
    Action,
    After,
    Backchannel,
    HangUp,
    Hold,
    Interruption,
    KeyPresses,
    Saying,
    Silence,
    Utterance,
    Wait,
)
from bridge.replay.script.circumstances import Noise, Setup, Source, Target, ToolMock
from bridge.replay.script.document import CallScript, load_script
from bridge.replay.script.ending import Ending
from bridge.replay.script.expectations import Expectation, ExpectedTool, ExpectedTransfer
from bridge.replay.script.judge import Judge
from bridge.replay.script.persona import Persona, ScriptedReply, Temperament
from bridge.replay.script.simulated import Simulated
from bridge.replay.script.steps import Step
from bridge.replay.script.text_model import TextModel

__all__ = [
    "Action",
    "After",
    "Backchannel",
    "CallScript",
    "Ending",
    "Expectation",
    "ExpectedTool",
    "ExpectedTransfer",
    "HangUp",
    "Hold",
    "Interruption",
    "Judge",
    "KeyPresses",
    "Noise",
    "Persona",
    "Saying",
    "ScriptedReply",
    "Setup",
    "Silence",
    "Simulated",
    "Source",
    "Step",
    "Target",
    "Temperament",
    "TextModel",
    "ToolMock",
    "Utterance",
    "Wait",
    "load_script",
]
