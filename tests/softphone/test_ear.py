"""The caller's ear."""

import numpy as np

from bridge.softphone.ear import PIECE_MS, Ear
from bridge.softphone.events import AgentSpeech
from tests.softphone.far_end import tone

LOUD, QUIET = tone(1000, PIECE_MS), np.zeros(480, np.int16)


def fed(*spans: tuple[bool, int]) -> tuple[Ear, list[AgentSpeech]]:
    """An ear that has heard (loud, ms) after (loud, ms)."""
    ear, events = Ear(), []
    for loud, ms in spans:
        for _ in range(ms // PIECE_MS):
            event = ear.feed(LOUD if loud else QUIET)
            if event is not None:
                events.append(event)
    return ear, events


def test_utterances_are_where_the_agent_was_heard() -> None:
    ear, events = fed((False, 200), (True, 1000), (False, 500), (True, 400), (False, 400))

    assert [(each.start_ms, each.end_ms) for each in ear.utterances] == [(200, 1200), (1700, 2100)]
    assert [(event.started, event.at_ms) for event in events] == [
        (True, 200),
        (False, 1200),
        (True, 1700),
        (False, 2100),
    ]
    assert ear.heard_ms == 2500


def test_a_short_pause_belongs_to_the_utterance() -> None:
    ear, _ = fed((True, 500), (False, 200), (True, 500), (False, 400))

    assert [(each.start_ms, each.end_ms) for each in ear.utterances] == [(0, 1200)]


def test_quiet_counts_from_the_last_sound() -> None:
    ear, _ = fed((True, 500), (False, 400))
    assert ear.quiet_ms == 400
    ear, _ = fed((True, 500))
    assert ear.quiet_ms == 0
    ear, _ = fed((False, 300))
    assert ear.quiet_ms == 300


def test_first_after_passes_over_what_ended_before() -> None:
    ear, _ = fed((True, 200), (False, 400), (True, 200))

    first, second = ear.utterances
    assert ear.first_after(100) is first
    assert ear.first_after(200) is second
    assert ear.first_after(10_000) is second, "it goes on"
    ear.close()
    assert ear.first_after(10_000) is None


def test_close_cuts_what_is_being_said() -> None:
    ear, _ = fed((True, 200), (False, 400), (True, 200))

    assert ear.close() == AgentSpeech(started=False, at_ms=800)
    assert [each.cut for each in ear.utterances] == [False, True]
    assert ear.close() is None


def test_the_audio_is_kept_whole() -> None:
    ear, _ = fed((True, 40), (False, 20))

    assert ear.audio.tolist() == [*LOUD.tolist(), *LOUD.tolist(), *QUIET.tolist()]
    assert Ear().audio.size == 0
