"""Recognises a session's committed caller turns, each in its own task."""

import asyncio
import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bridge.realtime.event_values import ApiError, Usage
from bridge.realtime.events import (
    InputTranscriptCompleted,
    InputTranscriptDelta,
    InputTranscriptFailed,
)
from bridge.realtime.ids import ItemId
from bridge.realtime.items import ContentPart, Message, PartKind
from bridge.simulator.agent import SimulatedAgent
from bridge.simulator.channel import Channel
from bridge.simulator.conversation import Conversation

_WORD = re.compile(r"\S+\s*")


class TurnHearing:
    """Recognises one session's turns.

    Args:
        agent: has the ear.
        conversation: has the turns as items; what was understood is put down there.
        channel: transcripts go there, where the session wants them.
    """

    def __init__(self, agent: SimulatedAgent, conversation: Conversation, channel: Channel) -> None:
        self._agent = agent
        self._conversation = conversation
        self._channel = channel
        self._turns: dict[ItemId, asyncio.Task[None]] = {}

    def begin(self, item_id: ItemId, audio: NDArray[np.int16], rate_hz: int) -> None:
        """Begin to understand a turn.

        Args:
            item_id: its item, which the conversation has.
            audio: (n,) int16 at ``rate_hz``.
        """
        transcribe = self._channel.config.transcription is not None
        self._turns[item_id] = self._channel.start(
            self._hear(item_id, audio, rate_hz, transcribe), f"hear {item_id}"
        )

    async def until_heard(self, item_id: ItemId) -> None:
        """Wait until a turn is understood, or is not."""
        turn = self._turns.get(item_id)
        if turn is not None:
            # Shielded: a cancelled response must not stop the transcription.
            await asyncio.shield(turn)

    async def until_all_heard(self) -> None:
        """Wait until every turn that was begun by now is."""
        for item_id in tuple(self._turns):
            await self.until_heard(item_id)

    async def _hear(
        self, item_id: ItemId, audio: NDArray[np.int16], rate_hz: int, transcribe: bool
    ) -> None:
        heard = await self._agent.hear(audio, rate_hz)
        entry = self._conversation.get(item_id)
        if entry is not None and isinstance(entry.item, Message):
            part = ContentPart(PartKind.INPUT_AUDIO, heard if transcribe else None)
            item = replace(entry.item, parts=(part,))
            self._conversation.put(item_id, replace(entry, item=item, heard=heard))
        if not transcribe:
            return
        if heard is None:
            error = ApiError(
                "transcription_error",
                "The audio could not be understood.",
                code="audio_unintelligible",
            )
            self._channel.emit(InputTranscriptFailed(item_id, 0, error))
        else:
            for word in _WORD.findall(heard):
                self._channel.emit(InputTranscriptDelta(item_id, 0, word))
            usage = Usage(seconds=round(audio.size / rate_hz, 2))
            self._channel.emit(InputTranscriptCompleted(item_id, 0, heard, usage))
