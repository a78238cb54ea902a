"""Makes up a persona's next words, with a text model or by a table of scripted replies."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.replay.chat.client import ChatAnswer, ChatError, ChatMessage, ChatModel
from bridge.replay.chat.stand_in import Answer
from bridge.replay.checks.words import contains_words
from bridge.replay.persona.prompt import HEARD, first_message, heard_message
from bridge.replay.persona.reply import NoReply, PersonaReply, parse_reply
from bridge.replay.script import Persona, ScriptedReply

_NONE_FITS = ScriptedReply(
    done=True, reached=False, why="none of the stand-in's replies fits what it heard"
)

_ATTEMPTS = 2


@dataclass(slots=True)
class SpentTokens:
    """The part of its limits that a conversation has used."""

    tokens: int = 0
    cost_usd: float = 0.0


class Mind:
    """Makes up a persona's replies in one call.

    Attributes:
        spent: up to now, answers that were no replies included.
    """

    def __init__(self, persona: Persona, model: ChatModel) -> None:
        self.spent = SpentTokens()
        self._persona = persona
        self._model = model
        self._messages = [first_message(persona)]

    async def reply(self, heard: str) -> PersonaReply:
        """Return what the persona does next; the model is asked again for what is no reply.

        Args:
            heard: of the agent, over the phone line, since the last reply.

        Raises:
            ChatError: there is none.
        """
        self._messages.append(heard_message(heard))
        again: list[ChatMessage] = []
        problem = ""
        for _ in range(_ATTEMPTS):
            answer = await self._model.ask([*self._messages, *again])
            self._count(answer)
            try:
                reply = parse_reply(answer.text)
            except NoReply as error:
                problem = str(error)
                again = [
                    ChatMessage("assistant", answer.text),
                    ChatMessage("user", f"That was {problem}. Answer with the JSON object alone."),
                ]
            else:
                self._messages.append(ChatMessage("assistant", answer.text))
                return reply
        raise ChatError(
            f"the text model {self._model.name} gave no reply: it wrote {problem}",
            remedy="take a model that follows instructions to answer in JSON",
        )

    def _count(self, answer: ChatAnswer) -> None:
        self.spent.tokens += answer.tokens
        self.spent.cost_usd += answer.cost_usd(self._persona.model)


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
