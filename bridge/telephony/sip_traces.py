"""Collects the SIP messages of calls while these go on, within bounds.

An INVITE's Call-ID opens a trace; whoever has a call joins the Call-IDs of its dialogs to it: the
caller's, a later caller's (RFC 3891), persons' and supervisors' phones. A Call-ID that no call
claims is forgotten when others come, unless it was refused: :mod:`bridge.telephony.refused_invites`
keeps those for a day. All in the loop's thread.

Of a call with more messages than it may have the first three quarters stay and the last quarter
moves on: how it began and how it ended are what a carrier is asked about.
"""

import re
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from bridge.clock import NS_PER_MS, Clock
from bridge.redaction.turns import Redactor
from bridge.sip.cleaning import Cleaner, Redact, hidden_in
from bridge.sip.privacy import hides_caller
from bridge.sip.text import clean
from bridge.sip.trace import (
    CALLER,
    LONGEST_CHARS,
    CallTrace,
    TraceBounds,
    TracedMessage,
    in_order,
)
from bridge.telephony.headers import read_headers
from bridge.telephony.refused_invites import RefusedGroup, RefusedInvites

_CALL_ID = re.compile(r"^(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_VIA = re.compile(
    r"^(?:via|v)[ \t]*:\s*SIP\s*/\s*2\.0\s*/\s*(\w{1,8})", re.IGNORECASE | re.MULTILINE
)
_ANSWER = re.compile(r"SIP/2\.0 ([2-6][0-9][0-9] [^\r\n]{0,64})")
_OF_INVITE = re.compile(r"^cseq[ \t]*:[ \t]*[0-9]+[ \t]+INVITE", re.IGNORECASE | re.MULTILINE)
_UNCLAIMED = 256
"""INVITEs that nobody has claimed: a poll takes far fewer before their legs are handed on."""

_OF_UNCLAIMED = 16
_EACH_BYTES = 400
"""What a message takes beside its text."""
_EACH_TRACE_BYTES = 1_700
"""What a trace takes beside its messages (measured: `tests/telephony/test_sip_traces.py`)."""

_OF_REFUSED = 8
"""INVITEs that were refused take so much less memory than calls may."""

_redact = Redactor().redact_header
"""For an INVITE that no dialplan has: its headers are redacted as one without ``redact`` says."""

_LINGERS_NS = 2_000 * NS_PER_MS
"""What comes of a call after its end: the ACK to a refusal, a BYE sent again."""


@dataclass(slots=True)
class _Trace:
    """The messages of one call, or of an INVITE that no call has claimed.

    Attributes:
        ended_ns: monotonic; None while the call goes on.
    """

    messages: int
    size_bytes: int
    first: list[TracedMessage] = field(default_factory=list)
    last: deque[TracedMessage] = field(default_factory=deque)
    first_bytes: int = 0
    last_bytes: int = 0
    left_out: int = 0
    call_ids: list[str] = field(default_factory=list)
    about: Callable[[], Mapping[str, Any]] = dict  # Any: JSON
    redact: Redact = _redact
    ended_ns: int | None = None

    @property
    def kept_bytes(self) -> int:
        size = self.first_bytes + self.last_bytes
        return size + _EACH_TRACE_BYTES if size else 0

    def find(self, text: str, *, sent: bool) -> TracedMessage | None:
        """Return the message that one with this text repeats."""
        for kept in (self.first, self.last):
            for each in kept:
                if each.sent is sent and each.text == text:
                    return each
        return None

    def add(self, message: TracedMessage) -> None:
        size = _size(message)
        full = len(self.first) >= self.messages * 3 // 4
        if not self.last and not full and self.first_bytes + size <= self.size_bytes * 3 // 4:
            self.first.append(message)
            self.first_bytes += size
            return
        self.last.append(message)
        self.last_bytes += size
        while self.last and (
            len(self.last) > self.messages - self.messages * 3 // 4
            or self.last_bytes > self.size_bytes // 4
        ):
            self.last_bytes -= _size(self.last.popleft())
            self.left_out += 1

    def kept(self) -> tuple[TracedMessage, ...]:
        last = list(self.last)
        if last and self.left_out:
            last[0] = replace(last[0], left_out=self.left_out)
        return (*in_order(self.first), *in_order(last))

    def snapshot(self) -> "KeptTrace":
        """Return what is kept by now."""
        about = {**self.about(), "left_out": self.left_out}
        return KeptTrace(CallTrace(about, self.kept()), self.redact)


def _size(message: TracedMessage) -> int:
    # One letter beyond Latin-1 makes all of a text two or four times as long in CPython.
    return sys.getsizeof(message.text) + _EACH_BYTES


@dataclass(frozen=True, slots=True)
class KeptTrace:
    """The messages of a call so far, as they came; :meth:`cleaned` takes its time.

    Attributes:
        redact: see :class:`bridge.sip.cleaning.Cleaner`.
    """

    trace: CallTrace
    redact: Redact

    def cleaned(self) -> CallTrace:
        """Return the messages as they may be kept."""
        messages = self.trace.messages
        offers = [
            each.text
            for each in messages
            if not each.sent and each.party == CALLER and each.text.startswith("INVITE ")
        ]
        hidden = {
            name
            for offer in offers
            if hides_caller(read_headers(offer))
            for name in hidden_in(offer)
        }
        cleaner = Cleaner(self.redact, hidden)
        known: dict[str, str] = {}
        cleaned = []
        for each in messages:
            if each.text not in known:
                known[each.text] = cleaner.clean(each.text)
            cleaned.append(replace(each, text=known[each.text]))
        return CallTrace(self.trace.about, tuple(cleaned))


class SipTraces:
    """Collects the messages of an endpoint's calls.

    Args:
        bounds: None keeps nothing.
        clock: stamps.
        place: returns our own ``host:port`` as a far end's ``host:port`` sees it.
        trunk_of: returns the trunk of a far end's ``host:port``, "" for none.
    """

    def __init__(
        self,
        bounds: TraceBounds | None,
        clock: Clock,
        place: Callable[[str], str] = lambda far_end: "",
        trunk_of: Callable[[str], str] = lambda far_end: "",
    ) -> None:
        self.place, self.trunk_of = place, trunk_of
        self._bounds = bounds
        self._clock = clock
        self._unclaimed: OrderedDict[str, _Trace] = OrderedDict()
        self._dialogs: dict[str, tuple[_Trace, str]] = {}
        self._calls: dict[str, _Trace] = {}
        most_refused_bytes = 0 if bounds is None else bounds.all_bytes // _OF_REFUSED
        self._refused: RefusedInvites[_Trace] = RefusedInvites(most_refused_bytes, clock)
        self._bytes = 0

    @property
    def kept_bytes(self) -> int:
        """Estimate of the memory that all kept messages take."""
        return self._bytes + self._refused.kept_bytes

    def take(self, text: str, far_end: str, *, sent: bool) -> None:
        """Take a message as it passes the wire.

        Args:
            text: as pjsua2 decodes it, other bytes than UTF-8 as half surrogate pairs.
            far_end: ``host:port`` that it came from or goes to.
            sent: by us.
        """
        if self._bounds is None:
            return
        found = _CALL_ID.search(text, 0, LONGEST_CHARS)
        if found is None:
            return
        sip_call_id = clean(found[1])
        trace, party = self._trace_of(sip_call_id, text)
        if trace is None:
            return
        if self._bytes >= self._bounds.all_bytes:
            trace.left_out += 1
            return
        kept = text[:LONGEST_CHARS]
        former = trace.find(kept, sent=sent)
        via = _VIA.search(text, 0, LONGEST_CHARS)
        message = TracedMessage(
            at_ns=self._clock.wall_ns(),
            sent=sent,
            party=party,
            local=self.place(far_end),
            far_end=far_end,
            transport=via[1].upper() if via else "",
            text=kept if former is None else former.text,
            repeats=former is not None,
        )
        before = trace.kept_bytes
        trace.add(message)
        if self._refused.get(sip_call_id) is trace:
            self._refused.grown(sip_call_id)
        else:
            self._bytes += trace.kept_bytes - before
        if sent and sip_call_id not in self._dialogs:
            self._take_answer(sip_call_id, trace, message)

    def _take_answer(self, sip_call_id: str, trace: _Trace, message: TracedMessage) -> None:
        """Take our final answer to an INVITE that no call has claimed."""
        answer = _ANSWER.match(message.text)
        if answer is None or _OF_INVITE.search(message.text) is None:
            return
        if self._unclaimed.pop(sip_call_id, None) is not None:
            self._bytes -= trace.kept_bytes
        if answer[1].startswith("2"):  # it had credentials in the end; who listens is in no trace
            self._refused.pop(sip_call_id)
            return
        answered, trunk = clean(answer[1]), self.trunk_of(message.far_end)
        about = {"trunk": trunk, "answer": answered, "sip_call_id": sip_call_id}
        trace.about = lambda: about
        self._refused.put(sip_call_id, trace, trunk, answered)

    @property
    def refused(self) -> list[RefusedGroup]:
        """The INVITEs that became no call within the last 24 hours."""
        return self._refused.groups()

    def of_refused(self, trunk: str, answer: str, most: int) -> list[KeptTrace]:
        """Return what was said in the latest INVITEs of such a group, the latest first."""
        return [each.snapshot() for each in islice(self._refused.of(trunk, answer), most)]

    def join(self, call_id: str, sip_call_id: str, party: str) -> None:
        """Take that a dialog belongs to a call, and what was seen of it so far."""
        if self._bounds is None or not sip_call_id or sip_call_id in self._dialogs:
            return
        call = self._calls.get(call_id)
        if call is None:
            call = _Trace(self._bounds.messages, self._bounds.size_bytes)
            self._calls[call_id] = call
        seen = self._unclaimed.pop(sip_call_id, None)
        if seen is not None:
            self._bytes -= seen.kept_bytes
        else:
            seen = self._refused.pop(sip_call_id)
        self._dialogs[sip_call_id] = (call, party)
        call.call_ids.append(sip_call_id)
        if seen is not None:
            self._bytes -= call.kept_bytes
            call.left_out += seen.left_out
            for message in seen.kept():
                call.add(replace(message, party=party))
            self._bytes += call.kept_bytes

    def describe(
        self,
        call_id: str,
        about: Callable[[], Mapping[str, Any]],  # Any: JSON
        redact: Redact,
    ) -> None:
        """Take whose call it is, of which a dialog has joined.

        Args:
            about: returns it as it is by then, see :class:`bridge.sip.trace.CallTrace`.
            redact: see :class:`bridge.sip.cleaning.Cleaner`.
        """
        trace = self._calls.get(call_id)
        if trace is not None:
            trace.about, trace.redact = about, redact

    def end(self, call_id: str) -> None:
        """Take that a call is over; what still comes of it within 2 s is kept."""
        trace = self._calls.get(call_id)
        if trace is not None:
            trace.ended_ns = self._clock.now_ns()

    def so_far(self, call_id: str) -> KeptTrace | None:
        """Return what is kept of a call that goes on, or is over for less than 2 s."""
        trace = self._calls.get(call_id)
        return None if trace is None else trace.snapshot()

    def take_ended(self, *, at_once: bool = False) -> list[KeptTrace]:
        """Return what was kept of calls that are over for 2 s, and forget it.

        Args:
            at_once: however short ago they ended.
        """
        self._refused.forget_old()
        before_ns = self._clock.now_ns() - (0 if at_once else _LINGERS_NS)
        over = {
            call_id: trace
            for call_id, trace in self._calls.items()
            if trace.ended_ns is not None and trace.ended_ns <= before_ns
        }
        for call_id, trace in over.items():
            del self._calls[call_id]
            self._bytes -= trace.kept_bytes
            for each in trace.call_ids:
                del self._dialogs[each]
        return [trace.snapshot() for trace in over.values()]

    def _trace_of(self, sip_call_id: str, text: str) -> tuple[_Trace | None, str]:
        known = self._dialogs.get(sip_call_id)
        if known is not None:
            return known
        unclaimed = self._unclaimed.get(sip_call_id) or self._refused.get(sip_call_id)
        if unclaimed is None and text.startswith("INVITE "):
            assert self._bounds is not None
            unclaimed = _Trace(_OF_UNCLAIMED, self._bounds.size_bytes // 4)
            self._unclaimed[sip_call_id] = unclaimed
            if len(self._unclaimed) > _UNCLAIMED:
                _, oldest = self._unclaimed.popitem(last=False)
                self._bytes -= oldest.kept_bytes
        return unclaimed, CALLER
