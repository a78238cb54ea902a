import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.speech.words import numbers_in, sentences_of, word_error_rate, words_of


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


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("forty two dollars", ("42",)),
        ("It's $42.50.", ("42", "50")),
        ("20.5 percent", ("20", "5")),
        ("one two three four", ("1234",)),
        ("order 0042, line 7", ("0042", "7")),
        ("10,500 of them", ("10500",)),
        ("two hundred and five", ("205",)),
        ("one two hundred", ("1", "200")),
        ("fifteen or fifty", ("15", "50")),
        ("Number seven. Eight is free.", ("7", "8")),
        ("a thousand thanks, and hundred more", ()),
        ("twenty zero", ("20", "0")),
        ("", ()),
    ],
)
def test_numbers_in(text: str, numbers: tuple[str, ...]) -> None:
    assert numbers_in(text) == numbers


@given(st.integers(min_value=0, max_value=10**12))
def test_a_number_is_found_however_it_is_spelled(number: int) -> None:
    assert numbers_in(str(number)) == (str(number),)
    assert numbers_in(" ".join(words_of(str(number)))) == (str(number),)
