"""What the bridge itself says: phrases that were rendered before the call.

They are played like the agent's audio, are no items of any session, and stand in the transcript as
the bridge's.
"""

from bridge.engine.effects import PlayPhrase, Speaker, TurnSpoken
from bridge.engine.state import CallState, Effects
from bridge.realtime.ids import ItemId


def say(call: CallState, text: str) -> Effects:
    """Have the caller hear a phrase, behind what is being played; PlayoutDrained ends it."""
    call.said += 1
    item_id = ItemId(f"bridge_say_{call.said}")
    yield PlayPhrase(item_id, text)
    yield TurnSpoken(Speaker.BRIDGE, item_id, text)
