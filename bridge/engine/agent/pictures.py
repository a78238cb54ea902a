"""Shows the model a picture: as a user's message of words and the picture.

Nothing is asked for here: whoever shows it decides whether the agent speaks of it at once.
"""

import json

from bridge.engine.news import PictureShown
from bridge.engine.state import CallState, Effects
from bridge.realtime.commands import CreateItem
from bridge.realtime.ids import ToolCallId
from bridge.realtime.items import ContentPart, Message, PartKind, Role
from bridge.realtime.pictures import Picture

_TAKES_NONE = "this voice service takes no pictures"


def show_picture(
    call: CallState,
    picture: Picture,
    words: str,
    *,
    by: str = "",
    tool_call: ToolCallId | None = None,
) -> Effects:
    """Show a picture to the model.

    Args:
        call: one whose session takes pictures; while there is none, the next one is given it.
        picture: checked.
        words: what it is, for the model.
        by: the supervisor that shows it.
        tool_call: the call of a tool that gave it.
    """
    parts = (ContentPart(PartKind.INPUT_TEXT, words), picture.part)
    yield from call.send(CreateItem(Message(Role.USER, parts)))
    yield PictureShown(picture.facts, by, tool_call)


def without_picture(output: str) -> str:
    """Return a tool's output, a JSON object, that says why its picture is not shown."""
    return json.dumps({**json.loads(output), "image": f"not shown: {_TAKES_NONE}"})
