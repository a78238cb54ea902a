"""The files that an interruption crosses, from the sound to the truncate, are ARCHITECTURE.md's."""

import numpy as np
import pytest

from bridge.audio.ledger import PlayedItem
from bridge.audio.sounds import SoundChange, SoundLasted
from bridge.engine.effects import FlushPlayout, Send
from bridge.engine.media import PlayoutFlushed
from bridge.realtime.commands import CancelResponse, TruncateItem
from bridge.session.write_queue import QueuedFrame
from tests.live.conftest import StartGateway
from tests.live.peer import tone_peer
from tests.live.way import Way, drawn
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]

MOST_FILES = 16
FRAMES = ('{"type":"response.cancel"', '{"type":"conversation.item.truncate"')
TONE_S = 0.9


def holds_interruption(value: object) -> bool:
    """Whether a value is what an interruption is made of, or has it.

    That is the caller's sound that lasts, the flush and what it reports, and the two commands, as
    such and as frames.
    """
    match value:
        case SoundChange() | SoundLasted() | FlushPlayout() | PlayedItem() | PlayoutFlushed():
            return True
        case CancelResponse() | TruncateItem():
            return True
        case Send(command=each) | QueuedFrame(text=each):
            return holds_interruption(each)
        case str():
            return value.startswith(FRAMES)
        case tuple() | list():
            return any(holds_interruption(each) for each in value)
    return False


async def test_an_interruption_crosses_the_files_that_the_architecture_names(
    start_gateway: StartGateway,
) -> None:
    way = Way(holds_interruption)
    time_s = np.arange(int(8_000 * TONE_S)) / 8_000
    async with tone_peer() as (peer, url):
        _, port = await start_gateway(url)
        async with RtpCaller(port) as caller:
            assert await caller.call() == 200
            await caller.until(lambda: sum(each.loud for each in caller.heard) > 50)
            caller.speak((9_000 * np.sin(2 * np.pi * 300 * time_s)).astype(np.int16))
            with way.watching():
                await peer.until_sent("conversation.item.truncate")
    kinds = [each["type"] for each in peer.sent]
    assert kinds.index("response.cancel") < kinds.index("conversation.item.truncate")
    assert way.crossed == drawn("7", "sound", "silence", "commands")
    assert len(way.crossed) <= MOST_FILES
