"""Times of one agent turn, from the caller's last sound to the first sample of the answer.

    last sound  -> handed to the session  -> on the socket  -> speech_stopped  -> response.created
                capture                uplink            endpoint           model
    (-> response.created after tools)  -> first delta  -> in the tx ring  -> taken by PJSIP
     tool                           first_delta      downlink          playback

Each mark is a moment that was measured where it happened: at the rings by PJSIP's clock, at the
socket by the connection. Times are monotonic nanoseconds. The stages of a turn add up to its total,
to the nanosecond: a mark that is not known leaves its stage out, and the next one takes its time.
"""

from dataclasses import dataclass

from bridge.audio.ledger import PlayoutStarted
from bridge.clock import NS_PER_MS
from bridge.engine.media import LastSoundSent
from bridge.engine.news import TurnMeasured


@dataclass(frozen=True, slots=True)
class InputClock:
    """Ties the server's audio clock (ms of audio received) to ours, at the last append.

    Attributes:
        total_ms: audio sent in this session so far.
        captured_ns: when its last sample was captured.
    """

    total_ms: float
    captured_ns: int

    def at(self, audio_ms: float) -> int:
        """Return when the sample at ``audio_ms`` of the session's input was captured."""
        return self.captured_ns - round((self.total_ms - audio_ms) * NS_PER_MS)


@dataclass(slots=True)
class TurnClock:
    """Marks of one agent turn; a mark that never came is None.

    Attributes:
        began_ns: the caller's first sound of this turn, by the service.
        last_sound_ns: their last one: by the service, until we know where it lay in the rx ring.
        sent: how that sound went up.
        stopped_ns: speech_stopped (or a bare commit) was received.
        answered_ns: the call was answered; set on the greeting's clock alone.
        created_ns: the turn's first response began.
        resumed_ns: its latest response began (later than the first after a tool call).
        delta_ns: first audio of the latest response.
        away: the caller was on hold or with a person meanwhile: the time is not the agent's, and
            nothing is measured.
    """

    began_ns: int | None = None
    last_sound_ns: int | None = None
    sent: LastSoundSent | None = None
    stopped_ns: int | None = None
    answered_ns: int | None = None
    created_ns: int | None = None
    resumed_ns: int | None = None
    delta_ns: int | None = None
    away: bool = False

    def put_off(self) -> None:
        """Leave the turn unmeasured: the caller is away before the answer is heard."""
        self.away, self.began_ns, self.last_sound_ns = True, None, None

    def sound_sent(self, sent: LastSoundSent | None) -> None:
        """Take the end of a sound, if it is this turn's; it may be known after speech_stopped."""
        if sent is None or self.began_ns is None or self.stopped_ns is None:
            return
        if self.began_ns <= sent.at_ns <= self.stopped_ns:
            self.sent, self.last_sound_ns = sent, sent.at_ns

    def response_created(self, now_ns: int) -> None:
        """Mark a response of this turn."""
        if self.created_ns is None:
            self.created_ns = now_ns
        self.resumed_ns = now_ns
        self.delta_ns = None

    def audio_received(self, now_ns: int) -> None:
        """Mark audio; the first of a response counts."""
        if self.delta_ns is None:
            self.delta_ns = now_ns

    def measure(self, started: PlayoutStarted, now_ns: int) -> TurnMeasured | None:
        """Sum the turn up.

        Args:
            started: the first sample of the answer was taken.
            now_ns: stands for its time where that was not measured.

        Returns:
            The stages whose ends are known, ``tool`` only after tools; for the greeting its delay
            alone. None where nothing is known.
        """
        if self.away:
            return None
        heard_ns = now_ns if started.taken_ns is None else started.taken_ns
        if self.answered_ns is not None:
            return TurnMeasured(greeting_ns=max(heard_ns - self.answered_ns, 0))
        heard_ns = max(heard_ns, self.last_sound_ns or heard_ns)
        after_tools = self.created_ns != self.resumed_ns
        marks = {
            "capture": None if self.sent is None else self.sent.handed_ns,
            "uplink": None if self.sent is None else self.sent.written_ns,
            "endpoint": self.stopped_ns,
            "model": self.created_ns,
            "tool": self.resumed_ns if after_tools else None,
            "first_delta": self.delta_ns,
            "downlink": started.laid_ns,
            "playback": heard_ns,
        }
        stages_ns: dict[str, int] = {}
        before_ns = self.last_sound_ns
        for stage, mark_ns in marks.items():
            if mark_ns is None:
                continue
            ended_ns = min(mark_ns, heard_ns)  # the clocks of rings and loop shake
            if before_ns is not None:
                ended_ns = max(ended_ns, before_ns)
                stages_ns[stage] = ended_ns - before_ns
            before_ns = ended_ns
        if not stages_ns:
            return None
        total_ns = None if self.last_sound_ns is None else heard_ns - self.last_sound_ns
        return TurnMeasured(stages_ns, total_ns)
