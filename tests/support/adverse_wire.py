"""Frames of the adverse service: a WebSocket server's connection that cuts and spoils them."""

import json
import random
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode

from tests.support.adverse_mischief import Mischief, Opening

_BEYOND_BOUNDS = 6 * 1024 * 1024
_RSV1 = 0x40
"""Of a frame's first octet: RFC 7692 section 6, where an extension was agreed to."""


class AdverseConnection(ServerConnection):
    """A connection that sends as it is told to.

    Attributes:
        frames: how the messages from now on are framed.
        opening: what goes wrong as its session opens.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: the library's own
        super().__init__(*args, **kwargs)
        self.frames = Mischief.NONE
        self.opening = Opening.PLAIN
        self._dice = random.Random(1)

    def send_data(self) -> None:
        """Write what is due; shredded, in pieces of which each is a segment of its own."""
        if self.frames is not Mischief.SHREDDED:
            super().send_data()
            return
        for data in self.protocol.data_to_send():
            at = 0
            while at < len(data):
                size = self._dice.choice((1, 2, 7, 60, 500))
                self.transport.write(data[at : at + size])
                at += size

    async def tell(self, event: dict[str, Any]) -> None:  # Any: JSON
        """Send one event."""
        text = json.dumps(event)
        third = len(text) // 3
        match self.frames:
            case Mischief.CONTINUATION:
                await self.send([text[:1], text[1:third], "", text[third:]])
            case Mischief.PING_INSIDE:
                self._write(Frame(Opcode.TEXT, text[:third].encode(), fin=False))
                self._write(Frame(Opcode.PING, b"inside"))
                self._write(Frame(Opcode.CONT, text[third:].encode()))
            case Mischief.BINARY:
                await self.send(text.encode())
            case _:
                await self.send(text)

    def spoil(self, mischief: Mischief) -> None:
        """Send a frame that no client has to bear."""
        match mischief:
            case Mischief.TOO_LARGE:
                self._write(Frame(Opcode.TEXT, b'{"type":"' + b"x" * _BEYOND_BOUNDS))
            case Mischief.COMPRESSED:
                frame = bytearray(Frame(Opcode.TEXT, b"\xca\x4f\xca").serialize(mask=False))
                frame[0] |= _RSV1  # the library itself would refuse to
                self.transport.write(bytes(frame))
            case Mischief.MASKED:
                self.transport.write(Frame(Opcode.TEXT, b"{}").serialize(mask=True))
            case Mischief.BAD_UTF8:
                self._write(Frame(Opcode.TEXT, b'{"type":"\xff\xfe"}'))

    def stop_ponging(self) -> None:
        """Answer no ping any more."""
        send = self.protocol.send_frame

        def send_others(frame: Frame) -> None:
            if frame.opcode is not Opcode.PONG:
                send(frame)

        self.protocol.send_frame = send_others  # type: ignore[method-assign]  # on purpose

    def stop_reading(self) -> None:
        """Read nothing any more."""
        self.transport.pause_reading()

    def cut(self) -> None:
        """End the connection without a close, TLS without its close_notify."""
        self.transport.abort()

    def _write(self, frame: Frame) -> None:
        self.transport.write(frame.serialize(mask=False))
