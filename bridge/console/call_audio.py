"""A live call's audio and a supervisor's WebSocket, on the node that has the call.

The calls themselves are not the console's: it knows them by :class:`LocalCalls`, which the gateway
gives it.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from itertools import count
from typing import Protocol

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from bridge.audio.supervisor_frames import (
    FRAME_MS,
    TALK_BYTES,
    TalkFrame,
    decode_talk,
    encode_listen,
)
from bridge.realtime.pictures import Picture
from bridge.telephony.audience import Listener

log = structlog.get_logger(__name__)

CALL_OVER_CODE = 4410
"""WebSocket close code: the call has ended, or never had audio here."""

BAD_FRAME_CODE = 1007

TOO_MUCH_CODE = 1008
"""WebSocket close code: more was sent than there can be to say (RFC 6455 section 7.4.1)."""

_BURST_MS = 3_000
_FASTEST = 1.5
"""A microphone gives a second of audio a second, and what a network held back comes at once. Who
sends more would take the loop's time from the calls."""


class SupervisorAudio(Protocol):
    """A live call's audio, as supervisors hear it and are heard in it."""

    def listen(self, by: str, *, private: bool = False) -> Listener | None:
        """Have somebody hear it from now on; None where there is nothing to hear."""
        ...

    def stop_listening(self, listener: Listener) -> None:
        """Have them hear it no more."""
        ...

    def connect(self, by: str) -> None:
        """Note that a supervisor's microphone is there."""
        ...

    def disconnect(self, by: str) -> None:
        """Note that it is gone."""
        ...

    def push(self, by: str, frame: TalkFrame) -> None:
        """Take what a supervisor says."""
        ...


class LocalCalls(Protocol):
    """The calls of this node."""

    def audio_of(self, call_id: str) -> SupervisorAudio | None:
        """Return a call's audio; None for a call that is not here."""
        ...

    def bring(self, call_id: str, picture: Picture) -> bool:
        """Keep a picture for an order about a call; return whether the call is here."""
        ...


class NoCalls:
    """A console without calls of its own."""

    def audio_of(self, call_id: str) -> SupervisorAudio | None:
        """Return None."""
        return None

    def bring(self, call_id: str, picture: Picture) -> bool:
        """Return False."""
        return False


async def serve_listener(
    socket: WebSocket, audio: SupervisorAudio, by: str, *, private: bool = False
) -> int:
    """Send what is said until one of both sides goes; return how many frames were sent.

    Args:
        socket: accepted.
        audio: of the call.
        by: the supervisor.
        private: no other supervisor is to see it.
    """
    listener = audio.listen(by, private=private)
    if listener is None:
        await socket.close(CALL_OVER_CODE)
        return 0
    sent = count()
    try:
        await _first_done(_send_frames(socket, listener, sent), _until_gone(socket))
    finally:
        audio.stop_listening(listener)
    return next(sent)


async def serve_talker(socket: WebSocket, audio: SupervisorAudio, by: str) -> int:
    """Take what a supervisor says until the connection goes; return how many frames came.

    Args:
        socket: accepted.
        audio: of the call.
        by: the supervisor.
    """
    frames = said_bytes = 0
    audio.connect(by)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    try:
        while True:
            frame = decode_talk(await socket.receive_bytes())
            audio.push(by, frame)
            frames += 1
            said_bytes += len(frame.audio)
            may_ms = (loop.time() - began_s) * 1000 * _FASTEST + _BURST_MS
            if said_bytes * FRAME_MS / TALK_BYTES > may_ms:
                log.warning("talker_too_fast", frames=frames)
                await socket.close(TOO_MUCH_CODE)
                return frames
    except WebSocketDisconnect:
        pass
    except (ValueError, KeyError) as error:  # KeyError: text where audio is expected
        log.warning("talk_frame_unreadable", error=str(error))
        await socket.close(BAD_FRAME_CODE)
    finally:
        audio.disconnect(by)
    return frames


async def _send_frames(socket: WebSocket, listener: Listener, sent: Iterator[int]) -> None:
    while (frame := await listener.get()) is not None:
        await socket.send_bytes(encode_listen(frame))
        next(sent)
    await socket.close(CALL_OVER_CODE)


async def _until_gone(socket: WebSocket) -> None:
    """Wait for the other side to close; who says something here is no listener, and is let go."""
    if (await socket.receive())["type"] != "websocket.disconnect":
        await socket.close(TOO_MUCH_CODE)


async def _first_done(*steps: Coroutine[None, None, None]) -> None:
    """Run steps until the first one ends; a connection that breaks ends them, too."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect):
                log.debug("listener_gone", error=str(error))
