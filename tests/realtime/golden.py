"""Golden wire lines of each dialect, written from `PROTOCOL.md` by hand: never from our encoder.

`server.jsonl` has every kind of event, `client.jsonl` every command of `examples.py` under its
name, `conversation.jsonl` one conversation that is the same in both dialects.
"""

import json
from pathlib import Path

from bridge.realtime.beta import BetaDialect
from bridge.realtime.dialect import Dialect
from bridge.realtime.ga import GaDialect
from tests.realtime.official import DialectName, Event

DIALECTS: dict[DialectName, Dialect] = {"beta": BetaDialect(), "ga": GaDialect()}

_GOLDEN = Path(__file__).parent.parent / "golden"


def lines(dialect: DialectName, name: str) -> list[str]:
    return (_GOLDEN / dialect / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()


def objects(dialect: DialectName, name: str) -> list[Event]:
    return [json.loads(line) for line in lines(dialect, name)]


def server_line(dialect: DialectName, number: int) -> str:
    """The line whose event_id ends with `number`."""
    server = lines(dialect, "server")
    return next(line for line in server if f'{number:04}"' in line.split(',"', 2)[1])
