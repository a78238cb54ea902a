"""A persona's reply, as its text model writes it: read, checked and cut to speakable words. Pure.

The model is asked for one JSON object. Words without any brace are taken for what the caller says;
whatever else is no reply.
"""

import re
from dataclasses import dataclass

from bridge.replay.chat.json_in_text import find_object
from bridge.replay.script.persona import LONGEST_TEXT
from bridge.speech.words import words_of

_DIGITS = re.compile(r"[0-9*#A-D]{1,32}")
_NOT_SPOKEN = re.compile(r"[\x00-\x1f\x7f-\x9f<>{}\[\]|\\^~`]+")
_ENDS_OF_SENTENCES = ".?!"


@dataclass(frozen=True, slots=True)
class PersonaReply:
    """A persona's next words, or its end of the call.

    Attributes:
        say: words; "" says nothing.
        interrupt: words into the agent's answer, if it still speaks then; "" for none.
        press: keys, in place of words; "" for none.
        done: the caller hangs up after this.
        reached: the caller has what it wanted.
        why: of the end.
    """

    say: str = ""
    interrupt: str = ""
    press: str = ""
    done: bool = False
    reached: bool = False
    why: str = ""


class NoReply(ValueError):
    """The model's text is no reply; its text says why, without a word of the model's."""


def parse_reply(text: str) -> PersonaReply:
    """Read what a model wrote.

    Raises:
        NoReply: it is no reply that a caller could act on.
    """
    found = find_object(text)
    if found is None:
        if "{" in text:
            raise NoReply("JSON that can't be read")
        found = {"say": text}
    press = _text(found, "press").replace(" ", "")
    if press and not _DIGITS.fullmatch(press):
        raise NoReply("'press' is no keys of a telephone")
    done = _flag(found, "done")
    say = speakable(_text(found, "say"))
    if not (say or press or done):
        raise NoReply("neither words nor keys nor an end")
    return PersonaReply(
        say="" if press else say,
        interrupt=speakable(_text(found, "interrupt")) if say and not press else "",
        press=press,
        done=done,
        reached=done and _flag(found, "reached"),
        why=" ".join(_text(found, "why").split())[:LONGEST_TEXT],
    )


def speakable(text: str) -> str:
    """Return the words that can be spoken: one line, no markup, no longer than a turn may be."""
    words = " ".join(_NOT_SPOKEN.sub(" ", text).split())
    if not words_of(words):
        return ""
    if len(words) <= LONGEST_TEXT:
        return words
    cut = words[:LONGEST_TEXT]
    end = max(cut.rfind(mark) for mark in _ENDS_OF_SENTENCES)
    return cut[: end + 1] if end > 0 else cut.rpartition(" ")[0] or cut


def _text(found: dict[str, object], name: str) -> str:
    value = found.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise NoReply(f"'{name}' is no text")
    return value.strip()


def _flag(found: dict[str, object], name: str) -> bool:
    value = found.get(name, False)
    if not isinstance(value, bool):
        raise NoReply(f"'{name}' is neither true nor false")
    return value
