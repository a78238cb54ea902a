"""Golden wire lines, written from `protocol.md` by hand: never from our encoder."""

import json
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "golden" / "ga"


def lines(name: str) -> list[str]:
    return (GOLDEN / name).read_text(encoding="utf-8").splitlines()


def server_line(number: int) -> str:
    """The line whose event_id ends with `number`."""
    return next(line for line in lines("server.jsonl") if f'"event_CeRx{number:04}"' in line)


def objects(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines(name)]
