"""Hands each key of the caller's to the part of the call that takes it, and runs the menus.

A key goes to the first who takes it: digits that are being collected, the question for consent,
``0`` (a person), the menu, the model. Whoever is heard is cut by the first four; only a protected
sentence is heard to its end. The model is asked where a menu's ``tell`` says so, or where nobody
can be had and the bridge has no words for that. A key of a caller whom a person has is that
person's.

A menu's keys are good for as long as it is the present one. Its prompt begins the time in which a
choice is awaited: then other keys are wrong ones, and silence is reported. Whoever speaks instead
has made their choice: the agent answers.
"""

from collections.abc import Callable

from bridge.engine.agent.requests import request_response
from bridge.engine.call.state import Stage
from bridge.engine.caller.interruption import hush
from bridge.engine.caller.presence import caller_understood
from bridge.engine.consent.disclosure import take_answer
from bridge.engine.floor import caller_may_choose
from bridge.engine.handoff.asking import NoHumanError, ask_for_human, human_wanted, press_for_human
from bridge.engine.handoff.person import on_caller_digit
from bridge.engine.handoff.transfer import want_handoff
from bridge.engine.inputs import DigitReceived, Input, TimerFired
from bridge.engine.keypad.collecting import (
    abandon_collection,
    leave_keypad,
    on_no_digit,
    say_of_keypad,
    take_digit,
)
from bridge.engine.news import MenuChosen
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.realtime.commands import CreateItem
from bridge.realtime.events import InputCommitted
from bridge.realtime.items import ContentPart, Message, PartKind, Role
from bridge.routing.keypad import ChoicePolicy, MenuPolicy

Taker = Callable[[CallState, str, int], Effects | None]
"""Given the call, a key and the time; None where the key is none of its."""

_WORDS_OVER = TimerFired(Timer.WORDS)
"""Ends a turn of the caller's, where the service reports none."""

_NO_CHOICE = "The caller made no choice in the phone menu. Ask what they need."


def on_digit(call: CallState, event: DigitReceived, now_ns: int) -> Effects:
    """Hand a key to the first part of the call that takes it."""
    if call.handing_over:
        yield from on_caller_digit(call, event.digit)
        return
    if call.supervised.secret:
        return
    yield from caller_understood(call)
    call.wait.begin(now_ns)  # until the key is answered
    for take in TAKERS:
        taken = take(call, event.digit, now_ns)
        if taken is not None:
            yield from taken
            return


def watch_keypad(call: CallState, event: Input, now_ns: int) -> Effects:
    """Say the menu when it is due, and mind the time for a key; looked at after every input."""
    keypad = call.keypad
    if call.stage is not Stage.TALKING:
        return
    if isinstance(event, InputCommitted) or event == _WORDS_OVER:
        yield from _take_turn(call)
    if keypad.prompt_due and caller_may_choose(call):
        yield from _prompt(call)
    if not keypad.awaits_key:
        return
    if not caller_may_choose(call):
        yield from call.stop_timer(Timer.KEYPAD)
    elif Timer.KEYPAD not in call.timers:
        yield from call.start_timer(Timer.KEYPAD, _patience_ms(call))


def on_no_key(call: CallState, now_ns: int) -> Effects:
    """Go on without the key that was awaited."""
    keypad = call.keypad
    if keypad.collection is not None:
        yield from on_no_digit(call, keypad.collection)
    elif keypad.choosing and keypad.menu is not None:
        yield from _prompt_again(call, keypad.menu, now_ns)


# Who takes a key


def _collect(call: CallState, digit: str, now_ns: int) -> Effects | None:
    collection = call.keypad.collection
    if collection is None:
        return None

    def take() -> Effects:
        yield from hush(call, now_ns)
        yield from take_digit(call, collection, digit)

    return take()


def _choose(call: CallState, digit: str, now_ns: int) -> Effects | None:
    menu = call.keypad.menu
    if menu is None:
        return None
    choice = menu.choices.get(digit)
    if choice is not None:
        return _carry_out(call, menu, digit, choice, now_ns)
    return _on_wrong_key(call, menu, digit, now_ns) if call.keypad.choosing else None


def _pass_to_model(call: CallState, digit: str, now_ns: int) -> Effects:
    return _send_message(call, f"The caller pressed {digit} on the keypad.")


TAKERS: tuple[Taker, ...] = (_collect, take_answer, press_for_human, _choose, _pass_to_model)
"""In the order in which they are asked."""


# Menus


def _carry_out(
    call: CallState, menu: MenuPolicy, digit: str, choice: ChoicePolicy, now_ns: int
) -> Effects:
    yield MenuChosen(menu.name, digit)
    yield from leave_keypad(call)
    yield from hush(call, now_ns)
    if choice.say is not None:
        yield from say_of_keypad(call, choice.say)
    if choice.tell is not None:
        yield from _send_message(call, choice.tell)
    if choice.transfer is not None:
        yield from _transfer(call, choice.transfer, now_ns)
    if choice.menu is not None:
        call.keypad.go_to(call.policy.keypad.menus[choice.menu])
        yield from _prompt(call)


def _on_wrong_key(call: CallState, menu: MenuPolicy, digit: str, now_ns: int) -> Effects:
    yield MenuChosen(menu.name, digit, known=False)
    yield from hush(call, now_ns)
    if menu.invalid is not None:
        yield from say_of_keypad(call, menu.invalid)
    yield from _prompt_again(call, menu, now_ns)


def _prompt(call: CallState) -> Effects:
    prompt = call.keypad.take_prompt()
    if prompt is not None:
        yield from call.stop_timer(Timer.KEYPAD)
        yield from say_of_keypad(call, prompt)


def _prompt_again(call: CallState, menu: MenuPolicy, now_ns: int) -> Effects:
    if call.keypad.prompts < menu.prompts:
        yield from _prompt(call)
        return
    yield from leave_keypad(call)
    if menu.then_person:
        yield from ask_for_human(call, now_ns, by="menu")
    else:
        yield from _send_message(call, _NO_CHOICE, Role.SYSTEM)


def _transfer(call: CallState, target: str, now_ns: int) -> Effects:
    try:
        handoff = human_wanted(call, now_ns, reason="menu", target=target)
    except NoHumanError:
        return  # it is on its way to somebody already
    yield from want_handoff(call, handoff)


def _take_turn(call: CallState) -> Effects:
    """Let the caller speak where a key was awaited; what they say in secret is not heard at all."""
    responses, collection = call.session.responses, call.keypad.collection
    if not (responses.owed or responses.awaited or responses.active):
        return  # no turn that is answered
    call.keypad.leave_menu()
    if collection is not None and not call.keypad.in_secret:
        yield from abandon_collection(call, "the caller spoke instead", answer=True)


def _send_message(call: CallState, text: str, role: Role = Role.USER) -> Effects:
    yield from call.send(CreateItem(Message(role, (ContentPart(PartKind.INPUT_TEXT, text),))))
    yield from request_response(call)


def _patience_ms(call: CallState) -> int:
    collection, menu = call.keypad.collection, call.keypad.menu
    if collection is not None:
        wanted = collection.wanted
        return wanted.between_ms if collection.digits else wanted.first_ms
    return menu.timeout_ms if menu is not None else 0
