"""Settings of the archive, which encrypts the recordings of calls that are over, and ships them."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bridge.config.secret_places import SecretPlace


class BucketSettings(BaseModel):
    """S3-compatible storage to which encrypted recordings go ([how](RECORDINGS.md#ship-them)).

    Attributes:
        bucket: its name; it must be there.
        endpoint: URL of the storage; None for Amazon's.
        region: as the storage calls its own.
        prefix: what every key there begins with.
        access_key_id: None takes what the library finds by itself: `AWS_*` variables, an instance's
            role.
        secret_access_key: its secret, `{env: ...}` or `{file: ...}`.
        ca_file: PEM of whoever signs the storage's certificate; None for whom this machine trusts.
        keep_local_s: how long a copy stays on this disk once it is there and checked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bucket: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$")
    endpoint: str | None = Field(None, pattern=r"^https?://[^/?#@]+/?$")
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]+$")
    prefix: str = Field("", pattern=r"^[A-Za-z0-9!_.*'()/-]{0,200}$")
    access_key_id: str | None = Field(None, min_length=1)
    secret_access_key: SecretPlace | None = None
    ca_file: Path | None = None
    keep_local_s: int = Field(3600, ge=0)

    @model_validator(mode="after")
    def _have_both_keys(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("should have access_key_id and secret_access_key, or neither")
        return self


class RecordingsSettings(BaseModel):
    """The archive of recordings, once their calls are over ([how](RECORDINGS.md)).

    Attributes:
        recipients_file: public keys of age (`age1...`), one a line; recordings are encrypted to all
            of them, and any one's identity opens them. None leaves recordings as they are.
        identities_file: secret keys of age, with which this node's console plays encrypted
            recordings and makes scripts of them. None: it can't, and says so.
        s3: where encrypted recordings are shipped to; None leaves them on the disk.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipients_file: Path | None = None
    identities_file: Path | None = None
    s3: BucketSettings | None = None

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which a `bridge` command has the same settings."""
        return {
            "BRIDGE_RECORDINGS_RECIPIENTS_FILE": str(self.recipients_file or ""),
            "BRIDGE_RECORDINGS_IDENTITIES_FILE": str(self.identities_file or ""),
            "BRIDGE_RECORDINGS_S3": "" if self.s3 is None else self.s3.model_dump_json(),
        }

    @model_validator(mode="after")
    def _encrypt_what_is_shipped(self) -> Self:
        if self.s3 is not None and self.recipients_file is None:
            raise ValueError("has s3 and no recipients_file: only encrypted recordings are shipped")
        return self
