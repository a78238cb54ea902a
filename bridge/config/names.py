"""The names of arms, dialplans, flags and nodes."""

from typing import Annotated

from pydantic import StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A lower-case name fit for a metric label and a Redis key."""
