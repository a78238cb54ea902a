"""The state of a call's core between inputs, and the few ways in which every handler changes it.

Handlers are generators of effects over :class:`CallState`; they run in the loop's thread, one input
at a time. Fields of the call's Redis hash are collected during one input and leave as one
StateChanged.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field

from bridge.engine.agent.latency import InputClock, TurnClock
from bridge.engine.agent.state import ResponseBook
from bridge.engine.agent.transcript import AgentTranscript
from bridge.engine.call.state import CallEnd, Stage
from bridge.engine.caller.state import CallerSilenceState, CallerSound, Cut, HeardTurn
from bridge.engine.consent.steps import ConsentState, ConsentStep
from bridge.engine.duplex.state import CallerWords, Delegated, VoiceStream
from bridge.engine.effects import CancelTool, Effect, Send, StartTimer, StopTimer
from bridge.engine.handoff.steps import HandoffState, HandoffStep
from bridge.engine.keypad.state import KeypadState
from bridge.engine.media import LastSoundSent
from bridge.engine.news import PhaseChanged, StateChanged, TransitionRefused
from bridge.engine.policy import CallPolicy
from bridge.engine.session.state import FallbackState, Rollover
from bridge.engine.supervision.steps import CallerHolder, Supervised
from bridge.engine.timers import Timer
from bridge.engine.tools.state import McpBook, ToolRound
from bridge.engine.turns import Trigger, TurnMachine
from bridge.engine.voice.state import AgentWait, DeadAirState, Filler, OwnSpeech
from bridge.realtime.commands import CancelResponse, Command, CreateItem
from bridge.realtime.conversation import ConversationLog
from bridge.realtime.dialect import ServiceTraits
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import (
    ContentPart,
    FunctionCallOutput,
    Item,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.recovery import Budget
from bridge.realtime.seen import SeenEvents
from bridge.routing.handoff import HandoffTarget

Effects = Iterator[Effect]
"""The effects that a handler yields, in the order in which they are carried out."""

HandingOver = HandoffState["CallState", Effect]
"""A handing over that goes on."""


@dataclass(slots=True)
class SessionState:
    """The state of one Realtime session alone; replaced with it, never reset.

    Attributes:
        kept_ms: of the caller's audio before it stood, that it was sent.
        turn_is_kept: the caller's latest turn began in there.
        unheard: the first of its turns of the caller's that another session would have to hear.
        turn: of the caller's, as this session hears it.
        asked_alive: the service was asked whether it lives, and has not answered.
        asked_alive_ns: when it was asked last.
        seen: events that came already: a repeated one is none.
        turn_began_ns: the caller's first sound of their latest turn, by the service.
        last_sound: the end of their latest sound.
        turn_clock: marks of the agent turn that was not heard yet.
        service: what it can be asked for, and what it reports.
        voice: of a full-duplex service; ``delegated``: the work of its backend.
    """

    service: ServiceTraits = field(default_factory=ServiceTraits)
    voice: VoiceStream = field(default_factory=VoiceStream)
    delegated: Delegated = field(default_factory=Delegated)
    seen: SeenEvents = field(default_factory=SeenEvents)
    responses: ResponseBook = field(default_factory=ResponseBook)
    turn: HeardTurn = field(default_factory=HeardTurn)
    kept_ms: float = 0.0
    turn_is_kept: bool = False
    unheard: ItemId | None = None
    asked_alive: bool = False
    asked_alive_ns: int | None = None
    cut: Cut | None = None
    input_clock: InputClock | None = None
    turn_began_ns: int | None = None
    last_sound: LastSoundSent | None = None
    turn_clock: TurnClock | None = None


@dataclass(slots=True)
class CallState:
    """The whole state of one call's core.

    Attributes:
        jitter: draws a number in [0, 1).
        unready: how the call ends if no session comes in time: as the last attempt failed.
        rescued: another arm has taken the call over.
        playing: the playout has agent audio that was not heard yet.
        ending: the model's ``end_call``, carried out once its goodbye was heard.
        leaving: how the call ends once the bridge's own goodbye was heard.
        lost: there is no session, and one is being had.
        wait: of the caller for the agent; it goes on from one session to the next.
        background: tools that run while the talk goes on.
        tool_filler: said in the place of the next tone.
        filler_wanted: the caller is to hear a filler once they have heard nothing for a while.
        filling: the filler that the playout has.
        explained_ns: the outage, by its beginning, in which a phrase was the filler.
        fallback: taken, as no session could be had any more.
        handoff: the call is being handed over, or soon will be, or was: to a person here, or to the
            agent of an arm that is a SIP URI.
        way_out: such an agent, to whom the call goes once nothing stands before it.
        agent_heard: such an agent was heard.
        supervised: what supervisors do to it.
        heard: the caller's words, where no event ends their turn.
        talk_given: how much of the talk the session that is being opened gets with its opening.
        budget: spent on getting the session back.
        answers: spent on failed responses.
    """

    policy: CallPolicy
    turns: TurnMachine = field(default_factory=TurnMachine)
    stage: Stage = Stage.NEW
    timers: set[Timer] = field(default_factory=set)
    jitter: Callable[[], float] = lambda: 0.5
    unready: CallEnd | None = None
    session: SessionState = field(default_factory=SessionState)
    log: ConversationLog = field(default_factory=ConversationLog)
    tool_rounds: dict[ResponseId, ToolRound] = field(default_factory=dict)
    mcp: McpBook = field(default_factory=McpBook)
    transcript: AgentTranscript = field(default_factory=AgentTranscript)
    held: bool = False
    rescued: bool = False
    playing: bool = False
    ending: ToolCallId | None = None
    leaving: CallEnd | None = None
    lost: bool = False
    wait: AgentWait = field(default_factory=AgentWait)
    background: set[ToolCallId] = field(default_factory=set)
    tool_filler: str | None = None
    filler_wanted: bool = False
    filling: Filler | None = None
    explained_ns: int | None = None
    fallback: FallbackState | None = None
    handoff: HandingOver | None = None
    way_out: HandoffTarget | None = None
    agent_heard: bool = False
    supervised: Supervised = field(default_factory=Supervised)
    sound: CallerSound = field(default_factory=CallerSound)
    speech: OwnSpeech = field(default_factory=OwnSpeech)
    dead_air: DeadAirState = field(default_factory=DeadAirState)
    caller_silence: CallerSilenceState = field(default_factory=CallerSilenceState)
    keypad: KeypadState = field(default_factory=KeypadState)
    consent: ConsentState = field(default_factory=ConsentState)
    heard: CallerWords = field(default_factory=CallerWords)
    talk_given: int = 0
    budget: Budget = field(init=False)
    answers: Budget = field(init=False)
    rollover: Rollover | None = None
    user_audio_seq: int = 0
    agent_audio_seq: int = 0
    last_event_id: str | None = None
    # A call starts without them: their absence is no change.
    _written: dict[str, str | int] = field(
        default_factory=lambda: {"response_id": "", "conversation_id": ""}
    )
    _changed: dict[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.budget = self.answers = Budget(self.policy.recovery)
        if self.policy.consent is not None:
            self.consent.step = ConsentStep.DUE

    @property
    def answered(self) -> bool:
        """Whether our 200 OK is out: the caller has somebody to talk to, or soon will."""
        return self.stage in (Stage.ANSWERING, Stage.TALKING)

    @property
    def closed(self) -> bool:
        """Whether the call is over."""
        return self.stage is Stage.CLOSED

    @property
    def awaits_consent(self) -> bool:
        """Whether the agent has to be silent because the caller has not agreed yet."""
        consent = self.policy.consent
        return consent is not None and consent.asks and self.consent.open

    @property
    def agent_busy(self) -> bool:
        """Whether the agent's turn goes on although nothing is left to hear."""
        return (
            self.session.responses.active is not None
            or self.session.responses.awaited
            or self.session.responses.blocked
            or self.waits_for_tool
        )

    @property
    def waits_for_tool(self) -> bool:
        """Whether the agent's turn waits for the output of a tool."""
        return any(round_.pending for round_ in self.tool_rounds.values())

    @property
    def audible(self) -> bool:
        """Whether the playout has something to say, the agent's or the bridge's own."""
        return self.playing or self.speech.going_on

    @property
    def agent_has_floor(self) -> bool:
        """Whether the caller who speaks now speaks over the agent, or over an answer on its way."""
        return self.audible or self.agent_speaks

    @property
    def agent_speaks(self) -> bool:
        """Whether an answer is made, and its voice has not fallen quiet."""
        active = self.session.responses.active
        return active is not None and not active.pausing

    @property
    def caller_has_floor(self) -> bool:
        """Whether the caller speaks, by the service's or, where they cut the agent, by our ears."""
        cut_agent = self.sound.unexplained and not self.session.responses.expected
        return self.session.turn.speaking or self.sound.stopped_agent or cut_agent

    @property
    def handing_over(self) -> bool:
        """Whether the agent is out of the talk: for a person, for a supervisor, or for good."""
        return self.supervised.held or (self.handoff is not None and self.handoff.begun)

    @property
    def elsewhere(self) -> bool:
        """Whether the caller is with somebody else than the agent, or soon will be."""
        return self.handoff is not None or self.supervised.held

    @property
    def bridged(self) -> bool:
        """Whether the caller talks to somebody by another call of the bridge's."""
        return self.handoff is not None and self.handoff.step is HandoffStep.BRIDGED

    @property
    def with_agent_elsewhere(self) -> bool:
        """Whether that is the agent of an arm."""
        return self.bridged and self.handoff is not None and self.handoff.target.is_agent

    @property
    def with_person(self) -> bool:
        """Whether the caller talks to a person, or waits for one by a supervisor's wish."""
        return (self.bridged and not self.with_agent_elsewhere) or self.supervised.held

    def move(self, trigger: Trigger) -> Generator[Effect, None, bool]:
        """Step the turn machine; the one door for phases.

        Returns:
            Whether the table had a row.
        """
        transition = self.turns.step(trigger)
        if transition is None:
            yield TransitionRefused(self.turns.state, trigger)
            return False
        if transition.new is not transition.old:
            yield PhaseChanged(transition.old, transition.new, trigger)
            self.note_phase()
        return True

    def send(self, command: Command) -> Effects:
        """Send a command; while there is no session the talk alone takes it, for the next one."""
        self.log.sent(command)
        if not self.lost and self.can_say(type(command)):
            yield Send(command)

    def take_talk(self) -> tuple[Item, ...]:
        """Return the talk so far, for a session that is opened now and takes it with that."""
        talk = self.log.items()
        self.talk_given = len(talk)
        return talk

    @property
    def backend_goes_on(self) -> bool:
        """Whether the service's backend has an output to each call of its own, and so goes on."""
        calls = self.session.delegated.calls
        return bool(calls) and calls.isdisjoint(each.call_id for each in self.log.running_calls)

    def can_say(self, kind: type[Command]) -> bool:
        """Return whether the present service has a word for a command.

        What follows from one that it has no word for is up to whoever asks here; what only keeps
        the service's memory like ours (a truncation) is left unsaid.
        """
        return kind not in self.session.service.unsayable

    def cancel_response(self) -> Effects:
        """Cancel the running response: nothing of it will be played or answered any more."""
        response = self.session.responses.active
        if response is None:
            return
        response.cancelled = True
        yield from self.drop_tools(response.response_id)
        self.note(response_id="")
        yield from self.send(CancelResponse(response.response_id))

    def drop_tools(self, response_id: ResponseId) -> Effects:
        """Forget the tool calls of a response that was cancelled or failed; end those that run."""
        tools = self.tool_rounds.pop(response_id, None)
        for call_id in sorted(tools.pending) if tools is not None else ():
            yield CancelTool(call_id)

    def answer_tool(self, call_id: ToolCallId, output: Mapping[str, object]) -> Effects:
        """Give a tool call its output; the model is not asked to go on."""
        yield from self.give_output(call_id, json.dumps(output))

    def give_output(self, call_id: ToolCallId, output: str) -> Effects:
        """Give a tool call its output, as text.

        A session that was not given the call as such, or has its output, gets words in its place.
        """
        given = CreateItem(FunctionCallOutput(call_id, output))
        open_calls = {called.call_id for called in self.log.running_calls}
        known = call_id in self.session.delegated.calls and call_id in open_calls
        if known or self.session.service.takes_talk_later:
            yield from self.send(given)
            return
        self.log.sent(given)
        if not self.lost:
            part = ContentPart(PartKind.INPUT_TEXT, f"A tool that was called before gave: {output}")
            yield Send(CreateItem(Message(Role.SYSTEM, (part,))))

    def start_timer(self, timer: Timer, after_ms: int) -> Effects:
        """Start a timer, or start it anew."""
        self.timers.add(timer)
        yield StartTimer(timer, after_ms)

    def stop_timer(self, timer: Timer) -> Effects:
        """Stop a timer if it runs."""
        if timer in self.timers:
            self.timers.remove(timer)
            yield StopTimer(timer)

    def note(self, **fields: str | int) -> None:
        """Change fields of the Redis hash; those that already have the value are left out."""
        for name, value in fields.items():
            if self._written.get(name) != value:
                self._written[name] = self._changed[name] = value

    def noted(self, name: str) -> str | int:
        """Return what was put down last of a field; empty where nothing was."""
        return self._written.get(name, "")

    def note_phase(self) -> None:
        """Put the phase down: the turn machine's state, but for phases that say more than that."""
        phase: str = self.turns.state
        if self.supervised.hold is CallerHolder.PAUSED:
            phase = "paused"
        elif self.with_person:
            phase = "human"
        elif self.with_agent_elsewhere:
            phase = "bridged"
        if self.held:
            phase = "held"
        self.note(phase=phase)

    def note_counters(self) -> None:
        """Put sequence numbers down; at turn boundaries only, not for every packet."""
        self.note(
            last_user_audio_seq=self.user_audio_seq, last_agent_audio_seq=self.agent_audio_seq
        )
        if self.last_event_id is not None:
            self.note(last_ack_event_id=self.last_event_id)

    def take_changes(self) -> Effects:
        """Give what :meth:`note` collected, if anything."""
        if self._changed:
            changed, self._changed = self._changed, {}
            yield StateChanged(changed)
