"""Names of things that a Realtime session hands out, kept apart by type."""

from typing import NewType

ItemId = NewType("ItemId", str)
ResponseId = NewType("ResponseId", str)
ToolCallId = NewType("ToolCallId", str)
"""The ``call_id`` of a function call: the model's call of a tool, not a phone call."""
