import pytest

from bridge.errors import Outcome
from bridge.telemetry.redaction import mask_numbers, mask_secrets, redact, without_secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("call from +15550100199 now", "call from ***99 now"),
        ("+1 (555) 010-0199", "***99"),
        ("<sip:5550100@gw>", "<sip:***00@gw>"),
        ("sips:+15550100@gw;x", "sips:***00@gw;x"),
        ("tel:555-0100", "tel:***00"),
        ("0015550100199", "***99"),
        ("number=+15550100199", "number=***99"),
    ],
)
def test_numbers_are_masked(text: str, expected: str) -> None:
    assert mask_numbers(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "took 1763690000123456789 ns",
        "2026-11-21T02:35:12.123456Z",
        "192.168.100.200:5060",
        "550e8400-e29b-41d4-a716-446655440000",
        "sess_1234567890123",
        "0.12345678901",
        "sip:support@gw:5060",
        "sip:1001@gw",
        "port 16384-32767",
        "item 1 + 2",
    ],
)
def test_what_is_no_number_stays(text: str) -> None:
    assert mask_numbers(text) == text


def test_values_of_any_shape_are_redacted() -> None:
    fields = {
        "to": ["sip:+15550100199@gw", 3],
        "error": ValueError("+15550100199"),
        "outcome": Outcome.COMPLETED,
        "count": 15550100199,
        "none": None,
        "pii": "text",
        "piict": "no prefix of ours",
    }
    assert redact(fields) == {
        "to": ["sip:***99@gw", 3],
        "error": "***99",
        "outcome": "completed",
        "count": 15550100199,
        "none": None,
        "pii": "[redacted]",
        "piict": "no prefix of ours",
    }


KEY = "sk-proj-Zebra0451_Quagga7788"
TOKEN = "ek_68af296e8e408191a1120ab6383263c2"


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}.",
        f"{{'Authorization': 'Bearer {KEY}', 'User-Agent': 'x'}}",
        f"authorization: bearer {TOKEN}",
        f"Headers(Authorization='Bearer {TOKEN}')",
        "Bearer Zebra0451",
        'Proxy-Authorization: Digest username="a", response="Zebra0451"\r\n',
        "redis://:Zebra0451@redis:6379/0",
        "https://bridge:Zebra0451@proxy.example:8080",
        "wss://host/openai/realtime?api-key=Zebra0451&deployment=a",
        "{'api-key': 'Zebra0451'}",
        f"subprotocols openai-insecure-api-key.{KEY}, realtime",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    masked = mask_secrets(text)
    for part in ("Zebra0451", "Quagga7788", "68af296e", "6383263c2"):
        assert part not in masked
    assert "[secret]" in masked


@pytest.mark.parametrize(
    "text",
    [
        "sess_68af296e8e408191a1120ab6383263c2",
        "task-exception-was-never-retrieved",
        "check the key that the arm's api_key_env or api_key_file names",
        "the bearer of bad news",
        "redis://127.0.0.1:6379/0",
        "sip:5550100@gw:5060",
        "ek_1",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask_secrets(text) == text


def test_secrets_are_masked_however_deep_they_lie() -> None:
    fields = {"error": ValueError(KEY), "headers": {"X": [KEY, 1]}, "took_ms": 3}
    masked = without_secrets(fields)
    assert masked == {"error": "[secret]", "headers": {"X": ["[secret]", 1]}, "took_ms": 3}
