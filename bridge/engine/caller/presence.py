"""Notes that there is a caller: a turn, a word or a key of theirs ends their silence."""

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
