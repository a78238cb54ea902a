"""Reads the SIP messages that were kept of a call, without product code."""

import json
from pathlib import Path
from typing import Any

from tests.support.raw_phone import Received
from tests.support.waiting import until_written

Line = dict[str, Any]  # Any: JSON of the file


async def kept(directory: Path, call_id: str) -> tuple[Line, list[Line]]:
    """Wait for a call's file; return its first line, and its messages with their texts."""
    path = directory / f"{call_id}.sip.jsonl"
    text = await until_written(path, "no SIP messages of the call were kept")
    about, *messages = map(json.loads, text.splitlines())
    for message in messages:
        if "repeats" in message:
            message["text"] = messages[message["repeats"]]["text"]
    return about, messages


def short(messages: list[Line]) -> list[tuple[str, str]]:
    """Return each message's direction, and its method or status with the answered method."""
    found = []
    for message in messages:
        told = Received(message["text"])
        what = f"{told.status} {told.method}" if told.status else told.method
        found.append(("<" if message["sent"] else ">", what))
    return found
