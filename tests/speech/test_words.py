import pytest

from bridge.speech.words import sentences_of, word_error_rate, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Where is my ORDER?", "where is my order"),
        ("It's $42.", "it's forty two"),
        ("That\u2019s all \u2014 thank you!", "that's all thank you"),
        ("order 0042", "order zero zero four two"),
        ("10,500 or 115", "ten thousand five hundred or one hundred fifteen"),
        ("1000000", "one zero zero zero zero zero zero"),
        ("0", "zero"),
        ("...", ""),
    ],
)
def test_words_of(text: str, words: str) -> None:
    assert " ".join(words_of(text)) == words


@pytest.mark.parametrize(
    ("reference", "heard", "rate"),
    [
        ("Your order shipped.", "your order shipped", 0.0),
        ("one two three four", "one three four", 0.25),
        ("one two three four", "one two too three four", 0.25),
        ("one two three four", "one too three four", 0.25),
        ("one two", "", 1.0),
        ("", "hello", 1.0),
    ],
)
def test_word_error_rate(reference: str, heard: str, rate: float) -> None:
    assert word_error_rate(reference, heard) == rate


def test_sentences_of_splits_where_a_speaker_pauses() -> None:
    text = "Thank you, Sir. How are you?  Fine! It is 4.5 miles"
    assert sentences_of(text) == ("Thank you, Sir.", "How are you?", "Fine!", "It is 4.5 miles")
