"""Finding a long ``delta`` in a frame's text, so that no JSON parser has to pass over it.

The cut is only made where it can't be wrong. In valid JSON without any backslash beside the value,
``"delta":"`` begins a member called ``delta``; if the word stands nowhere else in quotes, it is the
frame's only one. Whether it stands at the top the caller sees by the rest: its ``delta`` is empty.
"""

from typing import NamedTuple

_KEY = '"delta":"'
_WORD = '"delta"'


class Cut(NamedTuple):
    """A frame in two.

    Attributes:
        rest: the frame with an empty delta.
        delta: what stood between its quotes, unread; it may hold what no JSON string may.
    """

    rest: str
    delta: str


def cut_delta(frame: str) -> Cut | None:
    """Cut the delta out of a frame; None where only a parser can tell what is what."""
    key = frame.find(_KEY)
    start = key + len(_KEY)
    end = frame.find('"', start)
    if key < 0 or end < 0:
        return None
    head, tail = frame[:key], frame[end:]
    if "\\" in head or "\\" in tail or _WORD in head or _WORD in tail:
        return None
    return Cut(frame[:start] + tail, frame[start:end])
