"""The filler: a soft tone in the place of silence, while the agent's voice can't be had.

It is no item of a session, so it is never truncated upstream. It repeats until something of the
agent's comes, the caller speaks, or nothing is awaited any more. In an outage, or while a tool
runs, the dialplan's phrase may be the first one: once, and nothing but the caller cuts it short.
"""

from bridge.engine.call.state import Stage
from bridge.engine.effects import PlayFiller, PlayPhrase, StopFiller
from bridge.engine.news import Speaker, TurnSpoken
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.voice.state import Filler
from bridge.realtime.ids import ItemId


def want_filler(call: CallState, after_ms: int, now_ns: int) -> Effects:
    """Have the caller hear a filler once they have heard nothing for ``after_ms``."""
    if call.supervised.talking:
        return
    call.filler_wanted = True
    if call.audible or call.filling or Timer.FILLER in call.timers:
        return
    if call.stage is not Stage.TALKING:  # nobody hears us yet
        return
    yield from call.start_timer(Timer.FILLER, max(after_ms - call.wait.waited_ms(now_ns), 0))


def on_silence_too_long(call: CallState, now_ns: int) -> Effects:
    """Play the filler, if it is still wanted."""
    if not call.filler_wanted or call.audible:
        return
    phrase = _phrase(call)
    if phrase is not None:
        call.filling = Filler.PHRASE
        yield from play_phrase(call, next_item(call), phrase, bids_wait=True)
        return
    yield from play_tone(call)


def play_tone(call: CallState, *, pause: bool = True) -> Effects:
    """Play the tone, with its pause or at once."""
    call.filling = Filler.TONE
    yield PlayFiller(pause=pause)


def drop_filler(call: CallState) -> None:
    """Forget the filler: the playout has none any more."""
    call.filling = None


def _phrase(call: CallState) -> str | None:
    """Take the phrase that stands in the place of the first tone, if there is one."""
    if call.fallback is not None:
        return None
    phrase, outage_ns = call.policy.outage_phrase, call.budget.lost_ns
    if phrase is not None and outage_ns not in (None, call.explained_ns):
        call.explained_ns = outage_ns
        return phrase
    phrase, call.tool_filler = call.tool_filler, None
    return phrase


def on_filler_over(call: CallState, now_ns: int) -> Effects:
    """Play the filler again, if it is still wanted; after a phrase, not at once."""
    over, call.filling = call.filling, None
    if over is Filler.PHRASE and call.filler_wanted:
        yield from call.start_timer(Timer.FILLER, call.policy.recovery.filler_after_ms)
    else:
        yield from on_silence_too_long(call, now_ns)


def stop_filler(call: CallState, *, cut_phrase: bool = False) -> Effects:
    """Silence the filler, or want it no more.

    Args:
        call: the call.
        cut_phrase: a phrase, too; else it is said to its end, before whatever comes.
    """
    call.filler_wanted = False
    yield from call.stop_timer(Timer.FILLER)
    if call.filling is Filler.TONE or (call.filling is Filler.PHRASE and cut_phrase):
        call.filling = None
        call.speech.sounding = None
        yield StopFiller()


def next_item(call: CallState) -> ItemId:
    """Name the next phrase; such an item is unknown to every session, so never truncated there."""
    call.speech.count += 1
    return ItemId(f"bridge_say_{call.speech.count}")


def play_phrase(call: CallState, item_id: ItemId, text: str, *, bids_wait: bool = False) -> Effects:
    """Have the caller hear a phrase, behind what is being played; PlayoutDrained ends it."""
    yield PlayPhrase(item_id, text, bids_wait)
    yield TurnSpoken(Speaker.BRIDGE, item_id, text)
