"""The built-in tool ``collect_digits``: the caller keys digits in, the model gets them.

    the tool is called -> [prompt] -> keys -> terminator, enough keys, or a pause -> the output
    too few, or none   -> asked again, then the output says so

Sensitive digits never leave the bridge but for the operator's webhooks: no audio of the caller goes
up or into the recording meanwhile, since keys may sound in it (in-band tones).
"""

from collections.abc import Mapping
from dataclasses import replace

from bridge.engine.agent.requests import order_sentence, request_response
from bridge.engine.effects import (
    PauseRecording,
    PauseUplink,
    RecordingHold,
    ResumeRecording,
    ResumeUplink,
    UplinkHold,
)
from bridge.engine.keypad.secret_digits import keep_secret
from bridge.engine.keypad.state import Collection
from bridge.engine.news import DigitsCollected
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.voice.speech import say
from bridge.realtime.commands import ClearInput
from bridge.realtime.ids import ToolCallId
from bridge.routing.keypad import DigitsPolicy

STAR = "*"
"""Begins anew, where it does not end the digits."""

LAST_TONE_MS = 800
"""A key is reported when it goes down, and may sound in the audio until it comes up; ITU-T Q.24 has
signals of 40 ms, fingers take up to half a second, jitter buffers some 200 ms."""


def begin_collection(
    call: CallState, call_id: ToolCallId, arguments: Mapping[str, object]
) -> Effects:
    """Wait for digits; the output comes with the last of them."""
    wanted = _wanted(call, arguments)
    if wanted is None:
        yield from call.answer_tool(call_id, {"error": f"no such digits: {arguments['what']}"})
        return
    yield from abandon_collection(call, "other digits were asked for")
    # Not awaited like a tool's answer: it is the caller who takes their time now, not the agent.
    call.background.add(call_id)
    call.keypad.collection = collection = Collection(wanted, call_id)
    call.keypad.await_no_choice()
    yield from call.stop_timer(Timer.KEYPAD)
    if wanted.sensitive:
        yield from _hold_back(call)
    yield from _ask(call, collection)


def take_digit(call: CallState, collection: Collection, digit: str) -> Effects:
    """Take a key of the caller's."""
    wanted = collection.wanted
    yield from call.stop_timer(Timer.KEYPAD)
    if digit == wanted.terminator:
        yield from _end_or_ask(call, collection, "terminator")
        return
    if digit == STAR:
        collection.digits = ""
        return
    collection.digits += digit
    if len(collection.digits) == wanted.max_digits:
        yield from _end(call, collection, "length")


def on_no_digit(call: CallState, collection: Collection) -> Effects:
    """End the digits at a pause, or ask for them again."""
    yield from _end_or_ask(call, collection, "pause")


def abandon_collection(call: CallState, why: str, *, answer: bool = False) -> Effects:
    """End a collection without its digits, if there is one.

    Args:
        call: the call.
        why: for the model.
        answer: ask it to go on.
    """
    collection = call.keypad.collection
    if collection is not None:
        yield from _close(call, collection, "abandoned")
        yield from call.answer_tool(collection.call_id, {"error": f"not collected: {why}"})
        if answer:
            yield from request_response(call)


def on_last_tone_over(call: CallState, now_ns: int) -> Effects:
    """Let the caller be heard again."""
    if not call.keypad.in_secret:
        yield ResumeUplink(UplinkHold.SENSITIVE)
        yield ResumeRecording(RecordingHold.SENSITIVE)


def leave_keypad(call: CallState) -> Effects:
    """Await no key any more."""
    call.keypad.leave_menu()
    yield from call.stop_timer(Timer.KEYPAD)
    yield from abandon_collection(call, "the caller asked for a person")


def say_of_keypad(call: CallState, text: str) -> Effects:
    """Have the caller hear a sentence about keys, in the voice that the dialplan has for them."""
    yield from (order_sentence if call.policy.keypad.by_model else say)(call, text)


def _wanted(call: CallState, arguments: Mapping[str, object]) -> DigitsPolicy | None:
    """Return what is to be collected: the dialplan's word, or the model's description."""
    policy, what = call.policy.keypad, arguments.get("what")
    if what is not None:
        return policy.digits.get(str(what))
    most, least = arguments.get("max_digits"), arguments.get("min_digits")
    max_digits = most if isinstance(most, int) else policy.asked.max_digits
    min_digits = least if isinstance(least, int) else policy.asked.min_digits
    return replace(
        policy.asked,
        max_digits=max_digits,
        min_digits=min(min_digits, max_digits),
        sensitive=policy.asked.sensitive or arguments.get("sensitive") is True,
    )


def _hold_back(call: CallState) -> Effects:
    yield from call.stop_timer(Timer.LAST_TONE)
    yield PauseUplink(UplinkHold.SENSITIVE)
    yield PauseRecording(RecordingHold.SENSITIVE)
    yield from call.send(ClearInput())
    # Of a turn that was going on its end will not be heard.
    call.session.turn.drop()


def _ask(call: CallState, collection: Collection) -> Effects:
    prompt = collection.wanted.prompt
    if prompt is not None:
        by_model, wrong = call.policy.keypad.by_model, collection.wanted.wrong
        if collection.prompts and wrong is not None and not by_model:
            yield from say(call, wrong)
        yield from say_of_keypad(call, prompt)
    collection.prompts += 1


def _end_or_ask(call: CallState, collection: Collection, ended_by: str) -> Effects:
    wanted = collection.wanted
    if len(collection.digits) >= wanted.min_digits:
        yield from _end(call, collection, ended_by)
    elif wanted.prompt is not None and collection.prompts < wanted.prompts:
        collection.digits = ""
        yield from _ask(call, collection)
    else:
        yield from _close(call, collection, "too_few")
        few = len(collection.digits)
        error = f"the caller keyed in {few or 'no'} digits; {wanted.min_digits} are needed"
        yield from call.answer_tool(collection.call_id, {"error": error})
        yield from request_response(call)


def _end(call: CallState, collection: Collection, ended_by: str) -> Effects:
    yield from _close(call, collection, ended_by)
    yield from call.answer_tool(collection.call_id, _output(call, collection))
    yield from request_response(call)


def _output(call: CallState, collection: Collection) -> dict[str, object]:
    wanted, digits = collection.wanted, collection.digits
    if not wanted.sensitive:
        return {"digits": digits}
    output: dict[str, object] = {
        "digits_collected": len(digits),
        "reference": keep_secret(call.keypad, digits),
    }
    if wanted.last_told:
        output["ending"] = digits[-wanted.last_told :]
    return output


def _close(call: CallState, collection: Collection, ended_by: str) -> Effects:
    call.keypad.collection = None
    call.background.discard(collection.call_id)
    yield from call.stop_timer(Timer.KEYPAD)
    wanted = collection.wanted
    yield DigitsCollected(wanted.name, len(collection.digits), wanted.sensitive, ended_by)
    if wanted.sensitive:
        yield from call.start_timer(Timer.LAST_TONE, LAST_TONE_MS)
