"""Notes that there is a caller: they end their silence, and take back what would end the call.

Their turn or words end a silence (:mod:`bridge.engine.caller.silence`); speech over a goodbye takes
back the bridge's own, and the model's ``end_call``.
"""

from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer


def caller_heard(call: CallState) -> Effects:
    """Note that the caller took a turn: the present silence is over."""
    silence = call.caller_silence
    silence.since_ns, silence.prompts = None, 0
    yield from call.stop_timer(Timer.CALLER_SILENT)


def caller_understood(call: CallState) -> Effects:
    """Note that there is a caller: words, a key, or the call's begin."""
    yield from caller_heard(call)
    policy = call.policy.caller_silence
    if policy is not None and call.leaving is None:
        yield from call.start_timer(Timer.CALLER_CAP, policy.cap_ms)


def keep_caller(call: CallState) -> Effects:
    """Take the goodbye back: the caller spoke over it."""
    if call.leaving is not None:
        call.leaving = None
        yield from call.stop_timer(Timer.CLOSING)
        yield from caller_understood(call)


def keep_call(call: CallState, *, answer: bool) -> Effects:
    """Take ``end_call`` back because the caller spoke over the goodbye.

    Args:
        call: the call.
        answer: tell the model, as its response was complete; a cancelled one is not answered.
    """
    if call.ending is None:
        return
    call_id, call.ending = call.ending, None
    yield from call.stop_timer(Timer.CLOSING)
    if answer:
        yield from call.answer_tool(call_id, {"error": "not ended: the caller went on speaking"})
