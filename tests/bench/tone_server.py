"""A Realtime service that costs next to nothing: tone deltas at the pace of speech.

    python -m tests.bench.tone_server [--delta-ms 100]

Prints its port as one line of JSON. Every session is one answer without an end; what it is sent is
walked frame by frame and counted, and printed when standard input ends.
"""

import argparse
import asyncio
import base64
import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from typing import cast

import uvloop

from tests.audio.signals import tone

AGENT_HZ = 24_000
LEAD_MS = 600
"""Agents speak faster than they are heard; this much comes at once."""
TRANSCRIPT_EVERY = 3
"""One piece of transcript to so many deltas: about three words a second."""
STEP_S = 0.005

_ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_CLOSE = 0x8
_NAME = "event_000000000"
_SPOKEN = {
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
}


def frame(kind: str, **fields: object) -> bytes:
    """One text frame from a server: no mask (RFC 6455 section 5.2)."""
    payload = json.dumps({"type": kind, **fields}, separators=(",", ":")).encode()
    length = len(payload)
    if length < 126:
        head = bytes([0x81, length])
    elif length < 65_536:
        head = bytes([0x81, 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([0x81, 127]) + length.to_bytes(8, "big")
    return head + payload


def deltas(ms: int) -> Iterator[bytes]:
    """Audio deltas of a tone for ever, each with a name of its own; nothing is encoded twice."""
    samples = tone(440, AGENT_HZ, AGENT_HZ * ms // 1000, amplitude=8000).astype("<i2").tobytes()
    base64_audio = base64.b64encode(samples).decode()
    audio = _around_name("response.output_audio.delta", delta=base64_audio)
    words = _around_name("response.output_audio_transcript.delta", delta=" tone")
    for number in itertools.count():
        heard = _numbered(2 * number).join(audio)
        said = number % TRANSCRIPT_EVERY == 0
        yield heard + _numbered(2 * number + 1).join(words) if said else heard


def _numbered(number: int) -> bytes:
    return b"%0*d" % (len(_NAME), number)


def _around_name(kind: str, **fields: object) -> list[bytes]:
    """A delta's frame, before and behind its event_id."""
    return frame(kind, event_id=_NAME, **_SPOKEN, **fields).split(_NAME.encode())


class Session(asyncio.Protocol):
    """One connection."""

    frames = bytes_in = 0
    sessions: list["Session"]

    def __init__(self, sessions: list["Session"], delta_ms: int) -> None:
        self.sessions = sessions
        self.due_s: float | None = None
        self.deltas = deltas(delta_ms)
        self.delta_s = delta_ms / 1000
        self._buffer = bytearray()
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, error: Exception | None) -> None:
        if self in self.sessions:
            self.sessions.remove(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if end:
                self._open = True
                self._buffer = bytearray(rest)
                self._accept(head.decode())
            return
        self._walk()

    def _accept(self, request: str) -> None:
        fields = dict(line.split(": ", 1) for line in request.split("\r\n")[1:])
        key = {name.lower(): value for name, value in fields.items()}["sec-websocket-key"]
        accept = base64.b64encode(hashlib.sha1((key + _ACCEPT).encode()).digest()).decode()
        self.transport.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        self._say("session.created", session={"id": "sess_1", "type": "realtime"})

    def _walk(self) -> None:
        buffer, at = self._buffer, 0
        while at + 2 <= len(buffer):
            opcode, length, head = buffer[at] & 15, buffer[at + 1] & 127, 6
            if length == 126:
                length, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 8
            elif length == 127:
                length, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 14
            if at + head + length > len(buffer):
                break
            at += head + length
            if opcode == _CLOSE:
                self.transport.close()
                return
            Session.bytes_in += length
            Session.frames += 1
            if self.due_s is None:
                self._begin()
        del buffer[:at]

    def _begin(self) -> None:
        """Answer the settings, and speak."""
        self._say("session.updated", session={"id": "sess_1", "type": "realtime"})
        asyncio.get_running_loop().call_later(1.0, self._speak)
        self.due_s = float("inf")

    def _speak(self) -> None:
        if self.transport.is_closing():
            return
        self._say("response.created", response={"id": "resp_1", "status": "in_progress"})
        self.due_s = asyncio.get_running_loop().time() - LEAD_MS / 1000
        self.sessions.append(self)

    def _say(self, kind: str, **fields: object) -> None:
        self.transport.write(frame(kind, event_id=f"event_{kind}", **fields))


async def serve(delta_ms: int) -> None:
    loop = asyncio.get_running_loop()
    sessions: list[Session] = []
    server = await loop.create_server(lambda: Session(sessions, delta_ms), "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    ended = loop.run_in_executor(None, sys.stdin.read)
    while not ended.done():
        now_s = loop.time()
        for session in sessions:
            while session.due_s is not None and session.due_s <= now_s:
                session.due_s += session.delta_s
                session.transport.write(next(session.deltas))
        await asyncio.sleep(STEP_S)
    print(json.dumps({"frames": Session.frames, "bytes": Session.bytes_in}), flush=True)
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--delta-ms", type=int, default=100)
    uvloop.run(serve(parser.parse_args().delta_ms))


if __name__ == "__main__":
    main()
