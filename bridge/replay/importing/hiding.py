"""Removes personal data from a recorded call before anybody reads its script.

A turn in which something was redacted is spoken anew, whole, by the script's voice, with a stand-in
in the place of what was taken out. A bleep would be simpler, and no good: a transcript doesn't say
when each word was spoken, so there is nothing to aim at; and an agent that hears a bleep asks
again, so that the rest of the call would be another call.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import JsonValue

from bridge.redaction.kinds import Kind
from bridge.redaction.turns import Redactor

NAME = "[name]"

STAND_INS = {
    "[card]": "four one one one one one one one one one one one one one one one",
    "[ssn]": "zero zero zero one two three four five six",
    "[date]": "the first of January nineteen seventy",
    "[account]": "one two three four five six seven eight",
    "[phone]": "five five five zero one zero zero",
    "[email]": "someone at example dot com",
    NAME: "Robin",
}
"""What is said instead: nobody's. The card's number is Visa's for tests."""

WRITTEN = {
    "[card]": "4111111111111111",
    "[ssn]": "000123456",
    "[date]": "1970-01-01",
    "[account]": "12345678",
    "[phone]": "5550100",
    "[email]": "someone@example.com",
    NAME: "Robin",
}
"""The same in a tool's JSON."""

_PLACEHOLDER = re.compile("|".join(map(re.escape, STAND_INS)))


class Hidden(NamedTuple):
    """A text that can be read by anybody; ``changed`` where something was taken out."""

    text: str
    changed: bool


class Hider:
    """Takes out all kinds of personal data, whatever the call's dialplan left in.

    Args:
        words: more to take out: names, which nothing recognises by itself.
    """

    def __init__(self, words: Sequence[str] = ()) -> None:
        self._redactor = Redactor(frozenset(Kind))
        named = "|".join(re.escape(word) for word in words if word.strip())
        self._names = re.compile(rf"\b(?:{named})\b", re.IGNORECASE) if named else None
        self.method = "bridge.redaction, all kinds" + (f", {len(words)} names" if words else "")

    def hide(self, text: str, asked: str = "") -> Hidden:
        """Return a text as it may be read and spoken.

        Args:
            text: a whole turn; what was redacted before is a placeholder in it.
            asked: what it answers.
        """
        redacted = self._redact(text, asked)
        spoken = _PLACEHOLDER.sub(lambda found: STAND_INS[found[0]], redacted)
        return Hidden(spoken, spoken != text)

    def hide_json(self, value: JsonValue, named: str = "") -> JsonValue:
        """Return what a tool was asked or answered; a field's name counts as the question."""
        match value:
            case dict():
                return {name: self.hide_json(inner, name) for name, inner in value.items()}
            case list():
                return [self.hide_json(inner, named) for inner in value]
            case bool() | None:
                return value
            case _:
                redacted = self._redact(str(value), named.replace("_", " "))
                written = _PLACEHOLDER.sub(lambda found: WRITTEN[found[0]], redacted)
                return value if written == str(value) else written

    def _redact(self, text: str, asked: str) -> str:
        redacted = self._redactor.redact(text, asked)
        return redacted if self._names is None else self._names.sub(NAME, redacted)


def stands_in(value: JsonValue) -> bool:
    """Return whether a tool's argument is a stand-in."""
    return isinstance(value, str) and any(each in value for each in WRITTEN.values())
