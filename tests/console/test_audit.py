"""The audit of the console: nothing without an entry, and every change of it is seen."""

import asyncio
import csv
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.console.access.audit import AuditEntry, AuditUnavailableError
from bridge.console.access.audit_search import verify
from bridge.console.access.principal import Principal
from bridge.console.access.roles import UserRole
from bridge.store.audit import chained
from bridge.store.client import RedisLink
from tests.console.conftest import Browser, Console, MakeConsole

SUE = Principal("sue", frozenset({UserRole.SUPERVISOR}), ("*",), "s", "c", "192.0.2.7")


@pytest.fixture
async def auditor(console: Console, browser: Browser) -> Browser:
    """A browser of somebody who may read the audit."""
    await console.add_user("al", "auditor")
    await console.sign_in(browser, "al")
    return browser


async def entries(console: Console) -> list[dict[str, str]]:
    return [fields async for _, fields in console.services.auditor.audit.read()]


async def test_an_action_is_put_down_before_and_after(console: Console) -> None:
    seen: list[int] = []

    async def whisper() -> str:
        seen.append(len(await entries(console)))
        return "accepted"

    done = await console.services.auditor.act(
        SUE, "whisper", whisper, result_of=str, call_id="c1", params={"text": "offer a refund"}
    )
    assert done == "accepted"
    asked, outcome = await entries(console)
    assert seen == [1]
    assert (asked["result"], outcome["result"]) == ("asked", "accepted")
    for entry in (asked, outcome):
        assert (entry["actor"], entry["roles"], entry["address"]) == (
            *("sue", "supervisor", "192.0.2.7"),
        )
        assert (entry["action"], entry["call_id"]) == ("whisper", "c1")
        assert json.loads(entry["detail"]) == {"text": "offer a refund"}


async def test_an_action_that_fails_or_is_cut_short_is_put_down_so(console: Console) -> None:
    async def fail() -> None:
        raise ValueError("no such call")

    with pytest.raises(ValueError, match="no such call"):
        await console.services.auditor.act(SUE, "end", fail)
    asked = asyncio.Event()

    async def hang() -> None:
        asked.set()
        await asyncio.Event().wait()

    acting = asyncio.create_task(console.services.auditor.act(SUE, "listen", hang))
    await asked.wait()
    acting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await acting
    results = [(entry["action"], entry["result"]) for entry in await entries(console)]
    assert results == [
        *(("end", "asked"), ("end", "failed: no such call")),
        *(("listen", "asked"), ("listen", "cut short")),
    ]


async def test_without_an_audit_nothing_is_done_but_what_ends_a_hold(
    console: Console, redis: RedisLink
) -> None:
    await redis.ask(("SET", "bridge:audit", "in the way"))
    done: list[str] = []

    async def do() -> None:
        done.append("done")

    with pytest.raises(AuditUnavailableError, match="'whisper' was not done"):
        await console.services.auditor.act(SUE, "whisper", do)
    assert done == []
    await console.services.auditor.act(SUE, "hand_back", do, fail_open=True)
    assert done == ["done"]
    text = console.metrics.render()[0].decode()
    assert "bridge_audit_write_failures_total 3.0" in text


async def test_without_an_audit_nobody_signs_in_or_changes_users(
    console: Console, redis: RedisLink, browser: Browser
) -> None:
    await console.add_user("ada", "admin", password_hash="x")
    await console.sign_in(browser, "ada")
    await redis.ask(("SET", "bridge:audit", "in the way"))
    status, told = await browser.post("/api/v1/users", {"user": "eve", "roles": ["admin"]})
    assert (status, "audit" in told["detail"]) == (503, True)
    assert await console.services.users.get("eve") is None
    given = {"user": "ada", "password": "x"}
    assert (await browser.post("/api/v1/session", given))[0] == 503


async def test_writers_at_once_make_one_chain(make_console: MakeConsole, console: Console) -> None:
    other: Console = await make_console()
    writers = [each.services.auditor for each in (console, other)]
    await asyncio.gather(
        *(writers[n % 2].write(AuditEntry("sue", f"action {n}")) for n in range(40))
    )
    verdict = await verify(console.services.auditor.audit, None)
    assert (verdict.entries, verdict.broken_at) == (40, "")


Kept = list[tuple[str, dict[str, str]]]


def put_between(kept: Kept) -> None:
    kept.insert(2, (kept[2][0], {**kept[1][1], "call_id": "c9"}))


def change_with_its_hash(kept: Kept) -> None:
    fields = {name: each for name, each in kept[2][1].items() if name not in ("previous", "hash")}
    kept[2] = (kept[2][0], chained({**fields, "actor": "eve"}, kept[2][1]["previous"]))


SPOILT: dict[str, Callable[[Kept], object]] = {
    "change": lambda kept: kept[2][1].update(actor="somebody else"),
    "change, with its hash": change_with_its_hash,
    "change the last": lambda kept: kept[-1][1].update(actor="somebody else"),
    "add a field": lambda kept: kept[2][1].update(result="refused"),
    "take a field": lambda kept: kept[2][1].pop("call_id"),
    "take the hash": lambda kept: kept[2][1].pop("hash"),
    "take the chain": lambda kept: [kept[2][1].pop(name) for name in ("hash", "previous")],
    "take out": lambda kept: kept.pop(2),
    "take out the first": lambda kept: kept.pop(0),
    "put between": put_between,
    "twice": lambda kept: kept.insert(2, kept[2]),
    "another order": lambda kept: kept.insert(3, kept.pop(2)),
}


async def test_an_end_that_is_cut_off_or_all_written_anew_is_seen_by_the_kept_hash(
    console: Console, redis: RedisLink, auditor: Browser
) -> None:
    """Whoever may write to Redis can do both; the hash that was kept elsewhere tells."""
    for n in range(3):
        await console.services.auditor.write(AuditEntry("sue", "unmask", call_id=f"c{n}"))
    _, good = await auditor.get("/api/v1/audit/verify")
    kept = [each async for each in console.services.auditor.audit.read()]
    before = ""
    await redis.ask(("DEL", "bridge:audit"))
    for _, fields in kept:
        plain = {name: v for name, v in fields.items() if name not in ("previous", "hash")}
        entry = chained({**plain, "actor": "eve"}, before)
        before = entry["hash"]
        words = [word for pair in entry.items() for word in pair]
        await redis.ask(("XADD", "bridge:audit", "*", *words))
    _, found = await auditor.get("/api/v1/audit/verify")
    assert found["broken_at"] == ""
    assert found["newest"] != good["newest"]


@pytest.mark.parametrize("spoil", [*SPOILT])
async def test_a_spoiled_audit_is_seen(
    console: Console, redis: RedisLink, auditor: Browser, spoil: str
) -> None:
    for n in range(5):
        await console.services.auditor.write(AuditEntry("sue", "unmask", call_id=f"c{n}"))
    kept = [each async for each in console.services.auditor.audit.read()]
    _, good = await auditor.get("/api/v1/audit/verify")
    assert (good["entries"], good["broken_at"]) == (5, "")
    assert good["newest"] == kept[-1][1]["hash"]
    SPOILT[spoil](kept)
    await redis.ask(("DEL", "bridge:audit"))
    for _, fields in kept:
        words = [word for pair in fields.items() for word in pair]
        await redis.ask(("XADD", "bridge:audit", "*", *words))
    _, found = await auditor.get("/api/v1/audit/verify")
    assert found["broken_at"]


async def test_sign_ins_and_refusals_are_put_down_without_what_was_typed(
    console: Console, browser: Browser
) -> None:
    await console.add_user("sue", "supervisor")
    for name in ("sue", "my password"):
        await browser.post("/api/v1/session", {"user": name, "password": "hunter2hunter2"})
    found = await entries(console)
    assert [(each.get("actor"), each["action"], each["result"]) for each in found] == [
        ("sue", "login", "refused"),
        (None, "login", "refused"),
    ]
    assert "hunter2" not in json.dumps(found)
    assert "my password" not in json.dumps(found)


async def test_a_change_of_a_user_is_put_down_with_what_changed(
    console: Console, browser: Browser
) -> None:
    await console.add_user("ada", "admin", password_hash="x")
    await console.sign_in(browser, "ada")
    _, made = await browser.post("/api/v1/users", {"user": "sue", "roles": ["supervisor"]})
    await browser.ask("PATCH", "/api/v1/users/sue", {"disabled": True})
    invited, changed = await entries(console)
    assert (invited["action"], invited["actor"], invited["target"]) == ("user invite", "ada", "sue")
    assert (changed["action"], json.loads(changed["detail"])) == ("user change", {"disabled": True})
    assert made["link"].partition("#")[2] not in json.dumps(await entries(console))


async def test_the_audit_is_searched(console: Console, auditor: Browser) -> None:
    for n in range(5):
        await console.services.auditor.write(AuditEntry("sue", "unmask", call_id=f"c{n % 2}"))
    await console.services.auditor.write(AuditEntry("bob", "user invite", target="eve"))

    async def found(query: str) -> list[str]:
        _, page = await auditor.get(f"/api/v1/audit?{query}")
        return [entry["action"] for entry in page["entries"]]

    assert await found("actor=bob") == ["user invite"]
    assert await found("action=unm") == ["unmask"] * 5
    assert await found("call_id=c1") == ["unmask"] * 2
    assert await found("target=eve") == ["user invite"]
    assert await found("since_ms=99999999999999") == []
    assert await found("until_ms=1000") == []
    _, page = await auditor.get("/api/v1/audit?limit=4")
    assert [entry["action"] for entry in page["entries"]] == ["user invite"] + ["unmask"] * 3
    _, rest = await auditor.get(f"/api/v1/audit?limit=4&before={page['before']}")
    assert [entry["action"] for entry in rest["entries"]] == ["unmask"] * 2
    assert rest["before"] == ""


async def test_numbers_in_the_audit_are_masked(console: Console, auditor: Browser) -> None:
    params: dict[str, Any] = {"target": "sip:+15551234567@trunk", "at_ms": 1700000000000}
    await console.services.auditor.write(AuditEntry("sue", "transfer", call_id="c1", params=params))
    _, page = await auditor.get("/api/v1/audit")
    shown = json.loads(page["entries"][0]["detail"])
    assert shown == {"target": "sip:***67@trunk", "at_ms": 1700000000000}


async def test_an_export_is_whole_and_put_down(console: Console, auditor: Browser) -> None:
    params = {"note": "=HYPERLINK(1)"}
    await console.services.auditor.write(AuditEntry("=1+1", "flag", params=params))
    _, text = await auditor.get("/api/v1/audit/export?format=jsonl")
    lines = [json.loads(line) for line in str(text).splitlines()]
    assert [(line["actor"], line["action"]) for line in lines] == [
        ("=1+1", "flag"),
        ("al", "audit export"),
    ]
    _, text = await auditor.get("/api/v1/audit/export?format=csv&action=flag")
    rows = list(csv.DictReader(io.StringIO(str(text))))
    # A spreadsheet would run it.
    assert [(row["actor"], row["action"]) for row in rows] == [("'=1+1", "flag")]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r=", "\n=", "=cmd|' /C calc'!A0"])
async def test_no_cell_of_an_export_is_a_formula(
    console: Console, auditor: Browser, begin: str
) -> None:
    evil = f"{begin}HYPERLINK(1)"
    await console.services.auditor.write(AuditEntry("sue", "flag", target=evil, result=f"x;{evil}"))
    async with auditor.http.get("/api/v1/audit/export?format=csv&action=flag") as answer:
        text = (await answer.read()).decode()
    _, (row,) = text.splitlines()[0], list(csv.DictReader(io.StringIO(text, newline="")))
    assert row["target"] == f"'{evil}"
    assert f'"x;{evil}"' in text  # not parted where a semicolon parts cells


async def test_numbers_are_masked_in_exports_of_both_forms(
    console: Console, auditor: Browser
) -> None:
    params: dict[str, Any] = {"target": "sip:+15551234567@trunk", "text": "Call 0049 30 1234567."}
    entry = AuditEntry("sue", "transfer", target="+15551234567", result="no +1 555 123 4567")
    await console.services.auditor.write(dataclasses.replace(entry, params=params))
    for form in ("csv", "jsonl"):
        _, text = await auditor.get(f"/api/v1/audit/export?format={form}&action=transfer")
        assert "***67" in str(text)
        assert "1234567@" not in str(text)
        assert "555 123 4567" not in str(text)
        assert "+15551234567" not in str(text)


async def test_the_audit_is_for_auditors(console: Console, browser: Browser) -> None:
    for role in ("supervisor", "operator", "qa", "viewer", "agent"):
        await console.add_user("sue", role)
        await console.sign_in(browser, "sue")
        for path in ("/api/v1/audit", "/api/v1/audit/export", "/api/v1/audit/verify", "/audit"):
            assert (await browser.get(path))[0] == 403


async def test_each_entry_is_copied_to_a_file(make_console: MakeConsole, tmp_path: Path) -> None:
    path = tmp_path / "audit" / "audit.jsonl"
    console: Console = await make_console(audit_file=path)
    await asyncio.gather(
        *(console.services.auditor.write(AuditEntry("sue", f"action {n}")) for n in range(10))
    )
    copied = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [{"id": i, **f} async for i, f in console.services.auditor.audit.read()]
    assert copied == kept


async def test_a_file_that_cannot_be_written_is_counted(
    make_console: MakeConsole, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("")
    console: Console = await make_console(audit_file=tmp_path / "taken" / "audit.jsonl")
    await console.services.auditor.write(AuditEntry("sue", "unmask"))
    assert "bridge_audit_write_failures_total 1.0" in console.metrics.render()[0].decode()
    assert len(await entries(console)) == 1


@pytest.fixture
async def call(redis: RedisLink) -> str:
    """A call in Redis, as a node writes it."""
    fields = ("call_id", "c1", "dialplan", "billing", "from", "sip:+15551234567@x", "to", "100")
    await redis.ask(("HSET", "bridge:call:c1", *fields))
    return "c1"


async def test_unmasking_is_put_down_with_its_reason(
    console: Console, browser: Browser, call: str
) -> None:
    await console.add_user("sue", "supervisor", routes=("billing",))
    await console.sign_in(browser, "sue")
    path = f"/api/v1/calls/{call}/unmask"
    assert (await browser.post(path, {"reason": ""}))[0] == 422
    status, found = await browser.post(path, {"reason": "asked to be called back"})
    shown = {"caller": "+15551234567", "called": "100", "asserted": ""}
    assert (status, found) == (200, shown)
    [entry] = await entries(console)
    assert (entry["action"], entry["call_id"], entry["actor"]) == ("unmask", "c1", "sue")
    assert json.loads(entry["detail"]) == {"reason": "asked to be called back"}


async def test_unmasking_is_for_ones_own_routes_and_roles(
    console: Console, browser: Browser, call: str
) -> None:
    given, path = {"reason": "curious"}, f"/api/v1/calls/{call}/unmask"
    await console.add_user("sue", "supervisor", routes=("sales-*",))
    await console.sign_in(browser, "sue")
    assert (await browser.post(path, given))[0] == 404
    assert (await browser.post("/api/v1/calls/none/unmask", given))[0] == 404
    await console.add_user("sue", "qa", "operator")
    assert (await browser.post(path, given))[0] == 403
    assert await entries(console) == []
