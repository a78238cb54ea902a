"""Speaks the bridge's own sentences, as phrases of its voice.

Phrases are played like the agent's audio, are no items of any session, and stand in the transcript
as the bridge's. The model has a note of them, so that it does not repeat them. A phrase waits for
the end of a response whose audio is still coming in: the playout is one queue, and would mix the
two.
"""

from bridge.engine.floor import phrase_may_sound
from bridge.engine.inputs import Input
from bridge.engine.state import CallState, Effects
from bridge.engine.voice.filler import next_item, play_phrase, stop_filler
from bridge.engine.voice.state import Phrase
from bridge.realtime.commands import CreateItem
from bridge.realtime.items import ContentPart, Message, PartKind, Role


def say(call: CallState, text: str, *, protected: bool = False) -> Effects:
    """Have the caller hear a sentence, behind what is being played.

    Args:
        call: one that is answered.
        text: the sentence.
        protected: the caller's speech does not cut it.
    """
    call.speech.waiting.append(Phrase(text, protected))
    yield from _say_what_waits(call)


def watch_speech(call: CallState, event: Input, now_ns: int) -> Effects:
    """Say what waited for the end of a response; looked at after every input."""
    yield from _say_what_waits(call)


def _say_what_waits(call: CallState) -> Effects:
    if not call.speech.waiting or not phrase_may_sound(call):
        return
    yield from stop_filler(call)
    while call.speech.waiting:
        phrase = call.speech.waiting.popleft()
        item_id = next_item(call)
        call.speech.pending[item_id] = phrase.text
        if phrase.protected:
            call.speech.protected.add(item_id)
        yield from play_phrase(call, item_id, phrase.text)
        yield from _note_for_model(call, phrase.text)


def _note_for_model(call: CallState, text: str) -> Effects:
    note = f'The caller was just told, by the phone system: "{text}"'
    yield from call.send(
        CreateItem(Message(Role.SYSTEM, (ContentPart(PartKind.INPUT_TEXT, note),)))
    )
