"""Appends of caller audio as finished frames: a dialect's own, with the audio put into the gap.

A dialect's encode table alone knows what an append looks like. It is asked once, with a name and
audio that can be found again; what it wrote around them is what stands around all others.
"""

from collections.abc import Callable

import pybase64

from bridge.realtime.commands import AppendAudio, Command

_EVENT_ID = "append_template"
_AUDIO = bytes(range(48))


class AppendFrames:
    """Writes append frames.

    Args:
        encode: the dialect's (:meth:`bridge.realtime.dialect.Dialect.encode`).

    Raises:
        ValueError: the dialect's frame doesn't hold the name, and then the audio in base64, once.
    """

    def __init__(self, encode: Callable[[Command, str | None], str]) -> None:
        frame = encode(AppendAudio(_AUDIO), _EVENT_ID).encode()
        name, audio = _EVENT_ID.encode(), pybase64.b64encode(_AUDIO)
        head, _, rest = frame.partition(name)
        between, _, tail = rest.partition(audio)
        if head + name + between + audio + tail != frame or name in tail or audio in tail:
            raise ValueError("this dialect's append is no frame around an event_id and base64")
        self._head, self._between, self._tail = head, between, tail

    def encode(self, audio: bytes, event_id: str) -> bytes:
        """Spell an append, as the dialect would, as UTF-8.

        Args:
            audio: raw bytes in the session's input format.
            event_id: of letters, digits and ``_``; nothing is escaped.
        """
        return b"%b%b%b%b%b" % (
            self._head,
            event_id.encode(),
            self._between,
            pybase64.b64encode(audio),
            self._tail,
        )
