"""One model of an arm, with the settings that a connection to it needs."""

from dataclasses import dataclass

from bridge.session.realtime import Endpoint
from bridge.session.tokens import CredentialSource


@dataclass(frozen=True, slots=True)
class ArmModel:
    """One model to connect with.

    Attributes:
        endpoint: without a key: each connection gets its own.
        credentials: where the connections' bearers come from.
        voice: for the session's settings; None for the server's default.
    """

    endpoint: Endpoint
    credentials: CredentialSource
    voice: str | None = None
