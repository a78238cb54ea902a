"""A phrase of the bridge's own voice, put into the playout."""

from bridge.engine.effects import PlayPhrase
from bridge.engine.news import Speaker, TurnSpoken
from bridge.engine.state import CallState, Effects
from bridge.realtime.ids import ItemId


def next_item(call: CallState) -> ItemId:
    """Name the next phrase; such an item is unknown to every session, so never truncated there."""
    call.speech.count += 1
    return ItemId(f"bridge_say_{call.speech.count}")


def play_phrase(call: CallState, item_id: ItemId, text: str, *, bids_wait: bool = False) -> Effects:
    """Have the caller hear a phrase, behind what is being played; PlayoutDrained ends it."""
    yield PlayPhrase(item_id, text, bids_wait)
    yield TurnSpoken(Speaker.BRIDGE, item_id, text)
