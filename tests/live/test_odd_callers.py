"""Callers with odd names: each is answered, and what is told of them is true and can be read."""

import asyncio
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.config.settings import RedisSettings
from bridge.store.local import LocalRedis
from bridge.store.reader import CallReader
from tests.live.conftest import StartGateway
from tests.live.service import tone_service
from tests.support.raw_caller import Header, RawCaller
from tests.support.waiting import until_written, wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]


@dataclass
class Told:
    """What is told of a call: hash, record, line, the recording's first marker, tools' facts."""

    hash: dict[str, str]
    record: dict[str, object]
    line: dict[str, object]
    marker: dict[str, object]
    facts: dict[str, object]

    @property
    def texts(self) -> str:
        """All of it, as it was written."""
        parts = (self.hash, self.record, self.line, self.marker, self.facts)
        return json.dumps(parts, ensure_ascii=False)


async def call(
    start_gateway: StartGateway,
    redis: LocalRedis,
    directory: Path,
    *,
    from_: bytes,
    uri: str = "",
    more: tuple[Header, ...] = (),
    sip: Mapping[str, object] | None = None,
    dialplan: Mapping[str, object] | None = None,
) -> Told:
    """Call, be answered, hang up; return what is told."""
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(url, sip=sip, dialplan=dialplan)
        asked = uri.encode("latin-1").replace(b"PORT", b"%d" % port) or None
        async with RawCaller(port, from_=from_, uri=asked, more=more) as caller:
            assert await caller.invite() == 200
            (runner,) = gateway.calls
            facts = dict(runner.record.facts)
            assert await caller.bye() == 200
        line = json.loads(await until_written(directory / "calls.jsonl", "the call has no record"))
        call_id = line["call_id"]
        record = json.loads((directory / f"{call_id}.json").read_text(encoding="utf-8"))
        markers = (directory / f"{call_id}.markers.jsonl").read_text(encoding="utf-8")
        async with CallReader(RedisSettings(), redis.url) as reader:

            async def ended() -> bool:
                return "ended_at" in (await reader.call(call_id) or {})

            await wait_until(ended, "Redis knows of no end of the call")
            found = dict(await reader.call(call_id) or {})
        return Told(found, record, line, json.loads(markers.split("\n")[0]), facts)


@pytest.mark.parametrize(
    ("from_", "told"),
    [
        (
            b'"M\xfcller, J\xf6rg" <sip:+15550100@x>',  # ISO-8859-1
            '"Müller, Jörg" <sip:+15550100@x>',
        ),
        ('"Müller" <sip:+15550100@x>'.encode(), '"Müller" <sip:+15550100@x>'),
        (b'"\xed\xa0\x80\xff" <sip:+15550100@x>', None),  # half a surrogate pair
        (
            '"A\u202e0010555\u2066\u200b\u2028B" <sip:+15550100@x>'.encode(),
            '"A0010555 B" <sip:+15550100@x>',
        ),
        (b'"A\x1b[31mB\x07" <sip:+15550100@x>', '"A [31mB" <sip:+15550100@x>'),
        (
            b'"' + b"n" * 500 + b'" <sip:+15550100@x>',
            '"' + "n" * 500 + '" <sip:+15550100@x>',
        ),
        (
            b'"<sip:+15550171@x>" <sip:+15550100@x>',
            '"<sip:+15550171@x>" <sip:+15550100@x>',
        ),
    ],
    ids=["latin-1", "utf-8", "surrogates", "direction", "controls", "500 letters", "forged"],
)
async def test_caller_with_any_name_is_answered_and_told(
    start_gateway: StartGateway,
    redis: LocalRedis,
    tmp_path: Path,
    from_: bytes,
    told: str | None,
) -> None:
    seen = await call(start_gateway, redis, tmp_path, from_=from_)
    assert (seen.record["outcome"], seen.record["reason"]) == ("completed", "caller_hung_up")
    froms = {seen.hash["from"], seen.line["from"], seen.record["caller"], seen.marker["caller"]}
    assert len(froms) == 1
    (shown,) = froms
    assert str(shown).endswith("<sip:+15550100@x>")
    assert told in (None, shown)
    categories = {unicodedata.category(each) for each in seen.texts}
    assert not categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}


async def test_a_number_of_any_length_is_kept_whole(
    start_gateway: StartGateway, redis: LocalRedis, tmp_path: Path
) -> None:
    """PJSIP prints an address into 256 bytes; here the user part alone is longer."""
    user = "1" * 300
    seen = await call(
        start_gateway,
        redis,
        tmp_path,
        from_=b'"A \\"<sip:+15550171@x>\\" (desk)" <sip:%s@x;user=phone>' % user.encode(),
        more=((b"Subject", b"n" * 900), (b"Organization", b"M\xfcller")),
    )
    assert seen.hash["from"] == seen.line["from"]
    assert seen.hash["from"].endswith(f"<sip:{user}@x;user=phone>")
    assert seen.record["outcome"] == "completed"


async def test_places_that_are_not_to_be_shown_are_told_nowhere(
    start_gateway: StartGateway, redis: LocalRedis, tmp_path: Path
) -> None:
    seen = await call(
        start_gateway,
        redis,
        tmp_path,
        from_=b"<sip:+15550100@x>",
        more=(
            (b"Diversion", b'"J\xf6rg" <sip:+15550111@c>;privacy=full;reason=no-answer'),
            (b"Diversion", b'"J\xf6rg" <sip:+15550112@c>;privacy=name'),
            (b"History-Info", b"<sip:+15550177@c?Privacy=history>;index=1"),
            (b"History-Info", b"<sip:x@c?Reason=SIP%3Bcause%3D302>;index=1.1"),
            (b"User-to-User", b"M\xfcller;encoding=text"),
        ),
    )
    assert not [each for each in ("15550111", "15550177", "Jörg") if each in seen.texts]
    assert seen.record["diversion"] == "<sip:+15550112@c>;privacy=name"
    assert seen.record["history_info"] == "<sip:x@c?Reason=SIP%3Bcause%3D302>;index=1.1"
    assert seen.hash["user_to_user"] == "Müller;encoding=text"


async def test_bytes_in_the_request_uri_and_in_other_headers_cost_no_call(
    start_gateway: StartGateway, redis: LocalRedis, tmp_path: Path
) -> None:
    seen = await call(
        start_gateway,
        redis,
        tmp_path,
        from_=b"<sip:+15550100@x>",
        uri="sip:B%FCro@127.0.0.1:PORT",
        more=((b"X-Firma", b"M\xfcller \x85 \xe2\x80\xa8 & S\xf6hne"), (b"Subject", b"\xff\xfe")),
    )
    assert (seen.record["outcome"], seen.line["to"]) == ("completed", "Büro")


ORIGIN: tuple[Header, ...] = (
    (b"P-Asserted-Identity", b'"Ann" <sip:+15550123@carrier.example>'),
    (b"Diversion", b"<sip:+15550111@c>;reason=unconditional"),
    (b"History-Info", b"<sip:+15550177@c>;index=1"),
    (b"User-to-User", b"00C81f;encoding=hex"),
    (b"X-Account", b"M\xfcller 4111 1111 1111 1111"),
    (b"X-Else", b"no"),
)
TRUSTED = {"trunks": {"carrier": {"addresses": ["127.0.0.1"], "trust": ["P-Asserted-Identity"]}}}
TOLD = ("asserted", "privacy", "diversion", "history_info", "user_to_user")


async def test_what_a_trusted_trunk_says_is_in_hash_and_record(
    start_gateway: StartGateway, redis: LocalRedis, tmp_path: Path
) -> None:
    seen = await call(
        start_gateway,
        redis,
        tmp_path,
        from_=b"<sip:+15550100@x>",
        more=ORIGIN,
        sip=TRUSTED,
        dialplan={"keep_headers": ["X-Account"]},
    )
    told = {
        "asserted": '"Ann" <sip:+15550123@carrier.example>',
        "diversion": "<sip:+15550111@c>;reason=unconditional",
        "history_info": "<sip:+15550177@c>;index=1",
        "user_to_user": "00C81f;encoding=hex",
    }
    assert {name: seen.hash[name] for name in TOLD if name in seen.hash} == told
    assert {name: seen.record[name] for name in TOLD if seen.record[name]} == told
    assert json.loads(seen.hash["headers"]) == seen.record["headers"]
    assert seen.record["headers"] == {"X-Account": "Müller [card]"}
    assert seen.hash["sip_call_id"] == seen.record["sip_call_id"] != ""
    assert seen.marker["asserted"] == told["asserted"]
    assert {name: seen.facts[name] for name in TOLD if name in seen.facts} == told
    assert seen.facts["headers"] == {"X-Account": "Müller 4111 1111 1111 1111"}
    assert seen.facts["sip_call_id"] == seen.hash["sip_call_id"]


@pytest.mark.parametrize(("trust", "level"), [(["verstat"], "A"), ([], "none")])
async def test_words_on_numbers_count_from_the_trunk_that_is_trusted_for_them(
    start_gateway: StartGateway, redis: LocalRedis, tmp_path: Path, trust: list[str], level: str
) -> None:
    named = {"addresses": ["192.0.2.1"], "trust": ["verstat"]}
    seen = await call(
        start_gateway,
        redis,
        tmp_path,
        from_=b"<sip:+15550100;verstat=TN-Validation-Passed-A@x>",
        more=((b"X-Twilio-VerStat", b"TN-Validation-Passed-A"),),
        sip={"trunks": {"here": {"addresses": ["127.0.0.1"], "trust": trust}, "named": named}},
    )
    assert seen.record["verstat"] == level


async def test_a_stranger_asserts_nothing(
    start_gateway: StartGateway, redis: LocalRedis, tmp_path: Path
) -> None:
    seen = await call(start_gateway, redis, tmp_path, from_=b"<sip:+15550100@x>", more=ORIGIN)
    assert "15550123" not in seen.texts


@pytest.mark.parametrize(
    ("sip", "status"), [(None, 404), (TRUSTED, 200)], ids=["stranger", "trusted trunk"]
)
async def test_a_headers_rule_believes_a_trusted_trunk_alone(
    start_gateway: StartGateway, sip: Mapping[str, object] | None, status: int
) -> None:
    rule = {"headers": {"P-Asserted-Identity": "*"}}
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(url, sip=sip, dialplan={"match": [rule]})
        async with RawCaller(port, from_=b"<sip:+15550100@x>", more=ORIGIN) as caller:
            assert await caller.invite() == status
            if status == 200:
                assert await caller.bye() == 200
        await asyncio.gather(*gateway.calls.values())


async def test_who_asks_for_privacy_is_told_nowhere(
    start_gateway: StartGateway, redis: LocalRedis, tmp_path: Path
) -> None:
    seen = await call(
        start_gateway,
        redis,
        tmp_path,
        from_=b'"Ann" <sip:+15550123@x>',
        more=(*ORIGIN, (b"Privacy", b"id")),
        sip=TRUSTED,
    )
    assert "15550123" not in seen.texts
    assert "Ann" not in seen.texts
    assert seen.hash["privacy"] == seen.record["privacy"] == "id"
    assert seen.hash["from"] == '"Anonymous" <sip:anonymous@anonymous.invalid>'
