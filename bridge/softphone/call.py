"""One call of a softphone: speaks, presses keys, listens, records.

All that it knows of the agent is what comes out of the RTP stream. Times are ms since the answer,
on the audio clock of its own ring, which is also the clock of its recording. Everything runs in the
loop's thread.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.clock import NS_PER_MS, Clock
from bridge.realtime.ids import ItemId
from bridge.softphone.background import Background
from bridge.softphone.ear import EAR_HZ, PIECE_MS, Ear, HeardUtterance
from bridge.softphone.events import CallProgress, Held, KeysPressed, SoftphoneListener, Spoke
from bridge.telephony.keys import KeyPress
from bridge.telephony.leg import Leg, LegState, TransferProgress
from bridge.telephony.lines import Line
from bridge.telephony.pump import Pump
from bridge.telephony.recorder import Recorder

KEY_MS = 260
"""What PJSIP takes for one RFC 4733 digit: 200 ms of tone and its three end packets."""


_BACKGROUND = ItemId("background")
_PIECE_SAMPLES = EAR_HZ * PIECE_MS // 1000


@dataclass(frozen=True, slots=True)
class AudioSpan:
    """When our own audio, or our keys, were out: [``start_ms``, ``end_ms``)."""

    start_ms: int
    end_ms: int


@dataclass(slots=True)
class _Saying:
    item_id: ItemId
    text: str
    start_ms: int | None = None
    end_ms: int | None = None


class PhoneCall:
    """A call placed by a :class:`bridge.softphone.phone.Softphone`.

    Attributes:
        ear: what was heard.
        answered_after_ms: from the INVITE to the answer; None while there is none.
        answered_wall_ns: when the call's clock was at 0, by the wall clock; None before.
    """

    def __init__(
        self,
        leg: Leg,
        pump: Pump,
        clock: Clock,
        on_event: SoftphoneListener,
        recording: Path | None,
        *,
        keys_by_info: bool = False,
        background: Background | None = None,
    ) -> None:
        self.leg = leg
        self.ear = Ear()
        self.answered_after_ms: int | None = None
        self.answered_wall_ns: int | None = None
        self._pump = pump
        self._clock = clock
        self._on_event = on_event
        self._recording = recording
        self._keys_by_info = keys_by_info
        self._background = background
        self._recorder: Recorder | None = None
        self._line: Line | None = None
        self._dialled_ns = clock.now_ns()
        self._hung_up = False
        self._changed = asyncio.Event()
        self._saying: deque[_Saying] = deque()
        self._numbers = itertools.count(1)
        leg.listener = self
        leg.before_row_closes(self._let_line_go)

    @property
    def elapsed_ms(self) -> int:
        """Audio received since the answer, ms."""
        return self.ear.heard_ms

    @property
    def over(self) -> bool:
        """Whether the call has ended, or we have hung up."""
        return self._hung_up or self.leg.state is LegState.DISCONNECTED

    @property
    def rang(self) -> bool:
        """Whether the far end has sent any ringing or answer."""
        return self.leg.state is not LegState.CALLING

    @property
    def recording_failed(self) -> bool:
        """Whether the disk refused the recording."""
        return self._recorder is not None and self._recorder.failed

    # Waiting: every method returns at the call's end, too. Before the answer the clock is the
    # loop's, then the call's own.

    async def answered(self, timeout_s: float) -> bool:
        """Wait until media flows; False when the call was refused or nobody answered."""
        await self._until(lambda: self._line is not None or self.over, timeout_s)
        return self.answered_after_ms is not None

    async def ringing(self, timeout_s: float) -> bool:
        """Wait until the far end has reacted at all."""
        return await self._until(lambda: self.rang or self.over, timeout_s)

    async def heard_after(self, at_ms: int, patience_ms: int) -> HeardUtterance | None:
        """Wait until the agent is heard after ``at_ms``; None if it wasn't in time."""
        gives_up_ms = self.elapsed_ms + patience_ms
        await self._until(
            lambda: self.ear.first_after(at_ms) is not None or self._past(gives_up_ms)
        )
        return self.ear.first_after(at_ms)

    async def voice_after(self, at_ms: int, patience_ms: int) -> int | None:
        """Wait until a voice is heard after ``at_ms``; return its begin, None if not in time."""
        gives_up_ms = self.elapsed_ms + patience_ms
        await self._until(
            lambda: self.ear.voice_after(at_ms) is not None or self._past(gives_up_ms)
        )
        return self.ear.voice_after(at_ms)

    async def quiet(self, quiet_ms: int, patience_ms: int) -> bool:
        """Wait until the agent has not been heard for ``quiet_ms``."""
        gives_up_ms = self.elapsed_ms + patience_ms
        await self._until(lambda: self.ear.quiet_ms >= quiet_ms or self._past(gives_up_ms))
        return self.ear.quiet_ms >= quiet_ms

    async def until_ms(self, at_ms: int) -> None:
        """Wait until the call is ``at_ms`` old."""
        await self._until(lambda: self._past(at_ms))

    async def until_over(self) -> None:
        """Wait until the far end has hung up, or we have."""
        await self._until(lambda: self.over)

    # Doing

    async def say(
        self, text: str, samples: npt.NDArray[np.int16], *, cut_after_ms: int | None = None
    ) -> AudioSpan | None:
        """Send speech and wait until it is out; what is being said is not cut.

        Args:
            text: what it is called in events.
            samples: (n,) int16 at 24 kHz.
            cut_after_ms: wait only until so much of it is out (to hang up in its middle).

        Returns:
            When it was out, up to the call's end at most; None if nothing of it was.
        """
        if self._line is None or not samples.size:
            return None
        saying = _Saying(ItemId(f"say-{next(self._numbers)}"), text)
        self._saying.append(saying)
        mixed = samples if self._background is None else self._background.under(samples)
        audio = mixed.astype("<i2").tobytes()

        def cut() -> bool:
            if cut_after_ms is None or saying.start_ms is None:
                return False
            return self.elapsed_ms >= saying.start_ms + cut_after_ms

        self._pump.downlink.play(self._line.row, saying.item_id, 0, audio)
        await self._until(lambda: saying.end_ms is not None or self.over or cut())
        if saying.start_ms is None:
            return None
        return AudioSpan(saying.start_ms, saying.end_ms or self.elapsed_ms)

    async def press(self, digits: str, gap_ms: int = 0) -> AudioSpan:
        """Press keys and wait until they are out.

        Args:
            digits: ``0-9 * # A-D``.
            gap_ms: between two keys, beyond the pause that PJSIP makes.

        Raises:
            TelephonyError: the far end takes none.
        """
        start_ms = self.elapsed_ms
        self._on_event(KeysPressed(digits, start_ms))
        groups = list(digits) if gap_ms else [digits]
        for number, group in enumerate(groups):
            if number:
                await self.until_ms(self.elapsed_ms + gap_ms)
            self.leg.send_digits(group, by_info=self._keys_by_info)
            await self.until_ms(self.elapsed_ms + KEY_MS * len(group))
        return AudioSpan(start_ms, self.elapsed_ms)

    async def hold(self, ms: int, timeout_s: float = 5.0) -> AudioSpan | None:
        """Put the far end on hold for a while, and take it back.

        Returns:
            From when it was on hold to when it was back; None where it was not put on hold.

        Raises:
            TelephonyError: PJSIP refused a re-INVITE.
        """
        self.leg.hold()
        if not await self._until(lambda: self.leg.held or self.over, timeout_s) or self.over:
            return None
        start_ms = self.elapsed_ms
        await self.until_ms(start_ms + ms)
        self.leg.resume()
        await self._until(lambda: not self.leg.held or self.over, timeout_s)
        return AudioSpan(start_ms, self.elapsed_ms)

    def hang_up(self) -> None:
        """Send BYE (CANCEL before the answer); whoever waits goes on at once."""
        self._hung_up = True
        self.leg.hangup()
        self._changed.set()

    async def finish(self, timeout_s: float = 3.0) -> None:
        """Hang up if need be and wait until the call is over; the recording is on disk then."""
        self.hang_up()
        gone = await self._until(lambda: self.leg.state is LegState.DISCONNECTED, timeout_s)
        if not gone and self.leg.row is not None:
            self._let_line_go(self.leg.row)  # our BYE has no answer: the recording ends here
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)

    # Listener of the leg and of the line

    def on_state(self, state: LegState) -> None:
        """Take the leg's state."""
        self._on_event(CallProgress(state.value, self.leg.last_code, self.elapsed_ms))
        if state is LegState.CONFIRMED:
            self._begin()
        self._changed.set()

    def on_media(self, flowing: bool) -> None:
        """Take up the audio, or learn of a hold: what we say waits for its end."""
        if self._line is None:
            self._begin()
        elif self._line.playout.paused is flowing:
            self._line.playout.paused = not flowing
            self._on_event(Held(not flowing, self.elapsed_ms))
        self._changed.set()

    def on_digit(self, press: KeyPress) -> None:
        """Digits from the agent's side are of no use to a caller."""

    def on_transfer(self, progress: TransferProgress) -> None:
        """A caller transfers nobody."""

    def on_replaced(self) -> None:
        """Nobody takes the place of whom a caller has called."""

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        """Listen to what came in; go on sending what is in the background."""
        piece = np.frombuffer(audio, dtype="<i2")
        change = self.ear.feed(piece)
        if change is not None:
            self._on_event(change)
        self._send_background(piece)
        self._changed.set()

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        """Learn that our own words go out, or are out."""
        begun = event.item_id if isinstance(event, PlayoutStarted) else None
        if begun == _BACKGROUND:  # it comes after words that were said, and before those that wait
            if self._saying and self._saying[0].start_ms is not None:
                self._end_saying()
            self._changed.set()
            return
        while self._saying and self._saying[0].item_id != begun:
            self._end_saying()
        if self._saying and self._saying[0].start_ms is None:
            saying = self._saying[0]
            saying.start_ms = self.elapsed_ms
            self._on_event(Spoke(saying.text, True, saying.start_ms))
        self._changed.set()

    def _send_background(self, heard: npt.NDArray[np.int16]) -> None:
        """Queue as much background as audio has come in, unless words are queued."""
        background, line = self._background, self._line
        if background is None or line is None:
            return
        background.hear(heard)
        if not line.playout.paused and line.playout.waiting_ms < PIECE_MS:
            piece = background.next(_PIECE_SAMPLES)
            self._pump.downlink.play(line.row, _BACKGROUND, 0, piece.astype("<i2").tobytes())

    def _end_saying(self) -> None:
        saying = self._saying.popleft()
        saying.end_ms = self.elapsed_ms
        self._on_event(Spoke(saying.text, False, saying.end_ms))

    def _begin(self) -> None:
        """Begin to move audio when the call is answered and media flows, whatever is last.

        Media before the answer (RFC 3960) is not heard: the call's clock starts with the answer.
        """
        confirmed = self.leg.state is LegState.CONFIRMED
        if self.answered_after_ms is not None or not confirmed or self.leg.row is None:
            return
        self.answered_after_ms = (self._clock.now_ns() - self._dialled_ns) // NS_PER_MS
        self.answered_wall_ns = self._clock.wall_ns()
        if self._recording is not None:
            self._recorder = Recorder(
                self._recording, outgoing_first=True, rate_hz=self._pump.rate_hz
            )
        self._line = self._pump.add(self.leg.row, self, self._recorder)

    def _let_line_go(self, row: int) -> None:
        self._pump.remove(row)
        self._line = None
        change = self.ear.close()
        if change is not None:
            self._on_event(change)

    def _past(self, at_ms: int) -> bool:
        return self.elapsed_ms >= at_ms or self.over

    async def _until(self, condition: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Wait for a condition that one of our events makes true; False at the time's end."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True
