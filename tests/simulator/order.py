"""Event types in their order (`PROTOCOL.md` section 7), as pieces of which every scene is made.

Runs of one type count once, and so do the two kinds of delta that come by turns; transcription of
the caller may come anywhere and is left out.
"""

from collections.abc import Iterable
from typing import Any

from tests.realtime.official import DialectName

Order = dict[DialectName, list[str]]
DIALECTS: tuple[DialectName, ...] = ("beta", "ga")

USER_ITEM: Order = {
    "beta": ["conversation.item.created"],
    "ga": ["conversation.item.added", "conversation.item.done"],
}
BEGIN: Order = {
    "beta": ["response.created", "rate_limits.updated"],
    "ga": ["response.created"],
}
ENTER: Order = {
    "beta": ["response.output_item.added", "conversation.item.created"],
    "ga": ["response.output_item.added", "conversation.item.added"],
}
LEAVE: Order = {
    "beta": ["response.output_item.done"],
    "ga": ["conversation.item.done", "response.output_item.done"],
}
END: Order = {
    "beta": ["response.done"],
    "ga": ["response.done", "rate_limits.updated"],
}
SPOKEN: Order = {
    "beta": [
        "response.content_part.added",
        "response.audio_transcript.delta",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
    ],
    "ga": [
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
    ],
}
WRITTEN: Order = {
    "beta": [
        "response.content_part.added",
        "response.text.delta",
        "response.text.done",
        "response.content_part.done",
    ],
    "ga": [
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
    ],
}
CALLED = ["response.function_call_arguments.delta", "response.function_call_arguments.done"]
HEARD = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
]
AUDIO_DELTAS = ("response.audio.delta", "response.output_audio.delta")


def order_of(events: Iterable[dict[str, Any]]) -> list[str]:
    """Return the types, runs as one, without audio deltas between transcript deltas."""
    order: list[str] = []
    for event in events:
        kind = event["type"]
        if kind not in AUDIO_DELTAS and "input_audio_transcription" not in kind:
            order += [kind] if order[-1:] != [kind] else []
    return order
