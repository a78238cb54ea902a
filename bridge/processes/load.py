"""The dialplan of calls that only load a gateway, whose agent is the light Realtime server."""


def load_dialplan(name: str, *, called: str, arm: str) -> dict[str, object]:
    """Return a dialplan that records nothing and waits long for its sessions.

    Args:
        name: its own.
        called: the numbers that it takes.
        arm: the settings' name for the way to the light Realtime server.
    """
    return {
        "schema": "dialplan/v1",
        "name": name,
        "match": [{"called": called}],
        "arm": arm,
        "agent": {
            "instructions": "Be brief.",
            "language": "en",
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
        },
        "limits": {"session_ready_s": 20},
        "recording": {"enabled": False},
    }
