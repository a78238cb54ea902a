"""Warns of valid scripts whose verdict would say less than it seems to. Pure."""

from collections.abc import Iterator

from bridge.replay.chat.choosing import text_models
from bridge.replay.checks.words import Finds, holds_number, holds_words
from bridge.replay.script import CallScript, Expectation, Persona, Utterance
from bridge.replay.script.text_model import goes_in_the_clear
from bridge.speech.synthesis import speaks_english
from bridge.speech.words import numbers_in, sentences_of, without_numbers


def advise(script: CallScript) -> Iterator[str]:
    """Yield one sentence for each weakness of a script."""
    if not speaks_english(script.voice) and _speaks(script):
        yield (
            f"the voice '{script.voice}' speaks no English, which is all that the simulated service"
            " understands: play it on a live arm alone (target.arms)"
        )
    if script.persona is not None:
        yield from _of_persona(script, script.persona)
    if script.judge is not None and not script.expects_something:
        yield (
            "nothing but a judge decides, and a judge alone passes nothing: at best the script is"
            " inconclusive; expect something of the steps or of the end"
        )
    yield from _keys_in_the_clear(script)
    sentences = [sentence for text in script.hears for sentence in sentences_of(text)]
    for number, step in enumerate(script.caller, start=1):
        for text, held in _wanted_numbers(step.expect) if step.expect else ():
            right = [sentence for sentence in sentences if held(sentence)]
            if right and not any(_rivals(sentence, right) for sentence in sentences):
                yield (
                    f'step {number} expects the number of "{text}", and hears has only'
                    f' "{right[0]}": a recogniser without another choice finds it in any number;'
                    " add the sentence with a wrong one"
                )


def _of_persona(script: CallScript, persona: Persona) -> Iterator[str]:
    if not script.hears and persona.transcription is None:
        yield (
            "the persona hears by the built-in recogniser of any words, which gets a third of them"
            " wrong: give hears, or persona.transcription"
        )
    if not script.expects_something:
        yield (
            "nothing but the persona's own word says that its goal was reached: expect something of"
            " the call (end: must_say, state)"
        )


def _keys_in_the_clear(script: CallScript) -> Iterator[str]:
    for where, model in text_models(script):
        if (model.api_key_env or model.api_key_file) and goes_in_the_clear(model):
            yield f"{where} sends its key over http, which anybody on the way can read"


def _speaks(script: CallScript) -> bool:
    if script.persona is not None:
        return True
    actions = (step.action for step in script.caller)
    return any(isinstance(each, Utterance) and each.audio is None for each in actions)


def _wanted_numbers(expect: Expectation) -> Iterator[tuple[str, Finds]]:
    texts = [expect.text_contains, *expect.contains_any, *expect.contains_all]
    for text in texts:
        # "One" alone is mostly no number: one moment, press one.
        if text is not None and numbers_in(text) not in ((), ("1",)):
            yield text, holds_words(text)
    for number in expect.numbers:
        yield str(number), holds_number(number)


def _rivals(sentence: str, right: list[str]) -> bool:
    """Return whether a sentence is a right one with another number."""
    return sentence not in right and any(
        without_numbers(sentence) == without_numbers(each) for each in right
    )
