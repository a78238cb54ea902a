from datetime import date
from pathlib import Path

import pytest

from bridge.config.loading import load_settings
from bridge.config.models import (
    MODELS_FILE,
    ModelChoice,
    ModelTable,
    choose_model,
    load_models,
    sunsets,
)
from bridge.config.settings import ArmSettings
from bridge.errors import ConfigError

TODAY = date(2026, 11, 21)
CLOUD = "wss://api.openai.com/v1/realtime"
CLONE = "wss://clone.example/v1/realtime"
BETA = {"dialect": "beta", "url": CLONE, "model": "gpt-4o-realtime-preview"}


@pytest.fixture(scope="module")
def table() -> ModelTable:
    return load_models()


def arm(**given: object) -> ArmSettings:
    return ArmSettings.model_validate({"url": CLOUD, **given})


def chosen(table: ModelTable, voice: str | None = None, **given: object) -> list[ModelChoice]:
    return list(choose_model(arm(**given), table, TODAY, voice=voice))


def names(choices: list[ModelChoice]) -> list[str]:
    return [choice.model for choice in choices]


def complaint(table: ModelTable, voice: str | None = None, **given: object) -> str:
    with pytest.raises(ConfigError) as raised:
        choose_model(arm(**given), table, TODAY, voice=voice)
    return str(raised.value)


def test_table_holds_what_an_arm_needs(table: ModelTable) -> None:
    assert table.last_checked <= TODAY
    for name, model in table.models.items():
        assert "prices" not in model.model_fields_set or model.price_source is not None, name
        if model.kind == "conversation" and {"ga", "beta"} & {*model.dialects}:
            assert table.voices_of(name), name
    default = table.find(ArmSettings.model_fields["model"].default)
    assert default is not None
    assert default.shutdown is None
    assert default.prices is not None
    assert default.prices.audio is not None
    assert (default.prices.audio.input, default.prices.audio.output) == (32, 64)


@pytest.mark.parametrize("dialect", ["ga", "beta"])
def test_newest_model_of_a_dialect_needs_no_word_about_dialects(
    table: ModelTable, dialect: str
) -> None:
    newest = table.newest(dialect)
    (choice,) = chosen(table, dialect=dialect, url=CLONE, model=newest)
    assert not [warning for warning in choice.warnings if "dialect" in warning]


def test_newest_model_of_the_ga_dialect_is_the_default(table: ModelTable) -> None:
    assert table.newest("ga") == ArmSettings.model_fields["model"].default


def test_newest_model_of_an_unknown_dialect_is_refused(table: ModelTable) -> None:
    with pytest.raises(ConfigError, match="esperanto"):
        table.newest("esperanto")


def test_every_replacement_lives(table: ModelTable) -> None:
    replacements = [each.replacement for each in table.models.values() if each.replacement]
    assert replacements
    assert {table.models[each].shutdown for each in replacements} == {None}


def test_snapshot_counts_as_its_model_unless_listed(table: ModelTable) -> None:
    assert table.find("gpt-realtime-2025-08-28") is table.models["gpt-realtime"]
    listed = table.find("gpt-realtime-mini-2025-10-06")
    assert listed is not None
    assert listed.shutdown == date(2026, 7, 23)
    assert table.find("my-deployment") is None


def test_default_arm_takes_its_model_and_the_servers_voice(table: ModelTable) -> None:
    assert chosen(table) == [ModelChoice("gpt-realtime-2.1")]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("auto", ["gpt-realtime-2.1", "gpt-realtime"]),
        ("new", ["gpt-realtime-2.1"]),
        ("legacy", ["gpt-realtime"]),
    ],
)
def test_selection(table: ModelTable, selection: str, expected: list[str]) -> None:
    choices = chosen(table, model_selection=selection, legacy_model="gpt-realtime")
    assert names(choices) == expected


@pytest.mark.parametrize(
    ("url", "day"),
    [
        ("wss://api.openai.com/v1/realtime", date(2027, 1, 20)),
        ("ws://127.0.0.1:8765/v1/realtime", None),
        ("wss://old.example.com/v1/realtime", None),
    ],
)
def test_date_of_a_model_is_about_the_servers_that_it_binds(
    table: ModelTable, url: str, day: date | None
) -> None:
    assert table.shutdown_at(url, "gpt-realtime") == day


def test_auto_does_not_try_one_model_twice(table: ModelTable) -> None:
    assert names(chosen(table, legacy_model="gpt-realtime-2.1")) == ["gpt-realtime-2.1"]


def test_model_that_ends_soon_makes_a_warning(table: ModelTable) -> None:
    (choice,) = choose_model(arm(model="gpt-realtime"), table, date(2026, 11, 22))
    assert choice.warnings == (
        "model 'gpt-realtime' ends on 2027-01-20; its replacement is 'gpt-realtime-2.1'",
    )
    assert chosen(table, model="gpt-realtime")[0].warnings == ()


@pytest.mark.parametrize(
    ("today", "said"),
    [
        (date(2026, 11, 21), ""),
        (date(2026, 11, 22), "ends on 2027-01-20"),
        (date(2027, 1, 19), "ends on 2027-01-20"),
        (date(2027, 1, 20), "ended on 2027-01-20"),
    ],
)
def test_sunset_is_told_from_59_days_before(table: ModelTable, today: date, said: str) -> None:
    found = sunsets(["gpt-realtime", "gpt-realtime-2.1", "my-deployment"], table, today)
    assert said in found.get("gpt-realtime", "")
    assert set(found) <= {"gpt-realtime"}
    assert bool(found) == bool(said)


def test_model_that_has_ended_is_passed_over_or_refused(table: ModelTable) -> None:
    gone = {"model": "gpt-realtime-mini-2025-10-06"}
    (choice,) = chosen(table, **gone, legacy_model="gpt-realtime-mini")
    assert choice.model == "gpt-realtime-mini"
    assert choice.warnings[0].startswith("model 'gpt-realtime-mini-2025-10-06' ended on")
    text = complaint(table, **gone)
    assert text.startswith("model 'gpt-realtime-mini-2025-10-06' ended on 2026-07-23")
    assert "'gpt-realtime-2.1-mini'" in text
    assert "set the arm's model " in text
    assert "legacy_model" in complaint(
        table, model_selection="legacy", legacy_model="gpt-realtime-mini-2025-10-06"
    )


def test_other_servers_may_keep_what_the_service_dropped(table: ModelTable) -> None:
    (choice,) = chosen(table, **BETA)
    assert choice.model == "gpt-4o-realtime-preview"
    assert "ended on 2026-05-07" in choice.warnings[0]


def test_beta_is_refused_where_it_was_removed(table: ModelTable) -> None:
    text = complaint(table, dialect="beta")
    assert text.startswith("api.openai.com has not taken the beta dialect since 2026-05-12")


def test_model_in_another_dialect_is_refused_or_warned_of(table: ModelTable) -> None:
    assert "gpt-live-1" in complaint(table, model="gpt-live-1")
    assert "gpt-live-1" in complaint(table, model="gpt-live-1", url=CLONE)
    assert "transcription" in complaint(table, model="whisper-1", url=CLONE)
    (choice,) = chosen(table, dialect="beta", url=CLONE)
    assert "not for an arm in beta" in choice.warnings[0]


def test_voice_of_the_dialplan_stands_above_the_arms(table: ModelTable) -> None:
    choices = choose_model(arm(voice="marin"), table, TODAY, voice="cedar")
    assert choices[0].voice == "cedar"
    assert chosen(table, voice="marin")[0] == ModelChoice("gpt-realtime-2.1", "marin")


@pytest.mark.parametrize(
    ("fallback", "expected"), [("coral", "coral"), ("cedar", "alloy"), (None, "alloy")]
)
def test_voice_that_the_model_lacks_falls_back(
    table: ModelTable, fallback: str | None, expected: str
) -> None:
    (choice,) = chosen(table, **BETA, voice="marin", voice_fallback=fallback)
    assert choice.voice == expected
    assert choice.warnings[-1] == (
        f"model 'gpt-4o-realtime-preview' has no voice 'marin'; '{expected}' speaks in its place"
    )


def test_missing_voice_is_an_error_without_auto_select(table: ModelTable) -> None:
    text = complaint(table, **BETA, voice="marin", voice_fallback="coral", auto_select_voice=False)
    assert text == (
        "model 'gpt-4o-realtime-preview' has no voice 'marin'; choose one of alloy, ash, ballad,"
        " coral, echo, sage, shimmer, verse, or set auto_select_voice: true"
    )


def test_each_candidate_has_its_own_voice(table: ModelTable) -> None:
    given = {**BETA, "model": "my-model", "legacy_model": "gpt-4o-realtime-preview-2024-10-01"}
    choices = chosen(table, **given, voice="verse")
    assert [choice.voice for choice in choices] == ["verse", "alloy"]
    assert "2024-10-01" in complaint(table, **given, voice="verse", auto_select_voice=False)


def test_nothing_is_checked_on_a_model_that_nobody_knows(table: ModelTable) -> None:
    choices = chosen(table, model="my-deployment", voice="anything", auto_select_voice=False)
    assert choices == [ModelChoice("my-deployment", "anything")]


def test_custom_voice_passes_on_ga_alone(table: ModelTable) -> None:
    assert chosen(table, voice="voice_123", auto_select_voice=False)[0].voice == "voice_123"
    assert "voice_123" in complaint(table, **BETA, voice="voice_123", auto_select_voice=False)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("voices: first", "voices: last", "gpt-4o-realtime-preview-2024-10-01"),
        ("replacement: gpt-transcribe", "replacement: gone", "unknown replacement"),
        ("input: 32", "input: -1", "models.gpt-realtime-2.1.prices.audio.input"),
        ("last_checked: 2026-11-21", "last_checked: soon", "last_checked"),
    ],
)
def test_mistake_in_the_table_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(MODELS_FILE.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError) as raised:
        load_models(path)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "https://api.openai.com/v1/realtime/client_secrets"),
        ({"dialect": "beta"}, "https://api.openai.com/v1/realtime/sessions"),
        ({"url": "ws://127.0.0.1:1/v1/realtime/"}, "http://127.0.0.1:1/v1/realtime/client_secrets"),
        ({"url": "wss://h/realtime?v=1"}, "https://h/realtime/client_secrets?v=1"),
        ({"token_url": "https://t/x"}, "https://t/x"),
    ],
)
def test_token_endpoint_stands_beside_the_url(given: dict[str, object], expected: str) -> None:
    assert arm(**given).token_endpoint == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("dialect: alpha", "arms.a.dialect should be one of ga, beta"),
        ("model_selection: legacy", "has model_selection: legacy and no legacy_model"),
        ("credentials: token", "has credentials: token and no key to fetch tokens with"),
        (
            "flavour: inworld\n    api_key_env: K\n    credentials: token",
            "has credentials: token and flavour: inworld, and its session tokens are made in a way",
        ),
        ("token_ttl_s: 59", "arms.a.token_ttl_s"),
        ("token_ttl_s: 301", "arms.a.token_ttl_s"),
        ("token_url: ws://h", "arms.a.token_url"),
    ],
)
def test_mistake_in_an_arm_is_told_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(f"arms:\n  a:\n    url: ws://h\n    {line}\n")
    with pytest.raises(ConfigError) as raised:
        load_settings(path, {})
    assert said in str(raised.value)
