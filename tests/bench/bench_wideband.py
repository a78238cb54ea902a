"""Cost of a call with PJSIP, the rings and both resamplers, for three kinds of call.

Claim: G.711 costs as much where a trunk has G.722 as where none has.

    .venv-cap/bin/python -m tests.bench.bench_wideband [--calls 30] [--hold-s 10]

In turns: G.711 on a gateway without G.722, G.711 on one with it, G.722. Each call talks and is
talked to all the time; the phones are a process of their own. CPU is user and system time of the
process with PJSIP, all threads, in % of a core a call. Take ratios, not absolutes.
"""

import os

# numpy's BLAS reads this when it is loaded; the gateway sets it, too.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import asyncio
import contextlib
import gc
import multiprocessing as mp
import sys
import time
from multiprocessing.connection import Connection

from bridge.config.sip import SipSettings
from bridge.realtime.ids import ItemId
from tests.audio.signals import noise
from tests.support.raw_sip import RawSip, sdp
from tests.support.rtp import G722_TYPE, RtpPeer
from tests.telephony.rig import Rig

KINDS = (("G.711", False, 0), ("G.711 beside G.722", True, 0), ("G.722", True, G722_TYPE))
ROUNDS = 2
SPEECH_S = 2


async def phones(port: int, calls: int, payload_type: int, orders: Connection) -> None:
    """Call, talk until the order to end comes, and hang up."""
    async with contextlib.AsyncExitStack() as stack:
        sip = await stack.enter_async_context(RawSip(port))
        talks = []
        for number in range(calls):
            rtp = await stack.enter_async_context(RtpPeer(payload_type))
            rtp.say(noise(320 * 50 * SPEECH_S, seed=number, peak=8_000))
            rtp.repeats = True
            talk = sip.talk()
            answer = await talk.call(sdp(f"m=audio {rtp.port} RTP/AVP {payload_type}\r\n"))
            rtp.stream(int(answer.media[0].split()[1]))
            talks.append(talk)
        orders.send("talking")
        await asyncio.to_thread(orders.recv)
        for talk in talks:
            await talk.ask("BYE")


def run_phones(port: int, calls: int, payload_type: int, orders: Connection) -> None:
    asyncio.run(phones(port, calls, payload_type, orders))


async def measure(calls: int, hold_s: float, payload_type: int, *, wide: bool) -> float:
    """Return the CPU of one call, % of a core."""
    codecs = ["PCMU", "G722"] if wide else ["PCMU"]
    settings = {"host": "127.0.0.1", "port": 0, "codecs": codecs}
    rig = Rig(SipSettings.model_validate(settings))
    rig.start()
    ours, theirs = mp.Pipe()
    child = mp.get_context("spawn").Process(
        target=run_phones, args=(rig.endpoint.port, calls, payload_type, theirs)
    )
    child.start()
    try:
        await asyncio.to_thread(ours.recv)
        speech = noise(24_000 * SPEECH_S, seed=1, peak=8_000).astype("<i2").tobytes()
        gc.collect()
        began_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
        for turn in range(round(hold_s / SPEECH_S)):
            for call in rig.calls:
                rig.pump.downlink.play(call.row, ItemId(f"item-{turn}"), 0, speech)
                call.pieces.clear()
            await asyncio.sleep(SPEECH_S)
        took = (time.process_time_ns() - cpu_ns) / (time.monotonic_ns() - began_ns)
        ours.send("end")
        await asyncio.to_thread(child.join)
    finally:
        child.kill()
        rig.stop()
    return took * 100 / calls


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--hold-s", type=float, default=10)
    given = parser.parse_args()
    gc.disable()  # a collection in PJSIP's threads would end the process
    for _ in range(ROUNDS):
        for name, wide, payload_type in KINDS:
            cpu = asyncio.run(measure(given.calls, given.hold_s, payload_type, wide=wide))
            sys.stdout.write(f"{name:20} {cpu:.3f} % of a core a call\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
