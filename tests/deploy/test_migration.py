"""The migration guide says what the code says."""

import re

from bridge.cli.event_map import event_map
from tests.deploy.rules import DEPLOY

GUIDE = (DEPLOY / "MIGRATION.md").read_text(encoding="utf-8")


def rows(section: str) -> list[tuple[str, ...]]:
    """Return the names in each row of a section's table."""
    _, _, rest = GUIDE.partition(f"\n## {section}\n")
    body = rest.partition("\n## ")[0]
    lines = [line for line in body.splitlines() if line.startswith("| `")]
    return [tuple(re.findall(r"`([\w.]+)`", line)) for line in lines]


def test_every_renamed_event_is_in_the_guide_and_no_other() -> None:
    renamed = {}
    for row in event_map():
        beta, ga = row.names["beta"], row.names["ga"]
        for name in set(beta) - set(ga):
            renamed[name] = ga
    told = {beta: new for beta, *new in rows("2. The event map")}
    # The live service sends no item.created in GA, although the schemas have it.
    assert told.pop("conversation.item.created") == [
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert told.keys() == renamed.keys()
    assert [beta for beta, new in told.items() if new[0] not in renamed[beta]] == []


def test_the_inventory_asks_how_transcripts_are_kept() -> None:
    inventory = GUIDE.partition("\n## 1. Inventory\n")[2].partition("\n## ")[0]
    (row,) = [line for line in inventory.splitlines() if line.startswith("| transcripts")]
    what, _, why = (cell.strip() for cell in row.strip("| ").split(" | "))
    assert all(each in what for each in ("where", "form", "how long", "who reads", "consent"))
    assert "`recording`" in why


def test_every_alert_that_the_guide_names_exists() -> None:
    runbook = (DEPLOY / "RUNBOOK.md").read_text(encoding="utf-8")
    for alert in ("UpstreamOutage", "ArmDead", "SilentCalls"):
        assert alert in GUIDE
        assert f"### {alert}\n" in runbook


def test_files_that_the_pages_lead_to_are_there() -> None:
    for page in ("MIGRATION.md", "RUNBOOK.md"):
        text = (DEPLOY / page).read_text(encoding="utf-8")
        targets = re.findall(r"\]\(([^)#]+)", text)
        assert targets, f"{page} leads nowhere"
        assert [each for each in targets if not (DEPLOY / each).exists()] == [], page
