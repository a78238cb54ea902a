"""Packs: accents, noises, lines and headsets that a suite is multiplied with."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from bridge.cli.main import main
from bridge.cli.replay import replay
from bridge.errors import ConfigError
from bridge.replay.call.noise import MAKERS, within
from bridge.replay.call.preparation import prepare
from bridge.replay.call.process import ORDERS, CallOrder, encode_order
from bridge.replay.results.run import RunVerdict, ScriptInfo, TableRow
from bridge.replay.runs.packing import multiplied, pack_rows
from bridge.replay.script import CallScript
from bridge.replay.script.files import ScriptFile, under
from bridge.replay.script.packs import PackItem, built_in_packs, choose_packs
from bridge.speech.synthesis import Synthesizer
from tests.support.processes import write_yaml

HZ = 24_000


def script_of(**fields: object) -> CallScript:
    return CallScript.model_validate(
        {
            "schema": "callscript/v1",
            "id": "asks",
            "caller": [{"say": "Where is my order?"}],
            **fields,
        }
    )


def file_of(**fields: object) -> ScriptFile:
    return ScriptFile(Path("asks.yaml"), script_of(**fields), "")


def power_db(signal: NDArray[np.generic], low_hz: float, high_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(signal.astype(float))) ** 2
    hz = np.fft.rfftfreq(signal.size, 1 / HZ)
    band = spectrum[(hz >= low_hz) & (hz < high_hz)].sum()
    return float(10 * np.log10(band / spectrum.sum() + 1e-12))


@pytest.mark.speech
def test_every_item_that_comes_with_the_package_can_be_prepared() -> None:
    packs = built_in_packs()
    assert set(packs) == {"accents", "noises", "lines", "headset"}
    for pack in packs.values():
        for item in pack.items.values():
            ready = prepare(under(script_of(), item))
            assert ready.speeches[0].samples.any()
            assert (ready.noise is None) is (item.noise is None)
    voices = [item.voice for item in packs["accents"].items.values()]
    assert len(set(voices)) == len(voices)
    assert all(Synthesizer(str(voice)).say("Hello").size for voice in voices)


@pytest.mark.speech
def test_places_sound_each_in_its_own_way() -> None:
    made = {kind: make(np.random.default_rng(1)) for kind, make in MAKERS.items()}
    assert {each.size for each in made.values()} == {10 * HZ}
    assert power_db(made["street"], 0, 300) > power_db(made["office"], 0, 300)
    assert power_db(made["white"], 6000, 12000) > power_db(made["street"], 6000, 12000) + 10
    # The chords' tones stand out of what is between them.
    spectrum = np.abs(np.fft.rfft(made["music"]))
    assert spectrum.max() > 20 * np.median(spectrum)
    again = {kind: make(np.random.default_rng(1)) for kind, make in MAKERS.items()}
    for kind in ("white", "street", "music"):
        np.testing.assert_array_equal(made[kind], again[kind])


def test_a_band_lets_through_what_is_in_it() -> None:
    noise = np.random.default_rng(1).normal(0, 1000, HZ)
    narrow = within(noise, 400, 2600)
    assert power_db(narrow, 0, 300) < -50
    assert power_db(narrow, 2800, 12000) < -50
    assert power_db(narrow, 450, 2550) > -0.3


@pytest.mark.speech
def test_a_narrow_line_narrows_words_and_noise() -> None:
    band = {"band": {"low_hz": 400, "high_hz": 2600}}
    ready = prepare(script_of(media=band, noise="white"))
    assert ready.noise is not None
    for samples in (ready.speeches[0].samples, ready.noise):
        assert power_db(samples, 2800, 12000) < -30


def test_an_item_stands_in_the_place_of_what_the_script_says() -> None:
    script = script_of(media={"dtmf": "info"}, noise="white", voice="en-us")
    slow = built_in_packs()["lines"].items["alaw-slow"]
    changed = under(script, slow)
    assert (changed.media.codec, changed.media.ptime_ms) == ("PCMA", 60)
    assert changed.media.dtmf == "info", "what an item does not name stays"
    assert changed.noise == script.noise
    assert changed.network == slow.network


def test_a_suite_is_played_as_it_is_and_under_every_item() -> None:
    files, left_out = multiplied([file_of()], choose_packs(["noises"]))
    assert [file.script.id for file in files] == [
        *("asks", "asks@noises-babble", "asks@noises-street", "asks@noises-office"),
        "asks@noises-music",
    ]
    assert [file.base for file in files] == ["", *["asks"] * 4]
    assert left_out == ()


def test_a_script_may_name_packs_of_its_own_and_is_played_once_under_each() -> None:
    file = file_of(target={"packs": ["headset", "noises"]})
    files, _ = multiplied([file], choose_packs(["noises"]))
    names = [file.script.id for file in files]
    assert len(names) == len(set(names)) == 1 + 4 + 3
    with pytest.raises(
        ValueError, match=r"target.packs: there is no pack 'headsets'; did you mean"
    ):
        script_of(target={"packs": "headsets"})


def test_an_accent_is_not_played_where_it_changes_nothing() -> None:
    listens = file_of(caller=[{"expect": {"within_ms": 9}}])
    files, left_out = multiplied([listens], choose_packs(["accents"]))
    assert len(files) == 1
    assert len(left_out) == 8
    assert left_out[0] == "asks under accents/us-woman: its caller says nothing"
    recorded = file_of(caller=[{"say": {"text": "Hello", "audio": "a.wav"}}])
    _, left_out = multiplied([recorded], choose_packs(["accents"]))
    assert "its words are recordings" in left_out[0]


def test_the_table_by_circumstance_tells_what_it_broke() -> None:
    scripts = [ScriptInfo("a", "", ""), ScriptInfo("b", "", "")]
    scripts += [ScriptInfo(f"{n}@p-x", "", "", base=n, pack="p", item="x") for n in "ab"]

    def row(script: str, verdict: RunVerdict) -> TableRow:
        good = verdict is RunVerdict.PASS
        return TableRow(script, "ga", int(good), int(not good), 0, 0, verdict)

    table = [
        *(row("a", RunVerdict.PASS), row("b", RunVerdict.FAIL)),
        *(row("a@p-x", RunVerdict.FAIL), row("b@p-x", RunVerdict.FAIL)),
    ]
    plain, x = pack_rows(scripts, table)
    assert (plain.item, plain.passes, plain.runs, plain.broken) == ("", 1, 2, ())
    assert (x.pack, x.item, x.passes, x.runs) == ("p", "x", 0, 2)
    assert x.broken == ("a",), "b does not pass without it either"
    assert pack_rows(scripts[:2], table[:2]) == ()


def test_packs_are_listed_and_files_of_ones_own_are_checked(tmp_path: Path) -> None:
    told = json.loads(CliRunner().invoke(replay, ["packs", "headset", "--json"]).stdout)
    assert told["headset"]["items"]["good"]["echo"] == {"delay_ms": 40, "attenuation_db": 40.0}
    assert "a speakerphone" in CliRunner().invoke(replay, ["packs"]).stdout

    own = {"schema": "packs/v1", "packs": {"mine": {"about": "x", "items": {"a": {"about": "y"}}}}}
    path = write_yaml(tmp_path / "mine.yaml", own)
    checked = CliRunner().invoke(main, ["check", str(path)])
    assert checked.exit_code == 2
    assert "changes nothing: give voice, noise, network, media or echo" in checked.stderr
    with pytest.raises(ConfigError, match=r"the pack 'noises' is named twice"):
        choose_packs(["noises", "noises"])


def test_check_refuses_a_voice_that_is_not_there(tmp_path: Path) -> None:
    script = {"schema": "callscript/v1", "id": "a", "caller": [], "voice": "en-mars"}
    path = write_yaml(tmp_path / "a.yaml", script)
    done = CliRunner().invoke(main, ["check", str(path)])
    assert done.exit_code == 2
    assert "a.yaml: voice: espeak-ng has no voice 'en-mars'" in done.stderr


@pytest.mark.parametrize(
    ("pack", "name"), [(p, n) for p, pack in built_in_packs().items() for n in pack.items]
)
def test_an_item_is_the_same_in_the_callers_process(pack: str, name: str) -> None:
    item = built_in_packs()[pack].items[name]
    line = json.dumps(encode_order(CallOrder(Path("asks.yaml"), "sip:h", item=item)))
    order = ORDERS.validate_json(line)
    assert order.item is not None
    script = script_of(media={"dtmf": "info"}, noise="white", voice="en-us+f4")
    assert under(script, order.item) == under(script, item)


def test_an_item_is_a_mapping_key() -> None:
    item = PackItem.model_validate({"about": "x", "noise": "street"})
    assert hash(item) == hash(item.model_copy())
