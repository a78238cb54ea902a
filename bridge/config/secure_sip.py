"""Settings of SIP over TLS, and of SRTP."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

SipTransport = Literal["udp", "tcp", "tls"]
Srtp = Literal["off", "optional", "required"]

HostName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", to_lower=True)
]


class TlsSettings(BaseModel):
    """SIP over TLS 1.2 and later, on a port of its own; it needs the capacity build.

    Attributes:
        port: TCP port; 0 takes a free one.
        cert_file: PEM, chain included; shown to whoever connects, and to trunks that we connect to.
            This file and the other two are read anew when they change.
        key_file: PEM, without a password.
        ca_file: PEM of whoever signs the certificates of trunks, and of clients; null for those
            that this machine trusts, which sign no clients.
        verify_client: take connections only from whoever shows a certificate that `ca_file` has
            signed (mTLS).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(5061, ge=0, le=65535)
    cert_file: Path
    key_file: Path
    ca_file: Path | None = None
    verify_client: bool = False

    @model_validator(mode="after")
    def _know_who_signs_clients(self) -> Self:
        if self.verify_client and self.ca_file is None:
            raise ValueError("verifies clients and names no ca_file: name whoever signs them")
        return self
