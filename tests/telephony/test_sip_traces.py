"""The collector of SIP messages: whose they are, how many, and how much memory they take."""

import tracemalloc

import pytest

from bridge.clock import ManualClock
from bridge.sip.trace import TraceBounds
from bridge.telephony.sip_traces import KeptTrace, SipTraces

FAR_END = "192.0.2.7:5060"


def request(method: str, call_id: str = "a", number: int = 1, filling: int = 100) -> str:
    return (
        f"{method} sip:x@y SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.7;branch=z{number}\r\n"
        f"Call-ID: {call_id}\r\nCSeq: {number} {method}\r\nX: {'x' * filling}\r\n\r\n"
    )


def traces(clock: ManualClock, **bounds: int) -> SipTraces:
    most = {"messages": 40, "size_bytes": 64_000, "all_bytes": 1_000_000, **bounds}
    return SipTraces(TraceBounds(**most), clock, lambda far_end: "10.0.0.1:5060")


def begin(found: SipTraces, call_id: str, sip_call_id: str) -> None:
    found.take(request("INVITE", sip_call_id), FAR_END, sent=False)
    found.join(call_id, sip_call_id, "caller")


def end(found: SipTraces, call_id: str) -> KeptTrace:
    found.describe(call_id, lambda: {"call_id": call_id}, lambda value, name: value)
    found.end(call_id)
    (ended,) = found.take_ended(at_once=True)
    return ended


def methods(ended: KeptTrace) -> list[str]:
    return [each.text.split()[0] for each in ended.trace.messages]


def test_what_comes_within_two_seconds_of_the_end_is_kept() -> None:
    clock = ManualClock()
    found = traces(clock)
    begin(found, "c_1", "a")
    found.end("c_1")
    clock.advance_ms(1_999)
    assert found.take_ended() == []
    found.take(request("ACK"), FAR_END, sent=False)
    clock.advance_ms(1)
    (ended,) = found.take_ended()
    assert methods(ended) == ["INVITE", "ACK"]
    assert ended.trace.messages[0].transport == "TCP"
    found.take(request("BYE"), FAR_END, sent=False)
    assert (found.take_ended(at_once=True), found.kept_bytes) == ([], 0)


def test_calls_have_their_own_messages_and_all_of_their_dialogs() -> None:
    found = traces(ManualClock())
    begin(found, "c_1", "a")
    begin(found, "c_2", "b")
    begin(found, "c_1", "c")
    found.take(request("BYE", "b"), FAR_END, sent=False)
    found.take(request("BYE", "unknown"), FAR_END, sent=False)
    assert methods(end(found, "c_1")) == ["INVITE", "INVITE"]
    assert methods(end(found, "c_2")) == ["INVITE", "BYE"]


def test_of_too_many_messages_the_beginning_and_the_end_stay() -> None:
    found = traces(ManualClock())
    begin(found, "c_1", "a")
    for number in range(2, 500):
        found.take(request("OPTIONS", number=number), FAR_END, sent=False)
    found.take(request("BYE", number=500), FAR_END, sent=False)
    ended = end(found, "c_1")
    took = [int(each.text.partition("CSeq: ")[2].split()[0]) for each in ended.trace.messages]
    assert took == [*range(1, 31), *range(491, 501)]
    assert sum(each.left_out for each in ended.trace.messages) == 460
    assert ended.trace.about["left_out"] == 460


def test_long_messages_and_many_calls_stay_within_their_memory() -> None:
    found = traces(ManualClock(), all_bytes=200_000)
    begin(found, "c_1", "a")
    for number in range(2, 100):
        found.take(request("INFO", number=number, filling=100_000), FAR_END, sent=False)
    assert found.kept_bytes <= 64_000 + 20_000
    for call in range(100):
        begin(found, f"c_x{call}", f"x{call}")
        for number in range(2, 20):
            found.take(request("INFO", f"x{call}", number, 3_000), FAR_END, sent=False)
    assert found.kept_bytes <= 200_000 + 20_000


@pytest.mark.parametrize("letter", ["x", "\xe9", "\u9774", "\U0001f4de", "\udc80"])
@pytest.mark.parametrize("filling", [0, 3_000])
def test_refused_invites_take_the_memory_that_they_are_counted_with(
    letter: str, filling: int
) -> None:
    found = traces(ManualClock(), all_bytes=8_000_000)
    tracemalloc.start()
    try:
        for number in range(800):
            invite = request("INVITE", f"s{number}", filling=filling)
            found.take(invite + letter, FAR_END, sent=False)
            found.take(
                invite.replace("INVITE sip:x@y SIP/2.0", "SIP/2.0 404 No"), FAR_END, sent=True
            )
        took = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 500_000 < found.kept_bytes <= 1_000_000
    assert took <= 1.1 * found.kept_bytes


def test_invites_that_no_call_claims_are_forgotten() -> None:
    found = traces(ManualClock(), all_bytes=100_000_000)
    for number in range(10_000):
        found.take(request("INVITE", f"s{number}"), FAR_END, sent=False)
    assert found.kept_bytes < 256 * 3_000
    begin(found, "c_1", "a")
    assert methods(end(found, "c_1")) == ["INVITE"]


def test_a_message_that_comes_again_is_known_for_it() -> None:
    found = traces(ManualClock())
    begin(found, "c_1", "a")
    found.take(request("INVITE"), FAR_END, sent=False)
    found.take(request("INVITE"), FAR_END, sent=True)
    assert [each.repeats for each in end(found, "c_1").trace.messages] == [False, True, False]


def test_nothing_is_kept_where_nothing_is_wanted() -> None:
    found = SipTraces(None, ManualClock())
    begin(found, "c_1", "a")
    found.end("c_1")
    assert (found.take_ended(at_once=True), found.kept_bytes) == ([], 0)
