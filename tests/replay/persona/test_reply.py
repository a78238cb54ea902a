"""What text models write, and what of it a persona may do."""

import pytest

from bridge.replay.persona.reply import NoReply, PersonaReply, parse_reply


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ('{"say": "Where is my order?"}', PersonaReply("Where is my order?")),
        ('```json\n{"say": "Hi", "done": false}\n```', PersonaReply("Hi")),
        ('Sure! {"say": "Hi", "interrupt": "Wait"} ok?', PersonaReply("Hi", "Wait")),
        ("Where is my order?", PersonaReply("Where is my order?")),
        ('{"press": "12#"}', PersonaReply(press="12#")),
        ('{"press": "1 2 #", "say": "twelve"}', PersonaReply(press="12#")),
        (
            '{"say": "Bye", "done": true, "reached": true, "why": "the day\\nis known"}',
            PersonaReply("Bye", done=True, reached=True, why="the day is known"),
        ),
        ('{"say": null, "done": true, "reached": false}', PersonaReply(done=True)),
        ('{"say": "Go on", "reached": true}', PersonaReply("Go on")),
        ('{"say": "<b>Hi</b> [[hi]]\\u0000 there"}', PersonaReply("b Hi /b hi there")),
    ],
)
def test_replies_are_read(text: str, reply: PersonaReply) -> None:
    assert parse_reply(text) == reply


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"say": "unfinished', "JSON that can't be read"),
        ("{" * 200_000, "JSON that can't be read"),
        ('{"a":' * 50_000, "JSON that can't be read"),
        ('{"say": 4711}', "'say' is no text"),
        ('{"say": ["a"]}', "'say' is no text"),
        ('{"say": "a", "done": "yes"}', "'done' is neither true nor false"),
        ('{"press": "one"}', "'press' is no keys"),
        ("{}", "neither words nor keys"),
        ('{"say": " ... "}', "neither words nor keys"),
        ("\u2014", "neither words nor keys"),
    ],
)
def test_what_is_no_reply_is_told_without_the_models_words(text: str, why: str) -> None:
    with pytest.raises(NoReply, match=why):
        parse_reply(text)


def test_a_long_speech_is_cut_at_a_sentence() -> None:
    said = parse_reply("I want my money back. " * 200).say
    assert 400 < len(said) <= 500
    assert said.endswith("back.")
    assert len(parse_reply("word " * 1000).say) <= 500
