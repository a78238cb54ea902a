"""Plays the disclosure before an agent listens, and takes the caller's consent or refusal.

The disclosure is the bridge's own voice, rendered before any call, and nothing cuts it. Until it
was heard to its end, as PJSIP played it, the caller's audio stays here and nothing is recorded,
each where the dialplan says so; where they are asked, until they have agreed. A disclosure that
can't be said is as good as refused: a caller who did not hear it can't have agreed.

    heard, not asked      -> the agent, whose greeting was made meanwhile, is heard next
    agrees                -> the agent is asked to greet
    refuses, says nothing -> the agent leaves: session closed, a person, or a plain goodbye

The agree key is good only after the disclosure, the refuse key at any time. ``0`` is a person
everywhere, so it refuses.
"""

from dataclasses import replace

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.engine.agent.greeting import greet
from bridge.engine.agent.requests import pay_owed
from bridge.engine.call.state import CallEnd, Stage
from bridge.engine.caller.interruption import cut
from bridge.engine.consent.steps import ConsentSignal, ConsentState, ConsentStep
from bridge.engine.effects import (
    PauseRecording,
    PauseUplink,
    RecordingHold,
    ResumeRecording,
    ResumeUplink,
    UplinkHold,
)
from bridge.engine.floor import voice_can_be_cut
from bridge.engine.inputs import Input
from bridge.engine.news import ConsentSettled, DisclosureSpoken, Speaker, TurnMeasured
from bridge.engine.session.fallback import leave_agent
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.voice.speech import say
from bridge.errors import Fault, Outcome
from bridge.routing.consent import HUMAN_KEY, ConsentPolicy
from bridge.routing.fallback import FallbackPolicy

CONSENT_REFUSED = CallEnd(Outcome.COMPLETED, Fault.NONE, "consent_refused")


def hold_back(call: CallState) -> Effects:
    """Close what opens with the disclosure, or with consent; before any audio can come."""
    policy = call.policy.consent
    if policy is not None and policy.before_audio:
        yield PauseUplink(UplinkHold.CONSENT)
    if policy is not None and policy.hold_recording:
        yield PauseRecording(RecordingHold.CONSENT)


def watch_consent(call: CallState, event: Input, now_ns: int) -> Effects:
    """Play what is due, and follow how much of it was heard; looked at after every input."""
    policy, consent = call.policy.consent, call.consent
    if policy is None or not consent.open or call.stage is not Stage.TALKING:
        return
    if call.fallback is not None:
        return
    if consent.step is ConsentStep.ANNOUNCING:
        yield from _follow_announcement(call, policy, event, now_ns)
    if call.handing_over and consent.take(ConsentSignal.CUT):
        yield from call.stop_timer(Timer.CONSENT)
    if consent.step is ConsentStep.DUE and not call.elsewhere:
        yield from _announce(call, policy, now_ns)
    elif consent.step is ConsentStep.ASKING and Timer.CONSENT not in call.timers:
        yield from _await_answer(call, policy)


def take_answer(call: CallState, digit: str, now_ns: int) -> Effects | None:
    """Take a key as an answer; none is anything else while one is awaited. Else, None."""
    policy = call.policy.consent
    if policy is None or not call.awaits_consent or call.fallback is not None:
        return None
    if digit in (policy.refuse_key, HUMAN_KEY):
        return _refuse(call, policy, "key", now_ns)
    if digit == policy.agree_key and call.consent.step is ConsentStep.ASKING:
        return _agree(call, policy, "key", now_ns)
    return iter(())


def hear_answer(call: CallState, text: str, now_ns: int) -> Effects | None:
    """Take words as an answer, where it is awaited and they are one; else None."""
    policy = call.policy.consent
    if policy is None or call.consent.step is not ConsentStep.ASKING:
        return None
    if policy.no.find(text) is not None:
        return _refuse(call, policy, "words", now_ns)
    if policy.yes.is_all_of(text):
        return _agree(call, policy, "words", now_ns)
    return None


def on_answer_overdue(call: CallState, now_ns: int) -> Effects:
    """Ask again, or take the silence as the dialplan does."""
    policy, consent = call.policy.consent, call.consent
    if policy is None or consent.step is not ConsentStep.ASKING:
        return
    if call.held:
        yield from call.start_timer(Timer.CONSENT, policy.answer_within_ms)
    elif consent.questions < policy.questions:
        yield from _ask(call, policy)
    elif policy.silence_agrees:
        yield from _agree(call, policy, "silence", now_ns)
    else:
        yield from _refuse(call, policy, "silence", now_ns)


def _follow_announcement(
    call: CallState, policy: ConsentPolicy, event: Input, now_ns: int
) -> Effects:
    consent = call.consent
    if call.speech.sounds(policy.disclosure):
        consent.sounding = True
        if isinstance(event, PlayoutStarted) and not consent.greeted:
            consent.greeted = True
            yield TurnMeasured(greeting_ns=_delay_ns(consent, event, now_ns))
    elif consent.sounding and isinstance(event, PlayoutStarted | PlayoutDrained):
        yield from _announced(call, policy)
    elif not call.speech.says(policy.disclosure):
        consent.take(ConsentSignal.CUT)


def _delay_ns(consent: ConsentState, started: PlayoutStarted, now_ns: int) -> int:
    """Return how long the caller waited for the disclosure, by PJSIP's clock where it is known."""
    heard_ns = now_ns if started.taken_ns is None else started.taken_ns
    return max(heard_ns - (consent.since_ns or heard_ns), 0)


def _announce(call: CallState, policy: ConsentPolicy, now_ns: int) -> Effects:
    consent = call.consent
    if policy.disclosure is None:
        yield from _refuse(call, policy, "not_spoken", now_ns)
        return
    consent.take(ConsentSignal.SAY)
    consent.since_ns = now_ns if consent.since_ns is None else consent.since_ns
    call.session.turn_clock = None  # of the greeting: this is what greets the caller
    yield from say(call, policy.disclosure, protected=True)
    if policy.asks:
        consent.questions = 0
        yield from _ask(call, policy)


def _announced(call: CallState, policy: ConsentPolicy) -> Effects:
    yield DisclosureSpoken(policy.version)
    if policy.asks:
        call.consent.take(ConsentSignal.ASK)
        return
    call.consent.take(ConsentSignal.SETTLE)
    if policy.notice:
        yield ConsentSettled(True, "notice", policy.version)
    yield from _let_through(policy)


def _ask(call: CallState, policy: ConsentPolicy) -> Effects:
    call.consent.questions += 1
    yield from say(call, policy.question or "", protected=True)


def _await_answer(call: CallState, policy: ConsentPolicy) -> Effects:
    """Begin to count once the question was heard."""
    if not call.speech.says(policy.question):
        yield from call.start_timer(Timer.CONSENT, policy.answer_within_ms)


def _agree(call: CallState, policy: ConsentPolicy, how: str, now_ns: int) -> Effects:
    if not call.consent.take(ConsentSignal.SETTLE):
        return
    yield from call.stop_timer(Timer.CONSENT)
    yield ConsentSettled(True, how, policy.version)
    yield from _let_through(policy)
    yield from _hush(call, now_ns)
    call.wait.begin(now_ns)
    yield from greet(call, now_ns)
    call.session.turn_clock = None  # the disclosure greeted the caller
    yield from pay_owed(call)


def _refuse(call: CallState, policy: ConsentPolicy, how: str, now_ns: int) -> Effects:
    """Have the agent leave; what was held back stays so."""
    if not call.consent.take(ConsentSignal.REFUSE):
        return
    yield from call.stop_timer(Timer.CONSENT)
    yield ConsentSettled(False, how, policy.version)
    yield from _hush(call, now_ns)
    person = call.policy.person
    said = policy.nobody if person is None else policy.refused
    if person is not None:  # who comes back would be the agent's
        person = replace(person, before=None, on_failure=None, hand_back=False, hand_back_key=None)
    instead = FallbackPolicy(said, person, policy.nobody, answers=False, is_apology=False)
    yield from leave_agent(call, CONSENT_REFUSED, instead, now_ns)


def _hush(call: CallState, now_ns: int) -> Effects:
    """Cut the question: it is answered."""
    if voice_can_be_cut(call):
        yield from cut(call, now_ns, by=Speaker.BRIDGE)


def _let_through(policy: ConsentPolicy) -> Effects:
    if policy.before_audio:
        yield ResumeUplink(UplinkHold.CONSENT)
    if policy.hold_recording:
        yield ResumeRecording(RecordingHold.CONSENT)
