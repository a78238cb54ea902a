"""Numbers as people without a reason to know them see them."""

from bridge.console.masking import mask_caller, mask_origin


def test_an_origins_numbers_keep_their_last_two_digits() -> None:
    masked = mask_origin(
        {
            "asserted": '"+15550100" <sip:+15550123@c>',
            "diversion": "<sip:+15550111@c>;reason=busy, <tel:+1-555-0112>",
            "history_info": "<sip:1001@c>;index=1",
            "user_to_user": "3135353530313233;encoding=hex",
            "headers": {"X-Account": "call 555 01 99 back", "X-Tier": "gold"},
        }
    )
    assert masked == {
        "asserted": "***23",
        "diversion": "<sip:+***11@c>;reason=busy, <tel:+***12>",
        "history_info": "<sip:1001@c>;index=1",
        "user_to_user": "***33;encoding=hex",
        "headers": {"X-Account": "call ***99 back", "X-Tier": "gold"},
    }
    assert mask_origin({})["asserted"] == ""


def test_a_forged_name_shows_the_real_number_and_a_long_one_is_cut() -> None:
    assert mask_caller('"<sip:+15550171@x>" <sip:+15559999988@y>') == "***88"
    assert len(mask_caller(f"<sip:{'n' * 500}@x>")) == 40
