"""Settings of the archive, which encrypts the recordings of calls that are over."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class RecordingsSettings(BaseModel):
    """The archive of recordings, once their calls are over ([how](RECORDINGS.md)).

    Attributes:
        recipients_file: public keys of age (`age1...`), one a line; recordings are encrypted to all
            of them, and any one's identity opens them. None leaves recordings as they are.
        identities_file: secret keys of age, with which this node's console plays encrypted
            recordings and makes scripts of them. None: it can't, and says so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipients_file: Path | None = None
    identities_file: Path | None = None
