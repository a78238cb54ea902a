"""The write buffer by itself: coalescing, order and the limit, without a server."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.store.buffer import Stream, WriteBuffer


def test_take_gives_each_dirty_call_once_with_its_last_values() -> None:
    buffer = WriteBuffer(100)
    buffer.begin("c1", {"phase": "idle"}, 1)
    buffer.update("c1", {"phase": "speaking"}, 2)
    (state,) = buffer.take(10).states
    assert dict(zip(state.pairs[::2], state.pairs[1::2], strict=True)) == {
        "call_id": "c1",
        "phase": "speaking",
        "started_at": "1",
        "updated_at": "2",
    }
    assert state.whole
    assert not state.ending
    assert buffer.pending == 0


def test_put_back_keeps_newer_values_and_the_order_of_events() -> None:
    buffer = WriteBuffer(100)
    buffer.begin("c1", {"phase": "idle"}, 1)
    buffer.event("c1", ("kind", "first"), 1)
    batch = buffer.take(10)
    buffer.event("c1", ("kind", "second"), 1)
    buffer.update("c1", {"phase": "speaking"}, 2)
    buffer.put_back(batch)
    again = buffer.take(10)
    assert [event.pairs[1] for event in again.events] == ["first", "second"]
    assert [event.event_id for event in again.events] == ["1-0", "1-1"]
    (state,) = again.states
    assert state.whole
    assert "speaking" in state.pairs
    assert "idle" not in state.pairs


def test_alert_goes_out_first_and_is_not_pushed_out_by_events() -> None:
    buffer = WriteBuffer(3)
    buffer.begin("c1", {}, 1)
    buffer.event("c1", ("kind", "turn"), 1)
    buffer.notice(Stream.ALERTS, ("kind", "emergency_heard"))
    for _ in range(5):
        buffer.event("c1", ("kind", "turn"), 1)
    batch = buffer.take(10)
    assert (batch.events[0].call_id, batch.events[0].pairs[1]) == (None, "emergency_heard")
    buffer.put_back(batch)
    for _ in range(5):
        buffer.event("c1", ("kind", "turn"), 1)
    assert buffer.take(1).events == batch.events[:1]


def test_end_is_kept_until_it_is_confirmed() -> None:
    buffer = WriteBuffer(100)
    buffer.begin("c1", {}, 1)
    buffer.end("c1", {"outcome": "completed"}, 2)
    batch = buffer.take(10)
    buffer.put_back(batch)
    (state,) = buffer.take(10).states
    assert state.ending
    buffer.confirm(state)
    buffer.update("c1", {"phase": "idle"}, 3)
    assert buffer.late == 1
    assert buffer.pending == 0


def test_full_buffer_drops_events_then_ended_calls_and_never_live_ones() -> None:
    buffer = WriteBuffer(10)
    for n in range(20):
        buffer.begin(f"live{n}", {}, 1)
    buffer.event("live0", ("kind", "turn"), 1)
    assert buffer.dropped == 1
    buffer.end("live0", {}, 2)
    assert buffer.dropped == 2
    assert buffer.live == {f"live{n}" for n in range(1, 20)}
    assert buffer.pending == 19


WRITES = st.lists(
    st.tuples(
        st.sampled_from(["begin", "update", "event", "end", "take", "fail"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 50),
    )
)


@given(WRITES)
def test_sequence_numbers_that_leave_the_buffer_only_grow(
    writes: list[tuple[str, str, int]],
) -> None:
    """Whatever is written, however often sending fails: bounded, and monotone per call's life."""
    buffer = WriteBuffer(5)
    sent: dict[int, int] = {}
    known: list[object] = []  # kept, so that no id is given again
    for verb, call_id, n in writes:
        fields = {"last_user_audio_seq": n}
        match verb:
            case "begin":
                buffer.begin(call_id, fields, 1)
            case "update":
                buffer.update(call_id, fields, 1)
            case "event":
                buffer.event(call_id, ("kind", "turn"), 1)
            case "end":
                buffer.end(call_id, {}, 1)
            case "fail":
                buffer.put_back(buffer.take(2))
            case _:
                for state in buffer.take(2).states:
                    seq = int(state.record.fields["last_user_audio_seq"])
                    assert seq >= sent.get(id(state.record), 0)
                    sent[id(state.record)] = seq
                    known.append(state.record)
                    buffer.confirm(state)
        assert buffer.pending <= 5
