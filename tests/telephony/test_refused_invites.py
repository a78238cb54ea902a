"""The memory of INVITEs that became no call: by trunk and answer, for a day, within its bounds."""

from bridge.clock import ManualClock
from bridge.sip.trace import TraceBounds
from bridge.telephony.refused_invites import RefusedGroup
from bridge.telephony.sip_traces import SipTraces

HOUR_MS = 3_600_000
TRUNK, STRANGER = "192.0.2.7:5060", "198.51.100.9:5060"
SECRET = 'Authorization: Digest username="u", response="deadbeef"\r\n'


def invite(call_id: str, filling: int = 100) -> str:
    return (
        f"INVITE sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z\r\nCall-ID: {call_id}\r\n{SECRET}"
        f"CSeq: 1 INVITE\r\nX-Card: 4111111111111111\r\nX: {'x' * filling}\r\n\r\n"
    )


def answer(call_id: str, status: str = "403 Forbidden", method: str = "INVITE") -> str:
    return f"SIP/2.0 {status}\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\r\n"


def traces(clock: ManualClock | None = None, all_bytes: int = 8_000_000) -> SipTraces:
    bounds = TraceBounds(messages=40, size_bytes=256_000, all_bytes=all_bytes)
    return SipTraces(
        *(bounds, clock or ManualClock(), lambda far_end: "10.0.0.1:5060"),
        trunk_of=lambda far_end: "carrier" if far_end == TRUNK else "",
    )


def refuse(
    found: SipTraces,
    call_id: str,
    status: str = "403 Forbidden",
    far_end: str = STRANGER,
    filling: int = 100,
) -> None:
    found.take(invite(call_id, filling), far_end, sent=False)
    found.take(answer(call_id, status), far_end, sent=True)


def counts(found: SipTraces) -> dict[tuple[str, str], tuple[int, int]]:
    return {(each.trunk, each.answer): (each.refused, each.kept) for each in found.refused}


def test_they_are_grouped_by_trunk_and_answer_the_latest_first() -> None:
    clock = ManualClock()
    found = traces(clock)
    refuse(found, "a")
    clock.advance_ms(10)
    refuse(found, "b")
    refuse(found, "c", "503 Line Full", TRUNK)
    clock.advance_ms(10)
    refuse(found, "d", "404 No Dialplan", TRUNK)
    at_ms = 1_700_000_000_000
    assert found.refused == [
        RefusedGroup("carrier", "404 No Dialplan", 1, 1, at_ms + 20, at_ms + 20),
        RefusedGroup("", "403 Forbidden", 2, 2, at_ms, at_ms + 10),
        RefusedGroup("carrier", "503 Line Full", 1, 1, at_ms + 10, at_ms + 10),
    ]
    (latest,) = found.of_refused("", "403 Forbidden", 1)
    assert latest.trace.about["sip_call_id"] == "b"
    assert latest.trace.about["trunk"] == ""
    assert found.of_refused("carrier", "486 Busy Here", 1) == []


def test_the_whole_exchange_is_kept_without_credentials_and_numbers_of_cards() -> None:
    found = traces()
    refuse(found, "a")
    found.take(answer("a"), STRANGER, sent=True)
    found.take("ACK sip:x SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 ACK\r\n\r\n", STRANGER, sent=False)
    (kept,) = found.of_refused("", "403 Forbidden", 9)
    messages = kept.cleaned().messages
    assert [each.text.split()[0] for each in messages] == ["INVITE", "SIP/2.0", "SIP/2.0", "ACK"]
    assert [each.repeats for each in messages] == [False, False, True, False]
    whole = "".join(each.text for each in messages)
    assert ("deadbeef" in whole, "4111111111111111" in whole) == (False, False)
    assert counts(found) == {("", "403 Forbidden"): (1, 1)}


def test_a_scanner_pushes_out_its_like_alone() -> None:
    found = traces()
    refuse(found, "mine", "503 Line Full", TRUNK)
    for number in range(20_000):
        refuse(found, f"scan{number}", filling=1_000)
    assert found.kept_bytes <= 1_000_000
    assert counts(found)["carrier", "503 Line Full"] == (1, 1)
    refused, kept = counts(found)["", "403 Forbidden"]
    assert refused == 20_000
    assert 200 < kept < 20_000
    assert found.of_refused("", "403 Forbidden", 1)[0].trace.about["sip_call_id"] == "scan19999"


def test_long_invites_and_endless_repetitions_stay_within_their_memory() -> None:
    found = traces(all_bytes=1_000_000)
    for number in range(1_000):
        for _ in range(20):
            refuse(found, f"scan{number}", filling=100_000)
    assert found.kept_bytes <= 125_000 + 64_000
    found.take(invite("call"), TRUNK, sent=False)
    found.join("c_1", "call", "caller")
    found.end("c_1")
    (ended,) = found.take_ended(at_once=True)
    assert len(ended.trace.messages) == 1  # calls have their own room


def test_after_a_day_none_is_left() -> None:
    clock = ManualClock()
    found = traces(clock)
    refuse(found, "a")
    clock.advance_ms(HOUR_MS)
    refuse(found, "b")
    clock.advance_ms(23 * HOUR_MS - 1)
    found.take_ended()
    assert counts(found) == {("", "403 Forbidden"): (2, 2)}
    clock.advance_ms(1)
    found.take_ended()
    assert counts(found) == {("", "403 Forbidden"): (2, 1)}
    clock.advance_ms(HOUR_MS)
    found.take_ended()
    assert (found.refused, found.kept_bytes) == ([], 0)


def test_a_challenged_invite_that_becomes_a_call_was_not_refused() -> None:
    found = traces()
    refuse(found, "a", "401 Unauthorized")
    found.take(invite("a"), STRANGER, sent=False)
    found.join("c_1", "a", "caller")
    assert found.refused == []
    found.end("c_1")
    (ended,) = found.take_ended(at_once=True)
    assert len(ended.trace.messages) == 3
    assert found.kept_bytes == 0
    refuse(found, "b", "401 Unauthorized")  # whoever listens in private joins no trace
    found.take(invite("b"), STRANGER, sent=False)
    found.take(answer("b", "200 OK"), STRANGER, sent=True)
    assert (found.refused, found.kept_bytes) == ([], 0)


def test_wrong_credentials_are_in_the_group_of_the_last_answer() -> None:
    found = traces()
    refuse(found, "a", "401 Unauthorized")
    refuse(found, "a", "403 Forbidden")
    assert counts(found) == {("", "403 Forbidden"): (1, 1)}
    found.take(answer("a", "200 OK", "CANCEL"), STRANGER, sent=True)
    assert counts(found) == {("", "403 Forbidden"): (1, 1)}


def test_what_others_answer_to_us_and_what_is_in_calls_is_no_refusal() -> None:
    found = traces()
    found.take(invite("ours"), STRANGER, sent=True)
    found.take(answer("ours", "486 Busy Here"), STRANGER, sent=False)
    found.take(invite("call"), STRANGER, sent=False)
    found.join("c_1", "call", "caller")
    found.take(answer("call", "503 Line Full"), STRANGER, sent=True)
    assert found.refused == []
