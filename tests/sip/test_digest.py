"""Digest as RFC 7616 has it, and the users who are judged by it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip.digest import (
    DigestAlgorithm,
    DigestAnswer,
    DigestChallenge,
    parse_digest,
    response_of,
    strongest,
)
from bridge.sip.nonces import MOST_NONCES, NONCE_LIFE_S, Nonces, NonceUse
from bridge.sip.sources import RequestSources, SourceBounds, SourceVerdict, Strangers, TurnedAway
from bridge.sip.users import DigestFault, PresentedRequest, Users, UserSecrets
from tests.support.digest import authorization, hashed, is_right, read

S = 1_000_000_000
HOST, REALM, URI = "198.51.100.7", "telephony-bridge", "sip:support@bridge.example"

WORDS = st.text(st.sampled_from('ab19.:;="\\, /@%\t\u00e9'), max_size=12)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_responses_are_those_of_rfc_7616_section_3_9_1(algorithm: str, response: str) -> None:
    chosen = DigestAlgorithm(algorithm)
    ha1 = chosen.hash("Mufasa", "http-auth@example.org", "Circle of Life")
    computed = response_of(
        *(chosen, ha1, "GET", "/dir/index.html"),
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        nc="00000001",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert computed == response


def test_a_response_without_qop_is_that_of_rfc_2069() -> None:
    ha1 = DigestAlgorithm.MD5.hash("alice", "r", "s")
    expected = hashed("MD5", ha1, "n", hashed("MD5", "REGISTER", "sip:r"))
    assert response_of(DigestAlgorithm.MD5, ha1, "REGISTER", "sip:r", "n") == expected


@pytest.mark.parametrize(
    "value",
    [
        "Basic YTpi",
        "Digest",
        "Digest ",
        "Digest a",
        'Digest a="b" c="d"',
        'Digest a="b", a="c"',
        'Digest a="b',
        'Digest a="b",',
        "Digest a=b c",
        "Digest a=" + "b" * 5000,
    ],
)
def test_a_broken_grammar_is_none(value: str) -> None:
    assert parse_digest(value) is None


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), WORDS, min_size=1, max_size=6))
def test_what_is_quoted_is_read_as_it_stands(given_: dict[str, str]) -> None:
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "")
        for name, value in given_.items()
    }
    text = "Digest " + " , ".join(f'{name} = "{value}"' for name, value in escaped.items())
    assert parse_digest(text) == escaped


@given(st.text(max_size=200), st.text(max_size=50))
def test_any_text_is_read_or_none(one: str, two: str) -> None:
    for text in (one, f"Digest {one}", f'Digest realm="{one}", nonce="{two}"'):
        assert parse_digest(text) is None or DigestChallenge.parse(text) or True
        DigestAnswer.parse(text)


@given(
    st.sampled_from(["SHA-256", "MD5"]),
    st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20),
    st.booleans(),
)
def test_our_answers_are_right_in_the_eyes_of_another_implementation(
    algorithm: str, secret: str, qop: bool
) -> None:
    challenge = DigestChallenge.parse(
        f'Digest realm="x", nonce="n", opaque="o", algorithm={algorithm}'
        + (', qop="auth-int,auth"' if qop else "")
    )
    assert challenge is not None
    value = challenge.answer("alice", secret, "OPTIONS", URI, "c0ffee")
    assert is_right(value, "OPTIONS", secret=secret)
    assert not is_right(value, "INVITE", secret=secret)
    assert read(value)["opaque"] == "o"


def test_the_strongest_challenge_of_the_realm_is_answered() -> None:
    values = [
        'Digest realm="a", nonce="1", algorithm=MD5',
        'Digest realm="a", nonce="2", algorithm=SHA-256, qop="auth"',
        'Digest realm="b", nonce="3"',
        'Digest realm="a", nonce="4", algorithm=SHA-512-256',
        'Digest realm="a", nonce="5", qop="auth-int"',
    ]
    challenges = [each for each in map(DigestChallenge.parse, values) if each is not None]
    found = [strongest(challenges, realm) for realm in ("a", "b", "*", "c")]
    assert [each and each.nonce for each in found] == ["2", "3", "2", None]


def user(*algorithms: str, secret: str = "wonderland", name: str = "alice") -> UserSecrets:
    return UserSecrets(
        {DigestAlgorithm(each): hashed(each, name, REALM, secret) for each in algorithms}, "pbx"
    )


def users(**more: UserSecrets) -> Users:
    return Users({"alice": user("SHA-256", "MD5"), **more}, REALM, b"key")


def ask(value: str, identity: str = "1", uri: str = URI) -> PresentedRequest:
    return PresentedRequest("INVITE", uri, "", (value,), identity)


@pytest.mark.parametrize("place", [0, 1])
def test_the_right_secret_is_served_as_the_users_trunk(place: int) -> None:
    judged = users()
    challenge = judged.challenges(HOST, 0, stale=False)[place]
    assert read(challenge)["algorithm"] == ("SHA-256", "MD5")[place]
    assert judged.judge(ask(authorization(challenge, "INVITE", URI)), HOST, S) == "pbx"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"secret": "guess"}, DigestFault.CREDENTIALS),
        ({"user": "bob"}, DigestFault.CREDENTIALS),
        ({"method": "OPTIONS"}, DigestFault.CREDENTIALS),
        ({"response": "0" * 64}, DigestFault.CREDENTIALS),
        ({"uri": "sip:other@bridge.example"}, DigestFault.URI),
        ({"nonce": "0" * 60}, DigestFault.STALE),
        ({"qop": "auth-int"}, DigestFault.MALFORMED),
        ({"nc": 0}, DigestFault.MALFORMED),
        ({"cnonce": ""}, DigestFault.MALFORMED),
        ({"realm": "elsewhere"}, DigestFault.MALFORMED),
        ({"algorithm": "SHA-512-256"}, DigestFault.MALFORMED),
        ({"algorithm": "MD5"}, DigestFault.CREDENTIALS),
    ],
)
def test_what_is_wrong_with_credentials_is_named(
    changes: dict[str, Any], fault: DigestFault
) -> None:
    judged = users()
    challenge = judged.challenges(HOST, 0, stale=False)[0]
    method, uri = changes.pop("method", "INVITE"), changes.pop("uri", URI)
    assert judged.judge(ask(authorization(challenge, method, uri, **changes)), HOST, S) is fault


@pytest.mark.parametrize("uri", ["sip:support@BRIDGE.example", f"{URI};transport=udp"])
def test_a_uri_that_says_the_same_is_the_same(uri: str) -> None:
    judged = users()
    challenge = judged.challenges(HOST, 0, stale=False)[0]
    assert judged.judge(ask(authorization(challenge, "INVITE", uri)), HOST, S) == "pbx"


def test_a_nonce_is_good_for_its_address_and_its_time_alone() -> None:
    judged = users()
    value = authorization(judged.challenges(HOST, 0, stale=False)[0], "INVITE", URI)
    late = int((NONCE_LIFE_S + 1) * S)
    assert judged.judge(ask(value), "198.51.100.8", S) is DigestFault.STALE
    assert judged.judge(ask(value), HOST, late) is DigestFault.STALE
    assert users().judge(ask(value), HOST, S) == "pbx"  # the same key
    assert Users({}, REALM, b"other").judge(ask(value), HOST, S) is DigestFault.MALFORMED


def test_a_count_is_used_once_and_a_copy_of_the_request_is_none_other() -> None:
    judged = users()
    challenge = judged.challenges(HOST, 0, stale=False)[0]
    first, second = (authorization(challenge, "INVITE", URI, nc=nc) for nc in (1, 2))
    assert judged.judge(ask(second, "b"), HOST, 0) == "pbx"
    assert judged.judge(ask(first, "a"), HOST, 0) == "pbx"  # overtaken on its way
    assert judged.judge(ask(first, "a"), HOST, 10 * S) == "pbx"
    assert judged.judge(ask(first, "c"), HOST, 10 * S) is DigestFault.REPLAY
    assert judged.judge(ask(first, "a"), HOST, 40 * S) is DigestFault.REPLAY


@given(st.permutations(range(1, 60)))
def test_no_count_is_taken_twice_in_any_order(counts: list[int]) -> None:
    nonces = Nonces(b"key")
    nonce = nonces.make(HOST, 0)
    uses = [nonces.use(nonce, count, str(place), 0) for place, count in enumerate(counts * 2)]
    assert set(uses[len(counts) :]) == {NonceUse.REPLAY}
    assert uses[0] is NonceUse.FIRST


def test_a_forgotten_nonce_can_not_be_used_again() -> None:
    nonces = Nonces(b"key")
    old = nonces.make(HOST, 0)
    assert nonces.use(old, 1, "", 0) is NonceUse.FIRST
    for _ in range(MOST_NONCES):
        nonces.use(nonces.make(HOST, S), 1, "", S)
    assert not nonces.is_fresh(old, HOST, S)
    assert nonces.is_fresh(nonces.make(HOST, 2 * S), HOST, 2 * S)


def test_sha_256_is_offered_where_all_have_it() -> None:
    both = users(bob=user("SHA-256")).challenges(HOST, 0, stale=True)
    assert [read(each)["algorithm"] for each in both] == ["SHA-256", "MD5"]
    assert all(read(each)["stale"] == "true" for each in both)
    assert len({read(each)["nonce"] for each in both}) == 1
    weak = users(bob=user("MD5")).challenges(HOST, 0, stale=False)
    assert [read(each)["algorithm"] for each in weak] == ["MD5"]


def door(strangers: Strangers = "refuse") -> RequestSources:
    return RequestSources(lambda host: None, {}, strangers, SourceBounds(), users())


@pytest.mark.parametrize(
    ("strangers", "method", "agent", "verdict", "reason"),
    [
        ("refuse", "INVITE", "", SourceVerdict.CHALLENGE, TurnedAway.CHALLENGED),
        ("refuse", "OPTIONS", "", SourceVerdict.CHALLENGE, TurnedAway.CHALLENGED),
        ("refuse", "INVITE", "sipvicious", SourceVerdict.DROP, TurnedAway.SCANNER),
        ("drop", "INVITE", "", SourceVerdict.CHALLENGE, TurnedAway.CHALLENGED),
        ("drop", "REGISTER", "", SourceVerdict.DROP, TurnedAway.STRANGER),
        ("answer", "INVITE", "", SourceVerdict.SERVE, None),
    ],
)
def test_strangers_are_challenged_where_there_are_users(
    strangers: Strangers,
    method: str,
    agent: str,
    verdict: SourceVerdict,
    reason: TurnedAway | None,
) -> None:
    judgement = door(strangers).judge(HOST, PresentedRequest(method, URI, agent), 0)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)


def test_a_scan_gets_few_challenges_and_a_user_as_many_as_they_need() -> None:
    judged = door()
    asked = PresentedRequest("INVITE", URI)
    verdicts = [judged.judge(HOST, asked, 0).verdict for _ in range(100)]
    assert verdicts.count(SourceVerdict.CHALLENGE) == 10
    challenge = judged.challenges("192.0.2.9", TurnedAway.CHALLENGED, 0)[0]
    value = authorization(challenge, "INVITE", URI)
    assert judged.judge("192.0.2.9", ask(value), 0).trunk == "pbx"
    verdicts = [judged.judge("192.0.2.9", asked, 0).verdict for _ in range(100)]
    assert set(verdicts) == {SourceVerdict.CHALLENGE}


def test_guesses_are_heard_at_their_rate_alone() -> None:
    judged = door()
    challenge = judged.challenges(HOST, TurnedAway.CHALLENGED, 0)[0]
    wrong = ask(authorization(challenge, "INVITE", URI, secret="guess"))
    reasons = [judged.judge(HOST, wrong, 0).reason for _ in range(30)]
    assert reasons == [TurnedAway.CREDENTIALS] * 15 + [TurnedAway.RATE] * 15
    right = ask(authorization(challenge, "INVITE", URI))
    assert judged.judge(HOST, right, 0).verdict is SourceVerdict.DROP
    assert judged.judge(HOST, right, 3 * S).trunk == "pbx"
