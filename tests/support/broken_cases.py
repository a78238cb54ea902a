"""What is expected when one thing of the machine breaks: the rows of deploy/BROKEN.md."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.deploy.rules import DEPLOY, read_alerts
from tests.support import broken_plays as plays
from tests.support.broken_machine import Heard, Seen
from tests.support.machine import Timing

PAGE = DEPLOY / "BROKEN.md"
BEGIN, END = "<!-- the table: made by tests/calls/test_broken_machine.py -->", "<!-- its end -->"

AS_EVER_MS = 6_000
"""An answer within this is one as ever, on a machine with other work to do."""


_OF_THE_TESTS_MACHINE = frozenset({"TicksLate", "ProcessStopped", "RtpQuality", "MediaRestarts"})
"""It may be busy with others' work."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that must fire.

    Attributes:
        labels: of its words, beside ``instance``.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The alert's summary, as it is read."""
        text: str = read_alerts()[self.name]["annotations"]["summary"]
        for label, value in {"instance": "NODE", **self.labels}.items():
            text = text.replace(f"{{{{ $labels.{label} }}}}", value)
        return text


@dataclass(frozen=True, slots=True)
class Ear:
    """What a caller hears whose call goes on.

    Attributes:
        says: in words, for people.
        answered: the agent's voice comes.
        silence_ms: between these.
        bye: the gateway says goodbye within so long; None: it doesn't.
    """

    says: str
    answered: bool = True
    silence_ms: tuple[int, int] = (0, AS_EVER_MS)
    bye_within_ms: int | None = None

    def complaints(self, heard: Heard | None) -> Iterator[str]:
        """Yield what was heard otherwise."""
        if heard is None:
            yield "there was no call"
            return
        if bool(heard.words) != self.answered:
            yield f"heard {heard.words}"
        if (heard.bye_ms is not None) != (self.bye_within_ms is not None):
            yield f"BYE after {heard.bye_ms}"

    def check_times(self, heard: Heard, timing: Timing) -> None:
        """Hold the silence, and the wait for the BYE, against their limits."""
        least_ms, most_ms = self.silence_ms
        timing.check("silence", heard.silence_ms, least_ms=least_ms, most_ms=most_ms)
        if heard.bye_ms is not None and self.bye_within_ms is not None:
            timing.check("until the BYE", heard.bye_ms, most_ms=self.bye_within_ms)


@dataclass(frozen=True, slots=True)
class Case:
    """One row.

    Attributes:
        broken: what is broken, for people.
        play: breaks it.
        ear: None where there can be no call.
        new_status: of a call that comes meanwhile; None where none is tried.
        alerts: that must fire; ``may``: others that may, by name.
        record: what it says, or where it is, for people; ``fields`` of it; ``says``: the last words
            in it, which the bridge says itself; ``lies`` as in `Seen`.
        logged: what stands in the log, each the begin of a line's name.
        ready: status of `/readyz`, 0: nobody answers; ``troubles``: words that it has.
        console: status of the console's list; ``command``: exit code of `bridge calls list`, and
            what it says.
        refuses: exit code of a gateway that doesn't start, and what it says.
        quick: plays in the ordinary run, too.
    """

    broken: str
    play: plays.Play
    ear: Ear | None
    alerts: tuple[Alert, ...]
    record: str
    new_status: int | None = 200
    may: frozenset[str] = frozenset()
    fields: Mapping[str, object] = field(default_factory=dict)
    says: str = ""
    lies: str = "disk"
    logged: tuple[str, ...] = ()
    ready: int = 200
    troubles: tuple[str, ...] = ()
    console: int = 200
    command: tuple[int, str] = (0, "")
    refuses: tuple[int, str] | None = None
    quick: bool = False

    @property
    def name(self) -> str:
        """The play's name."""
        return self.play.__name__

    def check_times(self, seen: Seen, timing: Timing) -> None:
        """Hold the times that were heard against their limits."""
        if self.ear is not None and seen.heard is not None:
            self.ear.check_times(seen.heard, timing)

    def complaints(self, seen: Seen) -> Iterator[str]:
        """Yield everything but times that was otherwise than expected."""
        if self.refuses is not None:
            yield from self._refused(seen)
        elif self.ear is not None:
            yield from self.ear.complaints(seen.heard)
            yield from self._told(seen)
        words = {alert.words for alert in self.alerts}
        for missing in sorted(words - seen.alerts.keys()):
            yield f"no alert: {missing}"
        for more in sorted(seen.alerts.keys() - words):
            if seen.alerts[more] not in self.may | _OF_THE_TESTS_MACHINE:
                yield f"an alert: {more}"

    def _refused(self, seen: Seen) -> Iterator[str]:
        assert self.refuses is not None
        if seen.ended is None:
            yield "it started"
        elif seen.ended.code != self.refuses[0] or self.refuses[1] not in seen.ended.stderr:
            yield f"it ended with {seen.ended.code}: {seen.ended.stderr}"

    def _told(self, seen: Seen) -> Iterator[str]:
        """Yield what log, record, `/readyz`, console and commands have otherwise."""
        if seen.new_status != self.new_status:
            yield f"a new call got {seen.new_status}"
        if seen.new_status == 200 and not seen.new_words:
            yield "a new caller heard nobody"
        for begin in self.logged:
            if not any(each.startswith(begin) for each in seen.logged):
                yield f"nothing of {begin} in the log: {sorted(seen.logged)}"
        yield from self._recorded(seen)
        yield from self._shown(seen)

    def _recorded(self, seen: Seen) -> Iterator[str]:
        if seen.lies != self.lies:
            yield f"the record: {seen.lies}"
        turns = [] if seen.record is None else seen.record["turns"]
        if self.says and (not turns or turns[-1]["text"] != self.says):
            yield f"the record's turns: {turns}"
        for name, value in self.fields.items():
            found = None if seen.record is None else seen.record.get(name)
            if found != value:
                yield f"the record's {name}: {found}"

    def _shown(self, seen: Seen) -> Iterator[str]:
        status, body = seen.ready
        if status != self.ready:
            yield f"/readyz: {status}"
        said = "; ".join(body.get("troubles", ()))
        for words in self.troubles:
            if words not in said:
                yield f"/readyz says '{said}'"
        if seen.console != self.console:
            yield f"the console: {seen.console}"
        if seen.command[0] != self.command[0] or self.command[1] not in seen.command[1]:
            yield f"bridge calls list: {seen.command}"

    def row(self) -> str:
        """Return the row, as the page has it."""
        cells = (
            self.broken,
            self._heard_cell(),
            "<br>".join(f"{alert.name}: {alert.words}" for alert in self.alerts),
            self.record,
            self._told_cell(),
        )
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    def _heard_cell(self) -> str:
        new = {
            None: "",
            200: "New calls are taken.",
            503: "New calls get 503.",
            0: "New calls get no answer.",
        }[self.new_status]
        heard = "There are no calls: it does not start." if self.ear is None else self.ear.says
        return f"{heard} {new if self.ear else ''}".strip()

    def _told_cell(self) -> str:
        if self.refuses is not None:
            return f"It ends with {self.refuses[0]}: “{self.refuses[1]}”"
        if not self.ready:
            said = ["nobody answers at `/readyz`"]
        else:
            troubles = "; ".join(f"“{each}”" for each in self.troubles)
            said = [f"`/readyz` {self.ready}" + (f", {troubles}" if troubles else "")]
        said += [f"log “{begin.strip()}”" for begin in self.logged]
        if self.console not in (200, 0):
            said.append(f"console {self.console}")
        if self.command[0] or self.command[1]:
            said.append(f"`bridge calls list` exits with {self.command[0]}: “{self.command[1]}”")
        return "; ".join(said)


NOTHING = Ear("Nothing of it: answers come as ever.")
_WELL = {"outcome": "completed", "fault": "none"}
_ON_DISK = "On the disk, as ever."
_DISK = (
    Alert("RecordsWaiting"),
    Alert("DirectoryRefuses", {"directory": "recordings"}),
)


def _redis(
    broken: str, play: plays.Play, reason: str, says: str, *, command: int = 3, **more: object
) -> Case:
    """Return the row of a Redis that takes nothing."""
    given: dict[str, object] = {
        "broken": broken,
        "play": play,
        "ear": NOTHING,
        "alerts": (Alert("RedisAway", {"reason": reason}),),
        "record": _ON_DISK,
        "fields": _WELL,
        "logged": ("call state is kept in memory",),
        "troubles": (f"Redis is away: {reason}",),
        "console": 503,
        "command": (command, says),
        **more,
    }
    return Case(**given)  # type: ignore[arg-type]  # each is of its field's type


CASES = (
    Case(
        "The disk of the recordings is full",
        plays.disk_full,
        NOTHING,
        (Alert("RecordingsStopped", {"reason": "disk_full"}), *_DISK),
        "Waits in Redis; the recording ends where the disk was full.",
        lies="waits",
        logged=("record_waits", "recording_stopped"),
        troubles=("takes no files: No space left on device",),
        command=(0, "takes no files: No space left on device"),
        quick=True,
    ),
    Case(
        "The disk of the recordings is read-only",
        plays.disk_read_only,
        NOTHING,
        (Alert("RecordingsStopped", {"reason": "disk_error"}), *_DISK),
        "Waits in Redis; there is no recording.",
        lies="waits",
        logged=("record_waits", "recording_stopped"),
        troubles=("takes no files: Read-only file system",),
        command=(0, "takes no files: Read-only file system"),
    ),
    Case(
        "The disk of the recordings is read-only at the start",
        plays.recordings_read_only_at_start,
        None,
        (Alert("BridgeDown"),),
        "None.",
        refuses=(3, "Read-only file system; set BRIDGE_MEDIA_RECORDINGS_DIR"),
    ),
    Case(
        "`state_dir` is read-only",
        plays.state_dir_read_only,
        NOTHING,
        (Alert("DirectoryRefuses", {"directory": "state"}),),
        _ON_DISK,
        fields=_WELL,
        logged=("last_words_not_kept", "directory_refuses"),
        troubles=("(state) takes no files: Read-only file system",),
        command=(0, "(state) takes no files: Read-only file system"),
    ),
    Case(
        "Too few file descriptors at the start (`ulimit -n 140`)",
        plays.few_descriptors_at_start,
        NOTHING,
        (Alert("DescriptorsTooFew"),),
        _ON_DISK,
        fields=_WELL,
        logged=("calls_limited_by_descriptors",),
        troubles=("too few file descriptors",),
        command=(0, "too few file descriptors"),
    ),
    Case(
        "No file descriptor left while it runs",
        plays.no_descriptor_left,
        NOTHING,
        (Alert("DescriptorsUsedUp"),),
        _ON_DISK,
        new_status=503,
        fields=_WELL,
        may=frozenset({"DirectoryRefuses", "CapacityHigh", "Sip5xx", "RedisAway", "BridgeDown"}),
        logged=("descriptors_used_up", "call_refused"),
    ),
    Case(
        "No memory left (RLIMIT_AS: a frame of PJSIP's audio gets none)",
        plays.no_memory_left,
        Ear(
            "Silence for 10 s, then BYE.",
            answered=False,
            silence_ms=(5_000, 30_000),
            bye_within_ms=30_000,
        ),
        (Alert("AudioStopped"),),
        "On the disk: `media_failed`, fault `bridge`, reason `audio_stopped`, silence of 10 s.",
        new_status=503,
        fields={"outcome": "media_failed", "fault": "bridge", "reason": "audio_stopped"},
        logged=("audio_stopped",),
        ready=503,
        troubles=("the audio clock stands still",),
        may=frozenset({"DeadAir", "MediaRestarts", "DirectoryRefuses", "RedisAway"}),
        command=(0, "the audio clock stands still"),
    ),
    Case(
        "Redis is not there at the start",
        plays.redis_never_there,
        None,
        (Alert("BridgeDown"),),
        "None.",
        refuses=(3, "can't be reached (connection refused); start it, or correct BRIDGE_REDIS_URL"),
    ),
    _redis(
        "Redis is not there at the start, `redis.required: false`",
        plays.redis_never_there_not_required,
        "unreachable",
        "can't be reached (connection refused)",
        logged=("started without Redis",),
        console=401,
    ),
    _redis(
        "Redis is killed",
        plays.redis_killed,
        "unreachable",
        "can't be reached (connection refused)",
        quick=True,
    ),
    _redis("Redis stands still (SIGSTOP)", plays.redis_frozen, "silent", "did not answer within"),
    _redis("Redis answers 2.5 s late", plays.redis_slow, "silent", "did not answer within"),
    _redis(
        "Redis is out of memory (`noeviction`)",
        plays.redis_out_of_memory,
        "refusing",
        "its last heartbeat is",
        command=0,
        console=200,
    ),
    _redis(
        "Redis has become a read-only replica",
        plays.redis_replica,
        "refusing",
        "has no heartbeat",
        command=0,
    ),
    _redis(
        "Redis got a password while calls went on",
        plays.redis_password_changed,
        "password_refused",
        "refused the user or the password",
    ),
    _redis(
        "The certificate of Redis has ended",
        plays.redis_certificate_ended,
        "certificate",
        "shows a certificate that is not trusted",
    ),
    Case(
        "Redis is emptied (FLUSHALL, or a restart without its data)",
        plays.redis_emptied,
        NOTHING,
        (Alert("RedisEmptied"),),
        f"{_ON_DISK} The call is in Redis again; those that had ended are not.",
        fields=_WELL,
        logged=("Redis at",),
        console=401,
    ),
    Case(
        "The clock is set an hour forward",
        plays.clock_forward,
        NOTHING,
        (Alert("ClockSet"),),
        "On the disk; its times count from its begin by the monotonic clock.",
        fields=_WELL,
        logged=("clock_set",),
    ),
    Case(
        "The clock is set an hour back",
        plays.clock_back,
        NOTHING,
        (Alert("ClockSet"),),
        "On the disk; its times count from its begin by the monotonic clock.",
        fields=_WELL,
        logged=("clock_set",),
        quick=True,
    ),
    Case(
        "The process is stopped for 5 s (SIGSTOP) in the agent's words",
        plays.stopped,
        Ear("Silence for those 5 s.", answered=False, silence_ms=(4_000, 9_000)),
        (Alert("ProcessStopped"),),
        "On the disk: `longest_silence_ms` about 5000, cause `bridge`.",
        may=frozenset({"DeadAir", "MediaRestarts"}),
        fields={**_WELL, "longest_silence_cause": "bridge"},
        logged=("process_stopped",),
    ),
    Case(
        "The process is killed (SIGKILL: what the kernel does when memory is out, too)",
        plays.killed_alone,
        Ear("Silence, and no BYE.", answered=False, silence_ms=(10_000, 20_000)),
        (Alert("BridgeDown"),),
        "None until the node starts again: then `node_lost`, fault `bridge`.",
        new_status=0,
        lies="nowhere",
        ready=0,
        console=0,
    ),
    Case(
        "The process is killed beside another node",
        plays.killed_beside_another,
        Ear("Silence, then BYE.", answered=False, silence_ms=(0, 15_000), bye_within_ms=15_000),
        (Alert("BridgeDown"),),
        "On the other node's disk: `node_lost`, fault `bridge`.",
        fields={"outcome": "node_lost", "fault": "bridge"},
        ready=0,
        console=0,
        quick=True,
    ),
    Case(
        "The console's certificate has ended",
        plays.console_certificate_ended,
        NOTHING,
        (Alert("CertExpiry"),),
        _ON_DISK,
        fields=_WELL,
        logged=("certificate_ends",),
        troubles=("the console's certificate has ended on",),
        command=(0, "the console's certificate has ended on"),
    ),
    Case(
        "The console's key is not there",
        plays.console_key_missing,
        None,
        (Alert("BridgeDown"),),
        "None.",
        refuses=(2, "the console's certificate or key can't be used: No such file or directory"),
    ),
    Case(
        "The service's certificate has ended",
        plays.service_certificate_ended,
        NOTHING,
        (Alert("ArmDead", {"arm": "local"}), Alert("UpstreamOutage")),
        f"{_ON_DISK} Of the new call: `session_unavailable`, fault `provider`, reason `tls`.",
        new_status=503,
        fields=_WELL,
        logged=("session_failed",),
        may=frozenset({"Sip5xx"}),
    ),
    Case(
        "Nobody knows the authority of the service's certificate",
        plays.service_authority_unknown,
        NOTHING,
        (Alert("ArmDead", {"arm": "local"}), Alert("UpstreamOutage")),
        f"{_ON_DISK} Of the new call: `session_unavailable`, fault `provider`, reason `tls`.",
        new_status=503,
        fields=_WELL,
        logged=("session_failed",),
        may=frozenset({"Sip5xx"}),
    ),
    Case(
        "The service can't be reached",
        plays.service_unreachable,
        Ear(
            "A waiting tone, “I am still here”, the tone, “please call again”, and BYE after 20 s.",
            answered=False,
            silence_ms=(0, AS_EVER_MS),
            bye_within_ms=60_000,
        ),
        (Alert("UpstreamOutage"),),
        "On the disk: `session_lost`, fault `provider`, reason `refused`.",
        new_status=503,
        fields={"outcome": "session_lost", "fault": "provider", "reason": "refused"},
        says="I am sorry, I can't help you right now. Please call again a little later.",
        logged=("session_lost", "session_given_up"),
        may=frozenset({"ArmDead", "Sip5xx", "SessionsLost"}),
    ),
    Case(
        "The CPU is taken: forty others compute on its core for 20 s",
        plays.cpu_taken,
        Ear("Late and chopped answers, or a plea to say it again.", silence_ms=(0, 60_000)),
        (Alert("TicksLate"),),
        _ON_DISK,
        new_status=None,
        may=frozenset(
            {
                "ProcessStopped",
                "MediaRestarts",
                "DeadAir",
                "RedisAway",
                "SessionsLost",
                "BridgeDown",
                "AudioStopped",
                "InterruptionRecoveryFailing",
            }
        ),
    ),
)


def table() -> str:
    """Return the table of the page."""
    head = (
        "| What is broken | What the caller hears | Which alert fires, with which words "
        "| The call's record | Who else says so |\n|---|---|---|---|---|"
    )
    return "\n".join([head, *(case.row() for case in CASES)])


def table_in_page() -> str:
    """Return the table that the page has."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(f"{re.escape(BEGIN)}\n(.*)\n{re.escape(END)}", text, re.DOTALL)
    assert found is not None, f"{PAGE.name} has no place for the table"
    return found[1]
