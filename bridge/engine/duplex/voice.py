"""Hears where the agent's utterances begin and end, in the voice of a full-duplex service.

Such a service speaks when it wants to, streams its silences, too, and says nothing of either. So:

    a loud piece                              -> an utterance begins, or goes on
    quiet for :data:`BREATH_MS`               -> it draws breath: nothing is played, it has no floor
    quiet for :data:`PAUSE_MS`                -> it is over
    the caller cuts it here                   -> what comes of it is dropped, until they are silent

An utterance is our own idea, and so is its name: in the books it stands where a response of
another service does (:mod:`bridge.engine.agent.answer`). Nothing can be cancelled or truncated: the
service hears the caller itself and stops, and it sends no faster than it is heard, so there is
little that it believes to be heard and was not. Where a caller who cut it is silent again and it
still speaks, it has kept the floor on purpose, and is heard from there on. Silence is digital zero
but for a tick at the start, and speech an order of magnitude above :data:`SILENCE_DBFS`
(`PROTOCOL.md` section 11).
"""

from dataclasses import replace

from bridge.audio.formats import decode_samples
from bridge.audio.levels import rms_dbfs
from bridge.engine.agent.answer import begin_answer, end_unheard, note_audio
from bridge.engine.agent.playout import settle
from bridge.engine.agent.requests import pay_owed
from bridge.engine.agent.state import Response
from bridge.engine.agent.transcript import AgentItem
from bridge.engine.effects import PlayAudio
from bridge.engine.floor import voice_may_sound
from bridge.engine.news import BargeInJudgement, Interrupted, InterruptionJudged, Speaker
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.turns import Trigger
from bridge.realtime.duplex_events import VoiceDelta, VoiceTranscriptDelta
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import AudioDelta, ResponseCreated, ResponseDone, TranscriptDelta

SILENCE_DBFS = -60.0
BREATH_MS = 200
"""Quiet that is played as it is: a stop within a word, the end of a soft one."""
PAUSE_MS = 800
"""Longer than the pauses between the sentences of one utterance."""
GOODBYE_MS = 15_000
"""How long a goodbye may take that has begun."""

_SENTENCE_ENDS = (".", "!", "?")
_WINDOW_MS = 20
"""A word's onset at the end of a long piece is not averaged away."""


def on_voice_delta(call: CallState, event: VoiceDelta, now_ns: int) -> Effects:
    """Take a piece of the voice: begin an utterance, go on with it, or end it."""
    voice, running = call.session.voice, call.session.responses.running
    voice.audio_format = event.audio_format
    if not voice_may_sound(call):
        voice.fall_silent()
        if running is not None:
            yield from _end(call, running, now_ns)
        return
    if _is_loud(event):
        yield from _speak(call, event, now_ns)
        return
    voice.quiet_ms += len(event.audio) // event.audio_format.bytes_per_ms
    active = call.session.responses.active
    if active is not None and voice.quiet_ms <= BREATH_MS:
        yield from _give(call, active, event, now_ns)
        return
    voice.keep(event.audio)
    if active is not None:
        active.pausing = True
    if running is not None and voice.quiet_ms >= PAUSE_MS:
        yield from _end(call, running, now_ns)


def on_voice_transcript(call: CallState, event: VoiceTranscriptDelta, now_ns: int) -> Effects:
    """Add words to their utterance; they may come before its sound, or after its end."""
    voice = call.session.voice
    after_pause = event.start_ms - voice.words_end_ms >= PAUSE_MS
    voice.words_end_ms = event.end_ms
    active = call.session.responses.active
    if active is None and (voice.early or not voice.utterances):
        voice.early += event.delta
        return
    item = call.transcript.item(voice.item_id, voice.utterance_id)
    if active is None and after_pause and item.texts:
        voice.early += event.delta
        return
    if item.cut_by is not None and active is None:
        return  # what was heard of it is known
    _add_words(call, item, event.delta)
    if not item.open:
        yield item.turn()


def _is_loud(delta: VoiceDelta) -> bool:
    samples = decode_samples(delta.audio_format, delta.audio)
    window_samples = _WINDOW_MS * delta.audio_format.rate_hz // 1000
    whole = len(samples) // window_samples * window_samples
    windows = samples[:whole].reshape(-1, window_samples) if whole else samples[None, :]
    return bool((rms_dbfs(windows) > SILENCE_DBFS).any())


def _speak(call: CallState, delta: VoiceDelta, now_ns: int) -> Effects:
    voice, responses = call.session.voice, call.session.responses
    if responses.running is None:
        yield from _begin(call, now_ns)
    active = responses.active
    if active is None:
        voice.fall_silent()
        voice.dropped_ms += len(delta.audio) // delta.audio_format.bytes_per_ms
        return
    active.pausing = False
    yield from _give(call, active, replace(delta, audio=voice.speak(delta.audio)), now_ns)


def _begin(call: CallState, now_ns: int) -> Effects:
    voice = call.session.voice
    voice.begin(now_ns)
    call.log.feed(ResponseCreated(voice.utterance_id))
    yield from begin_answer(call, voice.utterance_id, now_ns)
    if call.ending is not None:
        yield from call.start_timer(Timer.CLOSING, GOODBYE_MS)
    early, voice.early = voice.early, ""
    if early:
        _add_words(call, call.transcript.item(voice.item_id, voice.utterance_id), early)


def _give(call: CallState, active: Response, delta: VoiceDelta, now_ns: int) -> Effects:
    item_id = call.session.voice.item_id
    if not active.audible:
        piece = AudioDelta(response_id=active.response_id, item_id=item_id, audio=delta.audio)
        call.log.feed(replace(piece, audio_format=delta.audio_format))
    played = yield from note_audio(call, active, (item_id, 0), delta, now_ns)
    yield PlayAudio(played, 0, delta.audio, delta.audio_format)


def _add_words(call: CallState, item: AgentItem, words: str) -> None:
    before = item.texts.get(0, "")
    if before.endswith(_SENTENCE_ENDS) and not words[:1].isspace():
        words = f" {words}"  # the first of a sentence may come without its space
    item.texts[0] = before + words
    call.log.feed(
        TranscriptDelta(response_id=item.response_id, item_id=item.server_id, delta=words)
    )


def _end(call: CallState, running: Response, now_ns: int) -> Effects:
    """End an utterance; one that made way for the caller was interrupted."""
    if running.cancelled:
        yield from end_unheard(call)
        yield from settle(call, Trigger.RESPONSE_DONE)
        return
    call.session.responses.finish()
    call.log.feed(ResponseDone(running.response_id, ResponseStatus.COMPLETED))
    call.note(response_id="")
    if not call.session.responses.awaited:
        yield from call.stop_timer(Timer.RESPONSE)
    call.note_counters()
    if running.audible:
        call.answers = call.answers.restored(now_ns).proved()
        call.budget = call.budget.proved()
        yield from _note_yielding(call, now_ns)
    yield from pay_owed(call)
    yield from settle(call, Trigger.RESPONSE_DONE)


def _note_yielding(call: CallState, now_ns: int) -> Effects:
    """Report that the agent fell silent under a caller who had begun over it, and goes on."""
    voice, sound = call.session.voice, call.sound
    item = call.transcript.item(voice.item_id, voice.utterance_id)
    item.complete_parts.add(0)
    if sound.heard and sound.over_agent and item.open:
        item.cut_by = Speaker.CALLER
        since_ns = max(now_ns - sound.began_ns, 0)
        yield Interrupted(item.item_id, item.given_ms(0), since_ns, Speaker.CALLER)
        if call.policy.barge_in is not None:  # the service has judged it
            yield InterruptionJudged(BargeInJudgement.TRUE)
