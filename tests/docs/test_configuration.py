"""The page of settings is the one that the models make, and none of them is without words."""

from tests.docs.pages import ROOT, read
from tests.docs.settings_page import page, sections


def test_every_setting_has_its_words() -> None:
    silent = [
        f"{section.place}.{row.name}".lstrip(".")
        for section in sections()
        for row in section.rows
        if not row.meaning
    ]
    assert silent == []
    assert [section.place for section in sections() if not section.about] == []


def test_page_of_settings_is_the_models() -> None:
    written = read(ROOT / "deploy" / "handbook" / "CONFIGURATION.md")
    assert written == page() + "\n", "the settings have changed: the page's head says what to type"


def test_sections_lead_into_mappings_and_lists() -> None:
    places = {section.place for section in sections()}
    assert {"", "sip", "sip.trunks.<name>", "arms.<name>", "rollouts.<name>.overrides[]"} <= places
