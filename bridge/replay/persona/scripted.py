"""The replies of a persona's stand-in, chosen by the agent's words as they were heard. Pure."""

import json
from collections.abc import Sequence

from bridge.replay.chat.client import ChatMessage
from bridge.replay.chat.stand_in import Answer
from bridge.replay.checks.words import contains_words
from bridge.replay.persona.prompt import HEARD
from bridge.replay.script import ScriptedReply

_NONE_FITS = ScriptedReply(
    done=True, reached=False, why="none of the stand-in's replies fits what it heard"
)


def scripted_answers(replies: Sequence[ScriptedReply]) -> Answer:
    """Return what answers as a table of replies says.

    Each reply is used once: the first that is left, and whose `hears` the agent has said.
    """

    def answer(messages: Sequence[ChatMessage]) -> str:
        left = list(replies)
        chosen = _NONE_FITS
        for message in messages:
            if message.role == "user":
                heard = message.content.removeprefix(HEARD)
                chosen = next((each for each in left if _fits(each, heard)), _NONE_FITS)
                if chosen in left:
                    left.remove(chosen)
        return json.dumps(chosen.model_dump(exclude={"hears"}, exclude_none=True))

    return answer


def _fits(reply: ScriptedReply, heard: str) -> bool:
    return not reply.hears or any(contains_words(heard, words) for words in reply.hears)
