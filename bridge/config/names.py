"""The names of arms, dialplans, flags and nodes, and of SIP headers."""

from typing import Annotated

from pydantic import StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A lower-case name fit for a metric label and a Redis key."""

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.!%*_+`'~-]{1,64}$")]
"""RFC 3261 section 25.1, `token`."""
