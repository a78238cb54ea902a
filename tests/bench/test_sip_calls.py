"""The callers' SIP, datagram by datagram."""

import base64
from dataclasses import dataclass, field

from bridge.bench.sip_calls import Ended, SipCalls
from bridge.clock import NS_PER_MS
from bridge.softphone.sip_message import PhoneMessage, audio_sdp

RTP_PORT = 4000


@dataclass
class Wire:
    """What the caller sent, and a far end that answers."""

    secure: bool = False
    sent: list[PhoneMessage] = field(default_factory=list)
    up: list[tuple[int, int]] = field(default_factory=list)
    over: list[int] = field(default_factory=list)
    ends: list[Ended] = field(default_factory=list)
    changed: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.calls = SipCalls(
            ("127.0.0.1", 5060),
            5070,
            "bench",
            lambda data: self.sent.append(PhoneMessage.parse(data)),
            secure=self.secure,
            on_up=lambda slot, port: self.up.append((slot, port)),
            on_over=self.end,
            on_changed=lambda slot, port: self.changed.append((slot, port)),
        )

    def end(self, slot: int, ended: Ended) -> None:
        self.over.append(slot)
        self.ends.append(ended)

    @property
    def methods(self) -> list[str]:
        return [each.start.split(" ")[0] for each in self.sent]

    def answer(self, status: int, at_ms: int = 0, *, sdp: str = "") -> None:
        """Answer the last request that is no ACK."""
        request = next(each for each in reversed(self.sent) if not each.start.startswith("ACK"))
        self.respond_to(request, status, at_ms, sdp=sdp)

    def respond_to(
        self, request: PhoneMessage, status: int, at_ms: int = 0, *, sdp: str = ""
    ) -> None:
        kept = [(name, request.header(name)) for name in ("Via", "From", "Call-ID", "CSeq")]
        to = ("To", f"{request.header('To')};tag=far")
        contact = ("Contact", "<sip:127.0.0.1:5060;transport=udp>")
        response = PhoneMessage(f"SIP/2.0 {status} Test", (*kept, to, contact), sdp)
        self.calls.receive(response.encode(), at_ms * NS_PER_MS)

    def far_end_says_bye(self, invite: PhoneMessage) -> None:
        headers = (
            *((name, invite.header(name)) for name in ("Via", "From", "To", "Call-ID")),
            ("CSeq", "1 BYE"),
        )
        self.calls.receive(PhoneMessage("BYE sip:bench@127.0.0.1 SIP/2.0", headers).encode(), 0)

    def bring_up(self) -> None:
        self.calls.invite(0, RTP_PORT, 0)
        self.answer(200, 30, sdp=audio_sdp(6000))


def test_secure_call_offers_srtp_over_tls_and_learns_the_far_key() -> None:
    wire = Wire(secure=True)
    wire.calls.invite(0, RTP_PORT, 0)
    (invite,) = wire.sent
    assert invite.header("Via").startswith("SIP/2.0/TLS ")
    assert "transport=tls" in invite.header("Contact")
    assert f"m=audio {RTP_PORT} RTP/SAVP" in invite.body
    ours = invite.crypto_key
    assert len(base64.b64decode(ours)) == 30

    far_key = base64.b64encode(bytes(30)).decode()
    wire.answer(200, sdp=audio_sdp(6000, crypto_key=far_key))

    assert wire.calls.keys_of(0) == (ours, far_key)
    wire.calls.change(0, RTP_PORT, "sendonly", 0)
    assert wire.sent[-1].crypto_key == ours


def test_plain_call_has_no_keys() -> None:
    wire = Wire()
    wire.bring_up()
    assert wire.calls.keys_of(0) == ("", "")
    assert "crypto" not in wire.sent[0].body
    assert wire.sent[0].header("Via").startswith("SIP/2.0/UDP ")


def test_answered_call_is_acknowledged_and_its_setup_timed() -> None:
    wire = Wire()
    wire.bring_up()

    assert wire.methods == ["INVITE", "ACK"]
    assert wire.sent[0].media_port == RTP_PORT
    assert wire.sent[1].start == "ACK sip:127.0.0.1:5060;transport=udp SIP/2.0"
    assert "tag=far" in wire.sent[1].header("To")
    assert wire.up == [(0, 6000)]
    assert wire.calls.outcomes.setup_ns == [30 * NS_PER_MS]
    assert wire.calls.asked == 0


def test_bye_ends_the_call_when_it_is_answered() -> None:
    wire = Wire()
    wire.bring_up()

    wire.calls.bye(0, 0)
    assert wire.methods[-1] == "BYE"
    assert wire.over == []
    wire.answer(200)

    assert wire.over == [0]
    assert wire.calls.left == 0


def test_refused_call_is_acknowledged_in_its_own_transaction_and_counted() -> None:
    wire = Wire()
    wire.calls.invite(0, RTP_PORT, 0)
    wire.answer(503)

    assert wire.methods == ["INVITE", "ACK"]
    assert wire.sent[1].branch == wire.sent[0].branch
    assert wire.calls.outcomes.refused == [503]
    assert wire.over == [0]


def test_bye_of_the_far_end_is_a_dropped_call() -> None:
    wire = Wire()
    wire.bring_up()
    invite = wire.sent[0]
    wire.far_end_says_bye(invite)

    assert wire.sent[-1].status == 200
    assert wire.calls.outcomes.dropped == 1
    assert wire.over == [0]


def test_invite_without_any_answer_is_repeated_and_given_up() -> None:
    wire = Wire()
    wire.calls.invite(0, RTP_PORT, 0)
    for at_ms in (400, 600, 1200, 1700, 33_000):
        wire.calls.repeat(at_ms * NS_PER_MS)

    assert wire.methods == ["INVITE"] * 3
    assert wire.calls.outcomes.refused == [0]
    assert wire.over == [0]


def test_invite_with_a_provisional_answer_is_not_repeated() -> None:
    wire = Wire()
    wire.calls.invite(0, RTP_PORT, 0)
    wire.answer(100)
    wire.calls.repeat(5000 * NS_PER_MS)

    assert wire.methods == ["INVITE"]


def test_second_200_is_acknowledged_again() -> None:
    wire = Wire()
    wire.bring_up()
    wire.answer(200, sdp=audio_sdp(6000))

    assert wire.methods == ["INVITE", "ACK", "ACK"]
    assert len(wire.calls.outcomes.setup_ns) == 1


def test_cancel_waits_for_a_provisional_answer_and_belongs_to_the_invite() -> None:
    wire = Wire()
    wire.calls.invite(0, RTP_PORT, 0)
    wire.calls.cancel(0, 0)
    assert wire.methods == ["INVITE"]

    wire.answer(180)
    assert wire.methods == ["INVITE", "CANCEL"]
    assert wire.sent[1].branch == wire.sent[0].branch
    assert wire.sent[1].header("CSeq") == "1 CANCEL"
    wire.answer(200)
    wire.respond_to(wire.sent[0], 487)

    assert wire.methods == ["INVITE", "CANCEL", "ACK"]
    assert wire.ends == [Ended("refused", 487)]


def test_cancel_that_crosses_the_answer_ends_the_call() -> None:
    wire = Wire()
    wire.calls.invite(0, RTP_PORT, 0)
    wire.calls.cancel(0, 0)
    wire.answer(200, sdp=audio_sdp(6000))

    assert wire.methods == ["INVITE", "ACK", "BYE"]
    assert wire.up == []
    wire.answer(200)
    assert wire.ends == [Ended("hung up")]


def test_hold_is_a_new_offer_in_the_dialog() -> None:
    wire = Wire()
    wire.bring_up()
    assert wire.calls.change(0, RTP_PORT, "sendonly", 0)
    assert not wire.calls.change(0, RTP_PORT, "sendrecv", 0), "two offers at once"
    wire.answer(200, sdp=audio_sdp(6000, direction="recvonly"))

    assert wire.methods == ["INVITE", "ACK", "INVITE", "ACK"]
    assert [each.header("CSeq") for each in wire.sent[2:]] == ["2 INVITE", "2 ACK"]
    assert wire.sent[2].direction == "sendonly"
    assert wire.changed == [(0, 6000)]
    assert len(wire.calls.outcomes.setup_ns) == 1


def test_refused_hold_leaves_the_call_up() -> None:
    wire = Wire()
    wire.bring_up()
    wire.calls.change(0, RTP_PORT, "sendonly", 0)
    wire.answer(491)

    assert wire.sent[-1].header("CSeq") == "2 ACK"
    assert wire.calls.outcomes.changes_refused == [491]
    assert wire.over == []


def test_caller_who_is_gone_acknowledges_nothing_and_is_ended_by_the_far_end() -> None:
    wire = Wire()
    wire.calls.invite(0, RTP_PORT, 0, acknowledges=False)
    wire.answer(200, sdp=audio_sdp(6000))
    assert wire.methods == ["INVITE"]
    assert wire.up == []

    wire.far_end_says_bye(wire.sent[0])
    assert wire.ends == [Ended("dropped")]
