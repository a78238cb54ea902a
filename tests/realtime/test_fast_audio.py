"""The short ways of audio: they must give, bit for bit, what the ordinary ways give."""

import itertools
import json
from collections.abc import Callable

import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ProtocolError
from bridge.realtime import wire_frames
from bridge.realtime.commands import AppendAudio, Command
from bridge.realtime.events import AudioDelta, ServerEvent
from bridge.realtime.wire_frames import AppendFrames
from tests.realtime.golden import DIALECTS
from tests.realtime.official import DialectName

TYPES = {"ga": "response.output_audio.delta", "beta": "response.audio.delta"}
NAMES: tuple[DialectName, ...] = ("ga", "beta")
AUDIO = pybase64.b64encode(bytes(range(256)) * 2).decode()

MEMBERS = [
    f'"delta":"{AUDIO}"',
    f'"delta": "{AUDIO}"',
    f'"delta":"{AUDIO}="',
    f'"delta":"{AUDIO}\\u0041"',
    f'"delta":"{AUDIO}\n"',
    f'"delta":"{AUDIO}é"',
    '"delta":"AAAA="',
    '"delta":""',
    '"delta": ""',
    '"\\u0064elta":""',
    '"delta":null',
    '"\\u0064elta":"AAAA"',
    '"delta":"AAAA"',
    f'"x":{{"delta":"{AUDIO}"}}',
    '"x":["delta"]',
    '"x":"\\"delta\\":\\"AA"',
    f'"x":"\\\\","delta":"{AUDIO}"',
    f'"x\\"delta":"{AUDIO}"',
    '"x":NaN',
    '"x":1e400',
    '"x":"\ud800"',
    '"item_id":"item_1"',
    '"item_id":"item_2"',
    '"item_id":7',
    '"response_id":"resp_1"',
    '"content_index":1',
    '"content_index":-1',
    '"event_id":"event_é"',
    '"event_id":"a\\nb"',
    '"type":"response.output_audio.delta"',
    '"type":"response.audio.delta"',
    '"type":"response.output_audio_transcript.delta"',
    '"type":"no.such"',
    '"type":[]',
]
USUAL = [
    '"event_id":"event_1"',
    '"response_id":"resp_1"',
    '"item_id":"item_1"',
]
frames = st.builds(
    lambda parts, opening, joint, closing: opening + joint.join(parts) + closing,
    st.lists(st.sampled_from(MEMBERS), max_size=9),
    st.sampled_from(["{", "{", "{", "[{", " {"]),
    st.sampled_from([",", ",", ",", ", ", ",,"]),
    st.sampled_from(["}", "}", "}", "", "}]", '"}', "}x"]),
)


def outcome(decode: Callable[[str], ServerEvent], frame: str) -> ServerEvent | str:
    try:
        return decode(frame)
    except ProtocolError as error:
        return str(error)


def ordinary(name: DialectName, frame: str) -> ServerEvent | str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire_frames, "_decode_audio", lambda frame, table: None)
        return outcome(DIALECTS[name].decode, frame)


def spoken(name: DialectName, **fields: object) -> str:
    where = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    said = {"type": TYPES[name], "event_id": "event_1", **where, "delta": AUDIO, **fields}
    return json.dumps(said, separators=(",", ":"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("delta", [[], [f'"delta":"{AUDIO}"']], ids=["without", "with"])
def test_a_delta_between_any_two_members_decodes_as_on_the_ordinary_way(
    name: DialectName, delta: list[str]
) -> None:
    usual = [*USUAL, f'"type":"{TYPES[name]}"', *delta]
    pairs = itertools.product(MEMBERS, MEMBERS)
    found = ["{" + ",".join([first, *usual, last]) + "}" for first, last in pairs]
    assert [outcome(DIALECTS[name].decode, frame) for frame in found] == [
        ordinary(name, frame) for frame in found
    ]


@pytest.mark.parametrize("name", NAMES)
@given(frame=frames)
def test_any_frame_decodes_as_on_the_ordinary_way(name: DialectName, frame: str) -> None:
    assert outcome(DIALECTS[name].decode, frame) == ordinary(name, frame)


@pytest.mark.parametrize("name", NAMES)
@given(frame=st.builds(lambda name, cut: spoken(name)[:cut], st.sampled_from(NAMES), st.integers()))
def test_any_piece_of_a_frame_decodes_as_on_the_ordinary_way(name: DialectName, frame: str) -> None:
    assert outcome(DIALECTS[name].decode, frame) == ordinary(name, frame)


@pytest.mark.parametrize("name", NAMES)
@given(audio=st.binary(min_size=400, max_size=2000), event_id=st.text(max_size=20))
def test_audio_of_any_bytes_comes_through(name: DialectName, audio: bytes, event_id: str) -> None:
    frame = spoken(name, delta=pybase64.b64encode(audio).decode(), event_id=event_id)
    event = DIALECTS[name].decode(frame)
    assert isinstance(event, AudioDelta)
    assert event.audio == audio
    assert event == ordinary(name, frame)


@pytest.mark.parametrize("name", NAMES)
def test_a_usual_delta_takes_the_short_way(
    name: DialectName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_frames, "parse_object", None)
    assert isinstance(DIALECTS[name].decode(spoken(name)), AudioDelta)


@pytest.mark.parametrize("name", NAMES)
@given(audio=st.binary(max_size=3000), number=st.integers(0, 10**9))
def test_append_frames_are_the_dialects_own(name: DialectName, audio: bytes, number: int) -> None:
    dialect, event_id = DIALECTS[name], f"cmd_{number}"
    written = AppendFrames(dialect.encode).encode(audio, event_id)
    assert written == dialect.encode(AppendAudio(audio), event_id).encode()


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"append","audio":"{audio}"}',
        '{"audio":"{audio}","event_id":"{id}"}',
        '{"event_id":"{id}","audio":"{audio}","echo":"{audio}"}',
        '{"event_id":"{id}","audio":[1,2]}',
    ],
)
def test_a_dialect_of_another_shape_is_refused(frame: str) -> None:
    def encode(command: Command, event_id: str | None) -> str:
        assert isinstance(command, AppendAudio)
        audio = pybase64.b64encode(command.audio).decode()
        return frame.replace("{id}", event_id or "").replace("{audio}", audio)

    with pytest.raises(ValueError, match="append"):
        AppendFrames(encode)
