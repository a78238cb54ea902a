import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.realtime.commands import CreateItem, CreateResponse
from bridge.realtime.conversation import NOT_TRANSCRIBED, ConversationLog, cut_text
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import (
    AudioDelta,
    InputCleared,
    InputCommitted,
    InputTranscriptCompleted,
    OutputItemAdded,
    OutputItemDone,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SpeechStarted,
    TranscriptDelta,
    TranscriptDone,
)
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemStatus,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.session_config import ResponseConfig

R1 = ResponseId("r1")
CALL = FunctionCall(ToolCallId("c1"), "lookup_order", '{"order": 12}')
RESULT = CreateItem(FunctionCallOutput(CALL.call_id, '{"status": "shipped"}'))


def caller_turn(item: str, text: str | None) -> list[ServerEvent]:
    item_id = ItemId(item)
    events: list[ServerEvent] = [SpeechStarted(item_id, 0), InputCommitted(item_id)]
    return [*events, InputTranscriptCompleted(item_id, 0, text)] if text is not None else events


def spoken(item: str, text: str, response_id: ResponseId = R1) -> list[ServerEvent]:
    """An agent's item as it streams, each delta with its own event id."""
    item_id = ItemId(item)
    words = [f"{word} " for word in text.split()]
    message = Message(Role.ASSISTANT, (), item_id)
    return [
        ResponseCreated(response_id, event_id=f"{item}-created"),
        OutputItemAdded(response_id, 0, message),
        AudioDelta(response_id=response_id, item_id=item_id, audio=bytes(4_800)),
        *(
            TranscriptDelta(
                response_id=response_id, item_id=item_id, delta=word, event_id=f"{item}-{index}"
            )
            for index, word in enumerate(words)
        ),
    ]


def ended(
    item: str,
    text: str,
    status: ResponseStatus = ResponseStatus.COMPLETED,
    response_id: ResponseId = R1,
) -> list[ServerEvent]:
    done = TranscriptDone(response_id=response_id, item_id=ItemId(item), transcript=text)
    return [done, ResponseDone(response_id, status)]


def called(call: FunctionCall = CALL) -> list[ServerEvent]:
    return [OutputItemDone(R1, 0, call)]


def fed(*groups: list[ServerEvent], log: ConversationLog | None = None) -> ConversationLog:
    log = log or ConversationLog()
    for group in groups:
        for event in group:
            log.feed(event)
    return log


def text_items(log: ConversationLog) -> list[tuple[Role, str | None]]:
    return [(item.role, item.parts[0].text) for item in log.items() if isinstance(item, Message)]


def message(role: Role, kind: PartKind, text: str) -> Item:
    return Message(role, (ContentPart(kind, text),))


TALK = [
    *spoken("a1", "How can I help?"),
    *ended("a1", "How can I help?"),
    *caller_turn("u1", "Where is my order?"),
    *spoken("a2", "Let me see."),
    *called(),
    *ended("a2", "Let me see."),
]


def test_talk_comes_back_as_text_items_without_ids() -> None:
    log = fed(TALK)
    log.sent(RESULT)
    assert log.items() == (
        message(Role.ASSISTANT, PartKind.OUTPUT_TEXT, "How can I help?"),
        message(Role.USER, PartKind.INPUT_TEXT, "Where is my order?"),
        message(Role.ASSISTANT, PartKind.OUTPUT_TEXT, "Let me see."),
        FunctionCall(CALL.call_id, CALL.name, CALL.arguments),
        FunctionCallOutput(CALL.call_id, '{"status": "shipped"}'),
    )


def test_transcript_that_comes_late_stands_where_the_turn_was() -> None:
    log = fed(caller_turn("u1", None), spoken("a1", "Yes."), ended("a1", "Yes."))
    assert text_items(log) == [(Role.USER, NOT_TRANSCRIBED), (Role.ASSISTANT, "Yes.")]
    log.feed(InputTranscriptCompleted(ItemId("u1"), 0, " Hello? "))
    assert text_items(log) == [(Role.USER, "Hello?"), (Role.ASSISTANT, "Yes.")]


def test_interrupted_item_holds_only_what_was_heard() -> None:
    log = fed(spoken("a1", "one two three four five six"))
    log.cut(ItemId("a1"), heard_ms=500, given_ms=1000)
    fed(ended("a1", "one two three four five six" * 4, ResponseStatus.CANCELLED), log=log)
    assert text_items(log) == [(Role.ASSISTANT, "one two three...")]


def test_item_of_which_nothing_was_heard_is_not_given_back() -> None:
    log = fed(spoken("a1", "one two three"))
    log.cut(ItemId("a1"), heard_ms=0, given_ms=0)
    assert log.items() == ()
    assert log.summary(100) == ""


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        (1.0, "one two three"),
        (1.5, "one two three"),
        (0.6, "one two..."),
        (0.54, "one two..."),
        (0.5, "one..."),
        (0.25, "one..."),
        (0.1, ""),
        (0.0, ""),
        (-1.0, ""),
    ],
)
def test_cut_ends_with_a_whole_word(heard: float, expected: str) -> None:
    assert cut_text("one two three", heard) == expected


def test_running_tool_call_is_given_back_so_that_its_output_fits() -> None:
    log = fed(TALK)
    assert [call.call_id for call in log.running_calls] == ["c1"]
    assert log.items()[-1] == FunctionCall(CALL.call_id, CALL.name, CALL.arguments)
    log.begin_session()
    log.sent(RESULT)
    assert log.running_calls == ()
    assert isinstance(log.items()[-1], FunctionCallOutput)


def test_tool_call_of_a_cancelled_response_is_dropped() -> None:
    log = fed(called(), [ResponseDone(R1, ResponseStatus.CANCELLED)])
    assert log.running_calls == ()
    assert log.items() == ()


def test_tool_call_cut_in_its_arguments_is_none() -> None:
    half = FunctionCall(CALL.call_id, CALL.name, '{"ord', status=ItemStatus.INCOMPLETE)
    assert fed(called(half)).running_calls == ()


def test_agent_owes_an_answer_after_the_callers_turn_until_it_is_given() -> None:
    log = fed(caller_turn("u1", "Hello?"))
    assert log.owes_answer
    fed(spoken("a1", "Good day, how"), log=log)
    assert log.owes_answer
    log.begin_session()
    assert log.owes_answer
    fed(spoken("a2", "Good day."), ended("a2", "Good day."), log=log)
    assert not log.owes_answer


def test_agent_owes_nothing_while_the_caller_speaks_or_a_tool_runs() -> None:
    log = fed(caller_turn("u1", "Hello?"), [SpeechStarted(ItemId("u2"), 900)])
    assert log.first_unheard == ItemId("u2")
    assert not log.owes_answer
    log.feed(InputCleared())
    assert log.owes_answer
    fed(called(), log=log)
    assert not log.owes_answer
    log.sent(RESULT)
    assert log.owes_answer


def empty_answer(*parts: ServerEvent, status: ResponseStatus) -> list[ServerEvent]:
    """An agent's item with nothing in it but ``parts``, and its response's end."""
    announced, added, _sound = spoken("a1", "")
    return [announced, added, *parts, ResponseDone(R1, status, event_id="a1-done")]


@pytest.mark.parametrize(
    "empty",
    [
        (),
        (AudioDelta(response_id=R1, item_id=ItemId("a1"), audio=b""),),
        (TranscriptDelta(response_id=R1, item_id=ItemId("a1"), delta=" "),),
        (TranscriptDone(response_id=R1, item_id=ItemId("a1"), transcript=""),),
    ],
    ids=["nothing", "audio", "delta", "transcript"],
)
@pytest.mark.parametrize(
    "status", [ResponseStatus.COMPLETED, ResponseStatus.INCOMPLETE, ResponseStatus.CANCELLED]
)
def test_empty_answer_leaves_the_agent_owing_one(
    status: ResponseStatus, empty: tuple[ServerEvent, ...]
) -> None:
    log = fed(caller_turn("u1", "Hello?"), empty_answer(*empty, status=status))
    assert log.owes_answer
    assert log.unanswered == (message(Role.USER, PartKind.INPUT_TEXT, "Hello?"),)


def test_words_of_the_bridge_answer_nothing() -> None:
    log = fed(caller_turn("u1", "Hello?"))
    log.sent(CreateItem(message(Role.SYSTEM, PartKind.INPUT_TEXT, "The caller was told to wait.")))
    assert log.owes_answer


def test_answer_of_sound_alone_is_one() -> None:
    sound = AudioDelta(response_id=R1, item_id=ItemId("a1"), audio=b"\1\0")
    answer = empty_answer(sound, status=ResponseStatus.COMPLETED)
    assert not fed(caller_turn("u1", "Hello?"), answer).owes_answer


def test_failed_answer_is_owed_though_a_part_of_it_was_heard() -> None:
    sound = AudioDelta(response_id=R1, item_id=ItemId("a1"), audio=b"\1\0")
    answer = empty_answer(sound, status=ResponseStatus.FAILED)
    assert fed(answer).owes_answer  # a greeting
    assert fed(caller_turn("u1", "Hello?"), answer).owes_answer


def test_requested_response_is_owed_unless_out_of_band() -> None:
    log = ConversationLog()
    log.sent(CreateResponse(ResponseConfig(out_of_band=True)))
    assert not log.owes_answer
    log.sent(CreateResponse())
    assert log.owes_answer


def test_repeated_speech_started_does_not_reopen_a_committed_turn() -> None:
    log = fed(caller_turn("u1", "Hello?"), [SpeechStarted(ItemId("u1"), 0)])
    assert log.first_unheard is None


def test_repeated_commit_does_not_end_the_turn_after_its_own() -> None:
    log = fed(caller_turn("u1", "Hello?"), [SpeechStarted(ItemId("u2"), 900)])
    log.feed(InputCommitted(ItemId("u1")))
    assert log.first_unheard == ItemId("u2")


def test_repeated_end_of_a_response_does_not_end_the_next_one() -> None:
    done = ResponseDone(R1, ResponseStatus.COMPLETED, event_id="done")
    log = fed([done, ResponseCreated(ResponseId("r2"), event_id="created"), done])
    assert log.owes_answer


def test_repeated_delta_is_written_once() -> None:
    events = spoken("a1", "one two")
    log = fed(events[:-1], events)
    assert text_items(log) == [(Role.ASSISTANT, "one two")]


def test_what_the_bridge_tells_the_model_is_part_of_the_talk() -> None:
    log = ConversationLog()
    log.sent(CreateItem(message(Role.USER, PartKind.INPUT_TEXT, "The caller pressed 1.")))
    assert text_items(log) == [(Role.USER, "The caller pressed 1.")]


def test_same_id_in_a_new_session_is_another_item() -> None:
    log = fed(caller_turn("item_1", "first"))
    log.begin_session()
    fed(caller_turn("item_1", "second"), log=log)
    assert text_items(log) == [(Role.USER, "first"), (Role.USER, "second")]


def test_summary_keeps_what_the_caller_first_wanted_and_the_latest() -> None:
    log = fed(*(caller_turn(f"u{index}", f"sentence number {index}") for index in range(20)))
    fed(spoken("a1", "Yes."), ended("a1", ""), log=log)
    assert log.summary(100).splitlines() == [
        "Caller: sentence number 0",
        "...",
        "Caller: sentence number 18",
        "Caller: sentence number 19",
    ]


def test_summary_names_tools_and_what_they_gave() -> None:
    log = fed(TALK)
    assert "Tool lookup_order is still running" in log.summary(1000)
    log.sent(RESULT)
    assert log.summary(1000).splitlines() == [
        "You: How can I help?",
        "Caller: Where is my order?",
        "You: Let me see.",
        'Tool lookup_order gave {"status": "shipped"}',
    ]


def test_log_is_bounded() -> None:
    log = ConversationLog(max_entries=3, max_chars=5)
    fed(*(caller_turn(f"u{index}", f"{index} and more") for index in range(10)), log=log)
    assert text_items(log) == [(Role.USER, f"{index} and") for index in (7, 8, 9)]
    assert log.forgotten == 7


@given(repeats=st.lists(st.integers(1, 3), min_size=len(TALK), max_size=len(TALK)))
def test_events_that_come_twice_change_nothing(repeats: list[int]) -> None:
    twice = [event for event, count in zip(TALK, repeats, strict=True) for _ in range(count)]
    assert fed(twice).items() == fed(TALK).items()
    assert fed(twice).owes_answer == fed(TALK).owes_answer


@given(first=st.integers(0, len(TALK) - 1), later=st.integers(1, len(TALK)))
def test_event_that_comes_again_later_changes_nothing(first: int, later: int) -> None:
    again = list(TALK)
    again.insert(first + later, TALK[first])
    assert fed(again).items() == fed(TALK).items()
    assert fed(again).running_calls == fed(TALK).running_calls
    assert fed(again).first_unheard == fed(TALK).first_unheard


@given(place=st.integers(0, 12))
def test_transcript_may_come_anywhere_after_its_commit(place: int) -> None:
    late: list[ServerEvent] = [
        each for each in TALK if not isinstance(each, InputTranscriptCompleted)
    ]
    commit = next(index for index, each in enumerate(late) if isinstance(each, InputCommitted))
    where = min(commit + 1 + place, len(late))
    late.insert(where, InputTranscriptCompleted(ItemId("u1"), 0, "Where is my order?"))
    assert fed(late).items() == fed(TALK).items()


@given(
    texts=st.lists(st.text(max_size=400), max_size=30),
    max_chars=st.integers(0, 600),
)
def test_summary_never_exceeds_its_length(texts: list[str], max_chars: int) -> None:
    log = fed(*(caller_turn(f"u{index}", text) for index, text in enumerate(texts)))
    assert len(log.summary(max_chars)) <= max_chars


@given(
    events=st.lists(st.sampled_from(TALK + caller_turn("u9", "and then?")), max_size=60),
    heard_ms=st.integers(-5, 2000),
)
def test_any_order_of_events_is_survived(events: list[ServerEvent], heard_ms: int) -> None:
    log = fed(events)
    log.cut(ItemId("a2"), heard_ms, 1000)
    log.summary(200)
    assert len(log.items()) <= 12
