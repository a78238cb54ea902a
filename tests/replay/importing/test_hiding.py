"""What is taken out of a recorded call, and what stands in for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from bridge.replay.importing.hiding import STAND_INS, WRITTEN, Hider
from bridge.speech.recognition import guess_pronunciations


def test_what_was_redacted_when_it_was_recorded_gets_words() -> None:
    hidden = Hider().hide("It is [account].")
    assert hidden.text == "It is one two three four five six seven eight."
    assert hidden.changed


def test_phone_numbers_and_addresses_go_whatever_the_dialplan_kept() -> None:
    assert Hider().hide("Call +49 170 1234567.").text == "Call five five five zero one zero zero."
    assert Hider().hide("I am at jo@example.org.").changed


def test_plain_words_stay() -> None:
    assert Hider().hide("Order 4711, please.") == ("Order 4711, please.", False)


def test_names_go_as_words_whatever_their_case() -> None:
    hider = Hider(["Miller"])
    assert hider.hide("I am MILLER, not Millerton.").text == "I am Robin, not Millerton."


def test_a_field_of_json_is_known_by_its_name() -> None:
    value: JsonValue = {"account_number": 99887766, "amount": 42, "paid": True, "lines": ["[card]"]}
    assert Hider().hide_json(value) == {
        "account_number": WRITTEN["[account]"],
        "amount": 42,
        "paid": True,
        "lines": [WRITTEN["[card]"]],
    }


@pytest.mark.parametrize("words", STAND_INS.values())
def test_stand_ins_can_be_recognised(words: str) -> None:
    assert guess_pronunciations([words], "en-us") == {}


@given(st.sampled_from(["My card is {}.", "{}", "Pay with {} today"]), st.integers(0, 10**11))
def test_no_card_number_is_left(sentence: str, account: int) -> None:
    card = _with_check_digit(f"4{account:011}000")
    assert card not in Hider().hide(sentence.format(card)).text


def _with_check_digit(digits: str) -> str:
    total = sum(sum(divmod(int(d) * (2 - at % 2), 10)) for at, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)
