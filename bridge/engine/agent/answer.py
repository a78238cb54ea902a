"""An answer of the agent's in the engine's books: begun, given to the playout, cut short.

Two things are one: a response, which its service announces and names, and an utterance of a
full-duplex service, which announces nothing, and whose voice is heard to begin and to end here.
"""

from collections.abc import Generator

from bridge.engine.agent.requests import pay_owed
from bridge.engine.agent.state import Response
from bridge.engine.effects import Effect
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.turns import Trigger
from bridge.engine.voice.filler import stop_filler
from bridge.realtime.duplex_events import VoiceDelta
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import AudioDelta, ResponseDone
from bridge.realtime.ids import ItemId, ResponseId


def begin_answer(call: CallState, response_id: ResponseId, now_ns: int) -> Effects:
    """Make an answer the active one, unless the caller began to speak since it was asked for."""
    responses = call.session.responses
    asked, responses.requested = responses.requested, None
    unwanted, responses.unwanted = responses.unwanted, False
    protected, call.speech.protects_next = call.speech.protects_next, False
    responses.claims = 0
    responses.running = Response(
        response_id, protected=protected and asked is not None, asked=asked
    )
    yield from call.stop_timer(Timer.RESPONSE)
    if unwanted:
        yield from call.cancel_response()
        return
    spoken_over = call.session.turn.speaking and call.policy.barge_in is None
    if asked is not None and spoken_over and call.session.service.reports_turns:
        # Turn detection could not cancel it: it did not exist when the caller began.
        yield from call.cancel_response()
        return
    responses.expect_none()
    if call.session.turn_clock is not None:
        call.session.turn_clock.response_created(now_ns)
    call.note(response_id=response_id)
    yield from call.move(Trigger.RESPONSE_CREATED)


def note_audio(
    call: CallState,
    response: Response,
    part: tuple[ItemId, int],
    delta: AudioDelta | VoiceDelta,
    now_ns: int,
) -> Generator[Effect, None, ItemId]:
    """Note that the playout is given audio of the active answer.

    Args:
        part: the session's id of its item, and the part of that.
        delta: that audio.

    Returns:
        The call's id of the item.
    """
    server_id, content_index = part
    if call.filler_wanted or call.filling:
        yield from stop_filler(call)
    call.agent_audio_seq += 1
    response.audible = True
    response.deltas += 1
    if call.session.turn_clock is not None:
        call.session.turn_clock.audio_received(now_ns)
    item = call.transcript.item(server_id, response.response_id)
    item.audio_format = delta.audio_format
    given = item.given_bytes.get(content_index, 0)
    item.given_bytes[content_index] = given + len(delta.audio)
    if response.protected:
        call.speech.protected.add(server_id)
    call.playing = True
    return item.item_id


def end_unheard(call: CallState) -> Effects:
    """End an answer that was cut here, though its service speaks on: what follows is heard."""
    running = call.session.responses.running
    if running is None or not running.cancelled:
        return
    call.session.responses.finish()
    call.log.feed(ResponseDone(running.response_id, ResponseStatus.CANCELLED))
    yield from pay_owed(call)
