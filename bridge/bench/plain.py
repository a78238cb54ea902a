"""The plain way: a gateway as pjsua2's documentation suggests one, for comparison.

Each call has an `AudioMediaPort` at 24 kHz. Every 20 ms its callbacks, in the audio clock's thread,
turn a frame into `bytes` and `bytes` into a `ByteVector`; each frame goes up as an event of its
own. Written against pjsua2 and websockets alone, as another's program would be: nothing of the
bridge's media path is in it. It takes calls for as long as it is measured, and frees none.
"""

import asyncio
import base64
import gc
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from bridge.bench.ready import Ready
from bridge.errors import InfrastructureError
from bridge.telephony.library import import_pjsua2, load_symbols

pj: Any = import_pjsua2()

_RATE_HZ = 24_000
_FRAME_BYTES = _RATE_HZ // 50 * 2
_POLL_S = 0.01
_MOST_CALLS = 1024


class _Port(pj.AudioMediaPort):  # type: ignore[misc]  # SWIG class without types
    """One call's audio; its callbacks run in PJSIP's clock thread."""

    def __init__(self, on_frame: Callable[[bytes], None]) -> None:
        super().__init__()
        self._on_frame = on_frame
        self._lock = threading.Lock()
        self._waiting = bytearray()
        audio_format = pj.MediaFormatAudio()
        audio_format.init(pj.PJMEDIA_FORMAT_PCM, _RATE_HZ, 1, 20_000, 16)
        self.createPort("plain", audio_format)

    def play(self, audio: bytes) -> None:
        with self._lock:
            self._waiting += audio

    def onFrameRequested(self, frame: Any) -> None:
        """Give PJSIP 20 ms of what was said, or silence."""
        with self._lock:
            audio = bytes(self._waiting[:_FRAME_BYTES])
            del self._waiting[:_FRAME_BYTES]
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        frame.buf = pj.ByteVector(audio.ljust(_FRAME_BYTES, b"\0"))

    def onFrameReceived(self, frame: Any) -> None:
        """Hand 20 ms of the caller's over to the loop."""
        if frame.type == pj.PJMEDIA_FRAME_TYPE_AUDIO:
            self._on_frame(bytes(frame.buf))


class _Call(pj.Call):  # type: ignore[misc]  # SWIG class without types
    """One call and its session."""

    def __init__(self, account: Any, call_id: int, url: str, dialect: str, key: str) -> None:
        super().__init__(account, call_id)
        self._url = f"{url}?model=gpt-realtime-2.1"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._settings: dict[str, object] = {"instructions": "Be brief."}
        if dialect == "beta":
            self._headers["OpenAI-Beta"] = "realtime=v1"
        else:
            self._settings["type"] = "realtime"
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._port = _Port(self._take_frame)
        self._joined = False
        self.task = self._loop.create_task(self._talk(), name="plain call")

    def _take_frame(self, audio: bytes) -> None:
        self._loop.call_soon_threadsafe(self._frames.put_nowait, audio)

    def onCallMediaState(self, prm: Any) -> None:
        """Join the call's audio to the port."""
        if not self._joined:
            self._joined = True
            audio = self.getAudioMedia(-1)
            audio.startTransmit(self._port)
            self._port.startTransmit(audio)

    def onCallState(self, prm: Any) -> None:
        """End the session with the call."""
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.task.cancel()

    async def _talk(self) -> None:
        async with connect(self._url, additional_headers=self._headers, compression=None) as socket:
            update = {"type": "session.update", "session": self._settings}
            await socket.send(json.dumps(update))
            while json.loads(await socket.recv())["type"] != "session.updated":
                continue
            answer = pj.CallOpParam()
            answer.statusCode = 200
            self.answer(answer)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send(socket), name="plain up")
                tasks.create_task(self._receive(socket), name="plain down")

    async def _send(self, socket: ClientConnection) -> None:
        while True:
            audio = base64.b64encode(await self._frames.get()).decode()
            await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))

    async def _receive(self, socket: ClientConnection) -> None:
        async for text in socket:
            event = json.loads(text)
            if event["type"].endswith("audio.delta"):
                self._port.play(base64.b64decode(event["delta"]))


class _Account(pj.Account):  # type: ignore[misc]  # SWIG class without types
    def __init__(self, url: str, dialect: str, key: str) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self._arm = (url, dialect, key)

    def onIncomingCall(self, prm: Any) -> None:
        """Open a session for it."""
        self.calls.append(_Call(self, prm.callId, *self._arm))


async def run_plain(
    url: str, dialect: str, key: str, announce: Callable[[Ready], None], stopped: Awaitable[object]
) -> None:
    """Take calls until ``stopped`` is done.

    Args:
        url: WebSocket URL of the Realtime server, without the model.
        dialect: `ga` or `beta`.
        key: API key.
        announce: receives where it listens.
        stopped: ends it.

    Raises:
        InfrastructureError: PJSIP can't be had.
    """
    gc.disable()  # pjsua2's objects may be freed in this thread only
    try:
        endpoint, account, ready = _start(url, dialect, key)
    except pj.Error as error:
        raise InfrastructureError(f"PJSIP did not start: {error.reason}") from error
    announce(ready)
    polling = asyncio.create_task(_poll(endpoint), name="plain poll")
    try:
        await stopped
        for call in account.calls:
            call.task.cancel()
        await asyncio.gather(*(call.task for call in account.calls), return_exceptions=True)
    finally:
        polling.cancel()
        endpoint.hangupAllCalls()
        endpoint.libDestroy(pj.PJSUA_DESTROY_NO_RX_MSG)


def _start(url: str, dialect: str, key: str) -> tuple[Any, _Account, Ready]:
    symbols = load_symbols()
    symbols.pj_log_set_level(0)
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.maxCalls = _MOST_CALLS
    config.logConfig.level = config.logConfig.consoleLevel = 0
    # The bridge's own settings, so that ports and callbacks are all that differs.
    config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.boundAddress = "127.0.0.1"
    number = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    address = str(endpoint.transportGetInfo(number).localName)
    endpoint.libStart()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 255 if codec.codecId == "PCMU/8000/1" else 0)
    endpoint.audDevManager().setNullDev()
    settings = pj.AccountConfig()
    settings.idUri = f"sip:plain@{address}"
    settings.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    account = _Account(url, dialect, key)
    account.create(settings, True)
    limit = int(symbols.pjsua_call_get_max_count())
    return endpoint, account, Ready(f"sip:{address}", limit, endpoint.libVersion().full, "plain")


async def _poll(endpoint: Any) -> None:
    while True:
        while endpoint.libHandleEvents(0) > 0:
            continue
        await asyncio.sleep(_POLL_S)
