"""The header Retry-After, in both of its forms and in none."""

import pytest

from bridge.session.retry_after import retry_after_ms

NOW_S = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (None, None),
        ("", None),
        ("0", None),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("１２", None),
        ("12", 12_000),
        (" 12 ", 12_000),
        ("86400", 86_400_000),
        ("86401", None),
        ("Fri, 15 Jan 2027 08:00:10 GMT", 10_000),
        ("Fri, 15 Jan 2027 07:59:50 GMT", None),
        ("Fri, 15 Jan 2077 08:00:10 GMT", None),
        ("Friday, the day after tomorrow", None),
    ],
)
def test_retry_after_is_read_where_it_makes_sense(value: str | None, ms: int | None) -> None:
    assert retry_after_ms(value, NOW_S) == ms
