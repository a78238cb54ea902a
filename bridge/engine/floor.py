"""Answers who has the floor: each "may this happen now?" of a call is one function here.

They read the call's state and change nothing. ``tests/engine/test_floor.py`` holds each to its rows
of a truth table. They are made of the facts that :class:`CallState` names: whether the agent is
busy or heard, whether the caller speaks, or is with somebody else.
"""

from bridge.engine.call.state import Stage
from bridge.engine.state import CallState
from bridge.engine.turns import TRANSITIONS, State, Trigger

# The caller's


def caller_may_choose(call: CallState) -> bool:
    """Return whether the menu may be said, and a key be awaited: nothing is heard, made or awaited
    but the caller, who is with the agent.
    """
    return not (
        call.agent_busy
        or call.audible
        or call.filling
        or call.caller_has_floor
        or call.held
        or call.lost
        or call.elsewhere
        or call.awaits_consent
        or call.ending is not None
        or call.supervised.secret  # keys and words of theirs lead nowhere
    )


def caller_owes_word(call: CallState) -> bool:
    """Return whether the caller's own silence counts: they might choose, and don't."""
    # The keypad has a patience of its own.
    return caller_may_choose(call) and not call.keypad.awaits_key


def caller_is_away(call: CallState) -> bool:
    """Return whether a caller who says nothing to the agent is no silent one."""
    return call.held or call.elsewhere or call.fallback is not None


def caller_is_heard(call: CallState) -> bool:
    """Return whether the caller speaks; while no session listens, by our ears."""
    return call.caller_has_floor or (call.lost and call.sound.heard)


def caller_is_talked_over(call: CallState) -> bool:
    """Return whether the service hears the caller, and so do we where the bridge listens itself."""
    ours = call.policy.barge_in is None or call.sound.heard
    return call.session.turn.speaking and ours


# The service's


def service_owes_speech(call: CallState) -> bool:
    """Return whether the service ought to report a sound that the caller makes, and has not."""
    return _service_listens(call) and not call.session.turn.speaking and call.ending is None


def service_owes_commit(call: CallState) -> bool:
    """Return whether a turn is over, as the service says or as we hear, and not committed."""
    turn, sound = call.session.turn, call.sound
    over = not turn.speaking or (sound.turn_heard and not sound.heard)
    reports = call.session.service.reports_turns
    return reports and _service_listens(call) and turn.uncommitted and over


def _service_listens(call: CallState) -> bool:
    """Whether a session gets the caller's sound, and its word about that is acted on."""
    return call.stage is Stage.TALKING and not (
        call.lost
        or call.held
        or call.handing_over
        or call.keypad.in_secret
        or call.supervised.secret
    )


def session_may_change(call: CallState) -> bool:
    """Return whether nobody would hear a change of sessions; any sound of the caller's counts."""
    return (
        call.stage is Stage.TALKING
        and call.turns.state is State.LISTENING
        and not (call.session.turn.speaking or call.sound.heard)
        and not (call.audible or call.filling or call.agent_busy)
        and call.ending is None
    )


# The agent's


def agent_is_in_talk(call: CallState) -> bool:
    """Return whether there is an agent, and nobody has the caller in its place."""
    return not (call.lost or call.handing_over)


def voice_may_sound(call: CallState) -> bool:
    """Return whether the caller may hear an agent who speaks when it wants to (full duplex)."""
    return (
        call.stage is Stage.TALKING
        and agent_is_in_talk(call)
        and not (call.held or call.awaits_consent)
        and call.fallback is None
        and call.leaving is None
    )


def answer_is_unwanted(call: CallState) -> bool:
    """Return whether the call ends, and the agent has nothing more to say."""
    return call.ending is not None or call.fallback is not None


def caller_may_be_answered(call: CallState) -> bool:
    """Return whether the caller is there for an answer, and neither speaks nor presses keys."""
    return not (
        call.awaits_consent
        or call.handing_over
        or call.keypad.collection is not None
        or call.caller_has_floor
    )


def agent_is_waited_for(call: CallState) -> bool:
    """Return whether the caller waits for the agent, or for one to be had, and hears nothing of it.

    A person who is wanted ends the wait, though the agent's silence goes on until they come.
    """
    return (
        call.stage is Stage.TALKING
        and (call.agent_busy or call.lost)
        and not _agent_draws_breath(call)
        and call.fallback is None
        and not call.playing
        and not call.caller_has_floor
        and not call.held
        and not call.elsewhere
    )


def agent_owes_sound(call: CallState) -> bool:
    """Return whether a silence now is one that the caller should not have to hear."""
    return (
        call.stage is Stage.TALKING
        and (call.agent_busy or call.playing or call.lost)
        and not _agent_draws_breath(call)
        and not caller_is_heard(call)
        and not call.held
        and not call.bridged
        and not call.supervised.held
    )


def _agent_draws_breath(call: CallState) -> bool:
    """Return whether an answer that is heard may just be over: a silence of its own."""
    active = call.session.responses.active
    return active is not None and active.pausing and not call.waits_for_tool


def waits_are_filled(call: CallState) -> bool:
    """Return whether the caller is with the agent, or with one who is being had again."""
    return call.stage is Stage.TALKING and not call.handing_over and call.fallback is None


def agent_can_be_cut(call: CallState) -> bool:
    """Return whether there is something of the agent's or the bridge's to cut."""
    return call.agent_has_floor and (call.turns.state, Trigger.INTERRUPTED) in TRANSITIONS


def voice_can_be_cut(call: CallState) -> bool:
    """Return whether there is a sound to cut; an answer that is still silent is left alone."""
    return call.audible and (call.turns.state, Trigger.INTERRUPTED) in TRANSITIONS


def may_cut(call: CallState) -> bool:
    """Return whether there is something to cut, and nothing protects it."""
    return agent_can_be_cut(call) and not is_protected(call)


def sound_may_cut(call: CallState) -> bool:
    """Return whether the caller may cut by sound alone: a turn would come of it."""
    heard = not call.lost and not call.keypad.in_secret
    return call.stage is Stage.TALKING and heard and may_cut(call)


def is_protected(call: CallState) -> bool:
    """Return whether what is heard, or about to be, is heard to its end."""
    active = call.session.responses.active
    return bool(call.speech.protected) or (active is not None and active.protected)


def may_hand_over(call: CallState) -> bool:
    """Return whether the agent was heard to its end, and the call may go to somebody else."""
    leaves = (call.turns.state, Trigger.HANDOFF_STARTED) in TRANSITIONS
    return leaves and not call.agent_has_floor


# The bridge's own voice


def bridge_may_greet(call: CallState) -> bool:
    """Return whether the bridge may greet in the place of an agent that is late."""
    return not (
        call.audible
        or call.caller_has_floor
        or call.fallback is not None
        or call.handing_over
        or call.ending is not None
    )


def phrase_may_sound(call: CallState) -> bool:
    """Return whether no audio of a response comes in: the playout would mix it with a phrase."""
    active = call.session.responses.active
    return not (active is not None and active.audible and call.playing)
