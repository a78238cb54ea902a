"""Probes whether the service is alive, where a caller makes a sound and the service says nothing.

A service that stalls between two turns keeps its socket open and its pings answered, and says
nothing; nothing is expected of it either until it reports that the caller speaks. So:

    SoundStarted, no word of the service for :data:`REPORTED_WITHIN_MS` -> it is asked, by an update
                                                                        that changes nothing
    no word for another :data:`ANSWERS_WITHIN_MS`  -> the session is left, and what the caller says
                                                      is sent again

A `session.update` that names no setting is answered within a round trip (`session.updated`,
`PROTOCOL.md` section 2: updates are partial), and changes nothing: a noise that the service rightly
does not take for speech costs a message. Any word of the service is an answer.
"""

from typing import get_args

from bridge.audio.sounds import SoundStarted
from bridge.clock import NS_PER_MS
from bridge.engine.effects import KeepSpeech
from bridge.engine.floor import service_owes_speech
from bridge.engine.inputs import Input
from bridge.engine.session.recovery import leave_stalled
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.realtime.commands import ProbeSession
from bridge.realtime.events import ServerEvent, SessionUpdated

REPORTED_WITHIN_MS = 800
"""A service reports speech some 100 to 300 ms after its onset."""

ANSWERS_WITHIN_MS = 1_200
"""Far more than a round trip; with what came before it still within two seconds of the onset."""

ASKED_AGAIN_AFTER_MS = 10_000
"""Noise on a line must not become a stream of questions."""

_WORDS: frozenset[type] = frozenset(get_args(ServerEvent))


def watch_liveness(call: CallState, event: Input, now_ns: int) -> Effects:
    """Begin or end the wait for a word of the service; looked at after every input."""
    kind = type(event)
    if Timer.UNHEARD in call.timers:
        if kind in _WORDS or not _is_listened_for(call):
            yield from call.stop_timer(Timer.UNHEARD)
            call.session.asked_alive = False
    elif kind is SoundStarted and _is_listened_for(call) and not _was_asked_lately(call, now_ns):
        yield from call.start_timer(Timer.UNHEARD, REPORTED_WITHIN_MS)


def on_session_updated(call: CallState, event: SessionUpdated, now_ns: int) -> Effects:
    """Take an answer to a question; that it is a word of the service is all of it."""
    yield from ()


def on_unheard(call: CallState, now_ns: int) -> Effects:
    """Ask the service; leave one that does not answer."""
    session = call.session
    if session.asked_alive:
        yield from leave_stalled(call, now_ns)
        return
    session.asked_alive, session.asked_alive_ns = True, now_ns
    yield KeepSpeech((now_ns - call.sound.began_ns) // NS_PER_MS)
    yield from call.send(ProbeSession())
    yield from call.start_timer(Timer.UNHEARD, ANSWERS_WITHIN_MS)


def _is_listened_for(call: CallState) -> bool:
    """Return whether a service that stalls is left, and ought to report that the caller speaks."""
    return call.policy.agent.turn_overdue_ms is not None and service_owes_speech(call)


def _was_asked_lately(call: CallState, now_ns: int) -> bool:
    asked_ns = call.session.asked_alive_ns
    return asked_ns is not None and now_ns - asked_ns < ASKED_AGAIN_AFTER_MS * NS_PER_MS
