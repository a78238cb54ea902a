"""The orders by which a supervisor steers a call without talking in it: notes, words, its way on.

Each handler's order is of its row's kind (:data:`COACHING`).
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from bridge.engine.agent.pictures import show_picture
from bridge.engine.agent.requests import drop_request, request_response
from bridge.engine.call.closing import close
from bridge.engine.call.goodbye import say_goodbye
from bridge.engine.call.state import CallEnd
from bridge.engine.caller.interruption import hush
from bridge.engine.effects import (
    FlushPlayout,
    PauseRecording,
    PauseUplink,
    RecordingHold,
    ResumeRecording,
    ResumeUplink,
    UplinkHold,
)
from bridge.engine.handoff.transfer import want_handoff
from bridge.engine.inputs import SupervisorActed
from bridge.engine.keypad.collecting import leave_keypad
from bridge.engine.news import SecretKept, Speaker, TurnSpoken
from bridge.engine.state import CallState, Effects, HandingOver
from bridge.engine.supervision.hold import (
    drop_handoff,
    forget_input,
    let_go,
    note_for_agent,
)
from bridge.engine.supervision.rules import OrderRule, Refusal
from bridge.engine.voice.filler import stop_filler
from bridge.engine.voice.speech import say
from bridge.errors import Fault, Outcome
from bridge.realtime.ids import ItemId
from bridge.routing.supervisor_verbs import (
    EndOrder,
    Order,
    PauseRecordingOrder,
    SayOrder,
    SensitiveOrder,
    ShowOrder,
    TransferOrder,
    WhisperOrder,
)

ENDED = CallEnd(Outcome.COMPLETED, Fault.NONE, "ended_by_supervisor")
TRANSFERRED = CallEnd(Outcome.TRANSFERRED, Fault.NONE, "by_supervisor")


def whisper(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have the agent know something that the caller does not hear."""
    order = event.order
    assert isinstance(order, WhisperOrder)
    supervised = call.supervised
    supervised.notes += 1
    item_id = ItemId(f"bridge_whisper_{supervised.notes}")
    yield TurnSpoken(Speaker.SUPERVISOR, item_id, order.text)
    yield from note_for_agent(call, _WHISPERED.format(text=order.text))
    if order.when == "now":
        yield from _have_it_act(call, now_ns)


def show(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have the agent see a picture."""
    order = event.order
    assert isinstance(order, ShowOrder)
    assert event.picture is not None  # the call's node has it
    supervised = call.supervised
    supervised.notes += 1
    item_id = ItemId(f"bridge_picture_{supervised.notes}")
    yield TurnSpoken(Speaker.SUPERVISOR, item_id, f"{_PICTURE} {order.note}".rstrip())
    words = _SHOWN.format(note=f": {order.note}" if order.note else ".")
    yield from show_picture(call, event.picture, words, by=event.by)
    if order.when == "now":
        yield from _have_it_act(call, now_ns)


def _have_it_act(call: CallState, now_ns: int) -> Effects:
    """Have the agent stop and go on with what it knows now, unless somebody else has the caller."""
    if not call.supervised.held:
        yield from hush(call, now_ns, by=Speaker.SUPERVISOR)
        yield from request_response(call)


def say_exactly(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Have the caller hear exactly this, over the agent."""
    order = event.order
    assert isinstance(order, SayOrder)
    yield from hush(call, now_ns, by=Speaker.SUPERVISOR)
    yield from say(call, order.text, protected=True)


def transfer(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Hand the call to somebody else."""
    order = event.order
    assert isinstance(order, TransferOrder)
    assert event.target is not None  # the call's node has found them
    yield from drop_handoff(call, now_ns)
    yield from leave_keypad(call)
    if call.supervised.held:
        yield from let_go(call)
        yield from stop_filler(call)
        yield ResumeUplink(UplinkHold.SUPERVISOR)  # the handing over holds it within this input
    else:
        yield from hush(call, now_ns, by=Speaker.SUPERVISOR)
    handoff = HandingOver(now_ns, event.target, TRANSFERRED, _not_transferred, order.summary)
    yield from want_handoff(call, handoff)


def _not_transferred(call: CallState, handoff: HandingOver, now_ns: int) -> Effects:
    yield from note_for_agent(call, _NOT_TRANSFERRED.format(failure=handoff.failure))
    yield from request_response(call)


def end(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """End the call; one that was accepted out of the queue has been transferred."""
    order = event.order
    assert isinstance(order, EndOrder)
    accepted = call.supervised.accepted
    ending = ENDED if accepted is None else replace(accepted, reason=ENDED.reason)
    if order.how == "politely" and call.policy.goodbye is not None:
        if call.supervised.held:
            yield from let_go(call)
            yield from stop_filler(call)
        else:
            yield from hush(call, now_ns, by=Speaker.SUPERVISOR)
        yield from drop_request(call)
        yield from say_goodbye(call, ending, call.policy.goodbye, protected=True)
        return
    yield FlushPlayout()
    yield from close(call, ending)


def keep_secret(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Keep the caller from model, recording and listeners, or not any more."""
    order = event.order
    assert isinstance(order, SensitiveOrder)
    supervised = call.supervised
    if order.on == supervised.secret:
        return
    supervised.secret = order.on
    yield SecretKept(order.on)
    if order.on:
        yield PauseUplink(UplinkHold.SECRET)
        yield from forget_input(call)
        yield PauseRecording(RecordingHold.SUPERVISOR)
        return
    yield ResumeUplink(UplinkHold.SECRET)
    if not supervised.recording_held:
        yield ResumeRecording(RecordingHold.SUPERVISOR)
    yield from note_for_agent(call, _SECRET)


def hold_recording(call: CallState, event: SupervisorActed, now_ns: int) -> Effects:
    """Pause the recording, or go on with it."""
    order = event.order
    assert isinstance(order, PauseRecordingOrder)
    call.supervised.recording_held = order.on
    if order.on:
        yield PauseRecording(RecordingHold.SUPERVISOR)
    elif not call.supervised.secret:
        yield ResumeRecording(RecordingHold.SUPERVISOR)


def _if_away(call: CallState, order: Order) -> Refusal | None:
    return Refusal.AGENT_AWAY if call.supervised.held else None


def _if_blind(call: CallState, order: Order) -> Refusal | None:
    return None if call.session.service.takes_pictures else Refusal.NO_PICTURES


def _if_leaving(call: CallState, order: EndOrder) -> Refusal | None:
    if order.how == "now":
        return None
    if call.leaving is not None:
        return Refusal.ALREADY
    return Refusal.HANDED_OVER if call.handoff is not None and call.handoff.begun else None


_WHISPERED = (
    "Your supervisor, whom the caller does not hear, tells you: {text}\n"
    "Act on it, and don't say that you were told."
)
_PICTURE = "[picture]"
_SHOWN = (
    "[Your supervisor, whom the caller does not hear, shows you this picture{note}\n"
    "Speak of what it shows as far as it helps the caller, and don't say that you were told.]"
)
_SECRET = (
    "For a while you could not hear the caller: what they said or keyed in is confidential. Don't"
    " ask for it."
)
_NOT_TRANSFERRED = (
    "Your supervisor tried to put the caller through, and nobody was reached ({failure}). Tell the"
    " caller so, and go on yourself."
)

COACHING: Mapping[type[Order], OrderRule] = MappingProxyType(
    {
        WhisperOrder: OrderRule(whisper, exclusive=False),
        ShowOrder: OrderRule(show, _if_blind, exclusive=False),
        SayOrder: OrderRule(say_exactly, _if_away),
        TransferOrder: OrderRule(transfer),
        EndOrder: OrderRule(end, _if_leaving, needs_agent=False),
        SensitiveOrder: OrderRule(keep_secret, exclusive=False, needs_agent=False),
        PauseRecordingOrder: OrderRule(hold_recording, exclusive=False, needs_agent=False),
    }
)
"""How each is carried out, and when it is refused."""
