"""Tool calls: run once, answered together, never for a cancelled response; `end_call`."""

import json

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.engine.effects import (
    CancelTool,
    CloseSession,
    Effect,
    HangUp,
    PauseRecording,
    PlayPhrase,
    RecordingHold,
    ResumeRecording,
    RunTool,
    Send,
    SendDigits,
    StartTimer,
    StopTimer,
)
from bridge.engine.inputs import (
    CallAnswered,
    CallOffered,
    SessionFailed,
    SessionReady,
    TimerFired,
    ToolFinished,
)
from bridge.engine.news import (
    CallbackWanted,
    CallClosed,
    PictureShown,
    ToolAnswered,
    ToolAsked,
    ToolRefused,
)
from bridge.engine.timers import Timer
from bridge.engine.tools.calls import BUILT_IN
from bridge.engine.turns import State
from bridge.errors import Fault, Outcome, UpstreamError
from bridge.realtime.commands import CreateItem, CreateResponse
from bridge.realtime.dialect import ServiceTraits
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import (
    FunctionArgumentsDone,
    OutputItemDone,
    ResponseCreated,
    ResponseDone,
)
from bridge.realtime.items import (
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemStatus,
    McpApproval,
    McpApprovalRequest,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.pictures import UNSEEN, read_picture
from tests.engine.calls import (
    A1,
    R1,
    R2,
    T1,
    T2,
    U2,
    Call,
    audio,
    done,
    flushed,
    of,
    speaking,
    started,
    stopped,
    thinking,
    wants_tool,
)
from tests.support.pictures import BLUE, WITH_PICTURES, png
from tests.support.policies import call_policy, tool_policy

TOOLS = call_policy(greet=False, tools={"lookup": tool_policy()})
ASK = Send(CreateResponse())
END = CallClosed(Outcome.COMPLETED, Fault.NONE, "end_call")


def output(text: str, call_id: str = T1) -> Send:
    return Send(CreateItem(FunctionCallOutput(T1 if call_id == T1 else T2, text)))


def answered(text: str, call_id: str = T1) -> ToolAnswered:
    return ToolAnswered(T1 if call_id == T1 else T2, text)


def test_function_call_runs_its_tool() -> None:
    assert thinking(TOOLS).feed(wants_tool()) == [
        ToolAsked(T1, "lookup", {}),
        RunTool(T1, "lookup", {}),
    ]


def test_function_call_announced_in_three_places_runs_once() -> None:
    call = thinking(TOOLS)
    item = FunctionCall(T1, "lookup", "{}", status=ItemStatus.COMPLETED)
    effects = call.feed(
        FunctionArgumentsDone(response_id=R1, item_id=A1, call_id=T1, arguments="{}"),
        wants_tool(),
        wants_tool(),
        ResponseDone(R1, ResponseStatus.COMPLETED, output=(item,)),
        wants_tool(),
    )
    assert of(RunTool, effects) == [RunTool(T1, "lookup", {})]


def test_cut_function_call_is_not_run() -> None:
    assert thinking(TOOLS).feed(wants_tool(status=ItemStatus.INCOMPLETE)) == []


def test_function_call_of_another_response_is_not_run() -> None:
    assert thinking(TOOLS).feed(wants_tool(response_id=R2)) == []


def test_unknown_tool_is_refused_towards_the_model() -> None:
    call = thinking(TOOLS)
    assert call.feed(wants_tool(name='x"y')) == [
        ToolRefused('x"y', "unknown"),
        output('{"error": "unknown tool x\\"y"}'),
    ]
    assert ASK in call.feed(done(R1))


def test_bad_arguments_run_nothing_and_are_named_for_the_model() -> None:
    schema = {"type": "object", "required": ["order"]}
    call = thinking(call_policy(greet=False, tools={"lookup": tool_policy(schema)}))
    effects = call.feed(wants_tool())
    assert of(RunTool, effects) == []
    assert of(ToolRefused, effects) == [ToolRefused("lookup", "bad_arguments")]
    assert output('{"error": "$: \'order\' is a required property"}') in effects
    assert ASK in call.feed(done(R1))


def test_a_tool_of_a_cancelled_response_is_ended_and_its_output_not_sent() -> None:
    call = thinking(TOOLS)
    call.feed(wants_tool())
    assert CancelTool(T1) in call.feed(started())
    assert call.feed(ToolFinished(T1, "42")) == []


def test_a_background_tool_does_not_hold_the_talk_and_is_told_when_it_ends() -> None:
    tools = {"lookup": tool_policy(background=True, filler="I will look.")}
    call = thinking(call_policy(greet=False, tools=tools))
    effects = call.feed(wants_tool())
    assert [each.text for each in of(PlayPhrase, effects)] == ["I will look."]
    assert ASK not in call.feed(done(R1))
    assert call.feed(ToolFinished(T1, "42"))[:3] == [answered("42"), output("42"), ASK]


def test_a_background_tool_outlives_the_response_that_called_it() -> None:
    call = thinking(call_policy(greet=False, tools={"lookup": tool_policy(background=True)}))
    call.feed(wants_tool())
    assert of(CancelTool, call.feed(started())) == []
    call.feed(done(R1, ResponseStatus.CANCELLED))
    assert output("42") in call.feed(ToolFinished(T1, "42"))


def test_built_in_tools_are_done_at_once_and_answered() -> None:
    call = thinking(call_policy(greet=False, tools={name: tool_policy() for name in BUILT_IN}))
    item = FunctionCall(T1, "send_dtmf", '{"digits": "1#"}', status=ItemStatus.COMPLETED)
    effects = call.feed(OutputItemDone(R1, 0, item))
    assert of(SendDigits, effects) == [SendDigits(T1, "1#")]
    assert output('{"sent": true}') in call.feed(ToolFinished(T1, '{"sent": true}'))
    arguments = '{"when": "tomorrow", "reason": "the invoice"}'
    item = FunctionCall(T2, "schedule_callback", arguments, status=ItemStatus.COMPLETED)
    effects = call.feed(OutputItemDone(R1, 1, item))
    assert of(CallbackWanted, effects) == [CallbackWanted("tomorrow", None, "the invoice")]


@pytest.mark.parametrize(
    ("approved", "answer"), [(frozenset({"find"}), True), (frozenset(), False)]
)
def test_an_mcp_server_is_answered_once_by_the_dialplans_policy(
    approved: frozenset[str], answer: bool
) -> None:
    call = thinking(call_policy(greet=False, mcp_approved=approved))
    request = McpApprovalRequest(
        type="mcp_approval_request", item_id=A1, server_label="crm", name="find", arguments="{}"
    )
    effects = call.feed(OutputItemDone(R1, 0, request), OutputItemDone(R1, 0, request))
    approval = McpApproval(approval_request_id=A1, approve=answer)
    assert of(Send, effects) == [Send(CreateItem(approval))]
    assert ASK not in call.feed(done(R1))  # the server goes on by itself


def test_output_before_response_done_waits_with_the_next_response() -> None:
    call = thinking(TOOLS)
    call.feed(wants_tool())
    assert call.feed(ToolFinished(T1, "42")) == [answered("42"), output("42")]
    assert ASK in call.feed(done(R1))


def test_output_after_response_done_asks_to_go_on() -> None:
    call = thinking(TOOLS)
    call.feed(wants_tool(), done(R1))
    assert call.core.state is State.THINKING
    effects = call.feed(ToolFinished(T1, "42"))
    assert effects == [answered("42"), output("42"), ASK, StartTimer(Timer.RESPONSE, 10_000)]


def test_several_calls_of_one_response_are_answered_together() -> None:
    call = thinking(TOOLS)
    call.feed(wants_tool(T1), wants_tool(T2), done(R1))
    assert call.feed(ToolFinished(T2, "b")) == [answered("b", T2), output("b", T2)]
    assert call.feed(ToolFinished(T1, "a"))[:3] == [answered("a"), output("a", T1), ASK]


def test_tool_that_finishes_twice_is_answered_once() -> None:
    call = thinking(TOOLS)
    call.feed(wants_tool(), done(R1), ToolFinished(T1, "42"))
    assert call.feed(ToolFinished(T1, "42")) == []


def test_result_for_a_cancelled_response_is_not_sent() -> None:
    call = thinking(TOOLS)
    call.feed(wants_tool(), started(U2), flushed())
    assert call.feed(ToolFinished(T1, "42"), done(R1, ResponseStatus.CANCELLED)) == []


@pytest.mark.parametrize("status", [ResponseStatus.CANCELLED, ResponseStatus.FAILED])
def test_result_for_a_response_that_the_server_gave_up_is_not_sent(status: ResponseStatus) -> None:
    call = thinking(TOOLS)
    call.feed(wants_tool(), done(R1, status))
    assert call.feed(ToolFinished(T1, "42")) == []


def test_result_while_the_caller_speaks_waits_for_the_callers_turn() -> None:
    call = thinking(TOOLS)
    call.feed(wants_tool(), done(R1), started(U2))
    assert call.feed(ToolFinished(T1, "42")) == [answered("42"), output("42")]
    effects = call.feed(stopped(item_id=U2), ResponseCreated(R2), done(R2))
    assert of(Send, effects) == []


def test_result_while_another_response_runs_asks_after_it() -> None:
    call = thinking(TOOLS)
    call.feed(wants_tool(), done(R1), started(U2), stopped(item_id=U2), ResponseCreated(R2))
    assert call.feed(ToolFinished(T1, "42")) == [answered("42"), output("42")]
    assert ASK in call.feed(done(R2))


def test_filler_that_ends_before_the_tool_leaves_the_turn_with_the_agent() -> None:
    call = speaking(TOOLS)
    call.feed(wants_tool(), done(R1), PlayoutDrained())
    assert call.core.state is State.THINKING


def test_end_call_waits_for_the_goodbye() -> None:
    call = speaking(audio_ms=1_500)
    assert call.feed(wants_tool(name="end_call")) == [
        ToolAsked(T1, "end_call", {}),
        StartTimer(Timer.CLOSING, 6_500),
    ]
    assert of(HangUp, call.feed(done(R1))) == []
    effects = call.feed(PlayoutDrained())
    assert effects[1:4] == [HangUp(), CloseSession(), StopTimer(Timer.CLOSING)]
    assert effects[-1] == END


def test_end_call_without_goodbye_ends_with_its_response() -> None:
    call = thinking()
    call.feed(wants_tool(name="end_call"))
    assert call.feed(done(R1))[-1] == END


def test_end_call_after_the_goodbye_was_heard_ends_with_its_response() -> None:
    call = speaking()
    call.feed(PlayoutDrained(), wants_tool(name="end_call"))
    assert call.feed(done(R1))[-1] == END


def test_end_call_whose_playout_hangs_ends_by_timer() -> None:
    call = speaking()
    call.feed(wants_tool(name="end_call"), done(R1))
    assert call.feed(TimerFired(Timer.CLOSING))[-1] == END


def test_end_call_repeated_starts_one_timer() -> None:
    call = speaking()
    effects = call.feed(wants_tool(name="end_call"), wants_tool(name="end_call"))
    assert len(of(StartTimer, effects)) == 1


def test_caller_who_speaks_over_the_goodbye_keeps_the_call() -> None:
    call: Call = speaking()
    call.feed(wants_tool(name="end_call"), done(R1))
    effects = call.feed(started(U2))
    assert StopTimer(Timer.CLOSING) in effects
    assert output('{"error": "not ended: the caller went on speaking"}') in effects
    call.feed(flushed((A1, 100, 2_000)), stopped(item_id=U2), ResponseCreated(R2))
    call.feed(audio(A1, R2), PlayoutStarted(A1, 0), done(R2), PlayoutDrained())
    assert not call.core.closed


def test_caller_who_cuts_the_response_with_end_call_gets_no_tool_output() -> None:
    call = speaking()
    call.feed(wants_tool(name="end_call"))
    effects = call.feed(started(U2))
    assert StopTimer(Timer.CLOSING) in effects
    assert [send for send in of(Send, effects) if isinstance(send.command, CreateItem)] == []


def test_message_item_runs_nothing() -> None:
    call = thinking(TOOLS)
    item = FunctionCallOutput(T1, "x")
    assert call.feed(OutputItemDone(R1, 0, item)) == []


def test_the_agent_pauses_the_recording_and_lets_it_go_on() -> None:
    call = thinking(call_policy(greet=False, tools={"pause_recording": tool_policy()}))
    pause = FunctionCall(T1, "pause_recording", "{}", status=ItemStatus.COMPLETED)
    effects = call.feed(OutputItemDone(response_id=R1, output_index=0, item=pause))
    assert effects[1:] == [PauseRecording(RecordingHold.AGENT), output('{"recording": "paused"}')]
    call = thinking(call_policy(greet=False, tools={"resume_recording": tool_policy()}))
    resume = FunctionCall(T1, "resume_recording", "{}", status=ItemStatus.COMPLETED)
    effects = call.feed(OutputItemDone(response_id=R1, output_index=0, item=resume))
    assert effects[1:] == [
        ResumeRecording(RecordingHold.AGENT),
        output('{"recording": "as before"}'),
    ]


ROOF = read_picture(png(64, 48))
SHOWN = '{"image": "follows in the next message"}'


def seeing(*, pictures: bool = True) -> Call:
    """A tool runs for response R1, of a session that takes pictures or not."""
    call = Call(TOOLS)
    ready = SessionReady("sess_1", service=WITH_PICTURES if pictures else ServiceTraits())
    call.feed(CallOffered(), ready, CallAnswered(), started(), stopped(), ResponseCreated(R1))
    call.feed(wants_tool())
    return call


def created(effects: list[Effect]) -> list[Item]:
    return [each.command.item for each in of(Send, effects) if isinstance(each.command, CreateItem)]


def test_picture_of_a_tool_is_shown_behind_its_output_and_then_spoken_of() -> None:
    call = seeing()
    effects = call.feed(ToolFinished(T1, SHOWN, ROOF), done(R1))
    output_item, message = created(effects)
    assert output_item == FunctionCallOutput(T1, SHOWN)
    assert isinstance(message, Message)
    assert (message.role, message.parts[1]) == (Role.USER, ROOF.part)
    assert of(PictureShown, effects) == [PictureShown(ROOF.facts, tool_call=T1)]
    assert effects.index(ASK) > effects.index(of(PictureShown, effects)[0])
    assert len([each for each in effects if each == ASK]) == 1


def test_two_tools_show_two_pictures_and_one_answer_is_asked_for() -> None:
    call = seeing()
    call.feed(wants_tool(T2))
    door = read_picture(png(3, 4, BLUE))
    effects = call.feed(ToolFinished(T2, SHOWN, door), done(R1), ToolFinished(T1, SHOWN, ROOF))
    shown = [part for item in created(effects) if isinstance(item, Message) for part in item.parts]
    assert [part for part in shown if part.image_url] == [door.part, ROOF.part]
    assert len([each for each in effects if each == ASK]) == 1


def test_where_there_are_no_pictures_the_model_is_told_and_none_is_sent() -> None:
    call = seeing(pictures=False)
    effects = call.feed(ToolFinished(T1, '{"taken": "today", "image": "x"}', ROOF), done(R1))
    (item,) = created(effects)
    assert isinstance(item, FunctionCallOutput)
    told = {"taken": "today", "image": "not shown: this voice service takes no pictures"}
    assert json.loads(item.output) == told
    assert of(PictureShown, effects) == []
    assert ASK in effects


def test_picture_for_a_cancelled_response_is_not_shown() -> None:
    call = seeing()
    call.feed(done(R1, ResponseStatus.CANCELLED))
    assert created(call.feed(ToolFinished(T1, SHOWN, ROOF))) == []


def test_picture_that_comes_without_a_session_is_given_to_the_next() -> None:
    call = seeing()
    call.feed(done(R1), SessionFailed(UpstreamError("gone", code="closed", close_code=1006)))
    assert created(call.feed(ToolFinished(T1, SHOWN, ROOF))) == []
    again = created(call.feed(SessionReady("sess_2", service=WITH_PICTURES), after_ms=500))
    parts = [part for item in again if isinstance(item, Message) for part in item.parts]
    assert ROOF.part in parts


def test_picture_does_not_follow_the_call_to_an_arm_without_them() -> None:
    call = seeing()
    call.feed(ToolFinished(T1, SHOWN, ROOF), done(R1))
    call.feed(SessionFailed(UpstreamError("gone", code="closed", close_code=1006)))
    again = created(call.feed(SessionReady("sess_2"), after_ms=500))
    parts = [part for item in again if isinstance(item, Message) for part in item.parts]
    assert [part for part in parts if part.kind is PartKind.INPUT_IMAGE] == []
    assert UNSEEN in [part.text for part in parts]
