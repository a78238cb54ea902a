"""The caller asks for a person, by key or in words, and gets one: always, and at once.

Nobody has to be persuaded: the agent is cut, and the handing over begins, to the dialplan's first
target or else to its fallback's (:mod:`bridge.engine.handoff.transfer`). Where there is nobody, the
caller is told so. A failure comes back to the agent.
"""

from dataclasses import replace

from bridge.engine.agent.requests import request_response
from bridge.engine.caller.interruption import hush
from bridge.engine.handoff.human import NoHumanError, human_wanted
from bridge.engine.handoff.transfer import want_handoff
from bridge.engine.keypad.collecting import abandon_collection
from bridge.engine.news import HumanAsked
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.voice.dead_air import OFFER_TAKEN
from bridge.engine.voice.speech import say
from bridge.realtime.session_config import ResponseConfig

HUMAN_KEY = "0"

_MAX_WORDS_CHARS = 200
_NOBODY = (
    "The caller asked for a person, and no person can be reached on this line. Tell them so plainly"
    " in one sentence, then offer your own help."
)


def hear_human(call: CallState, text: str, now_ns: int) -> Effects | None:
    """Act on words that ask for a person; None where these don't."""
    words = call.policy.keypad.human_words
    if words is None or call.handing_over or not words.ask(text):
        return None
    return ask_for_human(call, now_ns, by="words", summary=f'"{text[:_MAX_WORDS_CHARS]}"')


def press_for_human(call: CallState, digit: str, now_ns: int) -> Effects | None:
    """Act on the key that asks for a person; None on others."""
    return ask_for_human(call, now_ns, by="key") if digit == HUMAN_KEY else None


def ask_for_human(call: CallState, now_ns: int, *, by: str, summary: str = "") -> Effects:
    """Hand the call to a person, because the caller wants it so.

    Args:
        call: one that talks, and is not being handed over.
        now_ns: monotonic.
        by: ``key``, ``words`` or ``menu``; how they asked.
        summary: for the person.
    """
    try:
        handoff = human_wanted(call, now_ns, reason=f"asked_by_{by}", summary=summary)
    except NoHumanError:
        yield HumanAsked(by, call.elsewhere)
        if not call.elsewhere:
            yield from _tell_nobody(call, now_ns)
        return
    yield HumanAsked(by, True)
    if call.dead_air.offered:
        handoff = replace(handoff, ending=OFFER_TAKEN)
    yield from leave_keypad(call)
    yield from hush(call, now_ns)
    yield from want_handoff(call, handoff)


def leave_keypad(call: CallState) -> Effects:
    """Await no key any more."""
    call.keypad.leave_menu()
    yield from call.stop_timer(Timer.KEYPAD)
    yield from abandon_collection(call, "the caller asked for a person")


def _tell_nobody(call: CallState, now_ns: int) -> Effects:
    policy = call.policy.keypad
    yield from hush(call, now_ns)
    if policy.nobody is not None:
        yield from say(call, policy.nobody, by_model=policy.by_model)
    else:
        yield from request_response(call, ResponseConfig(instructions=_NOBODY))
