"""A bucket of S3-compatible storage, in which shipped recordings are. Everything here blocks.

What was put is believed to be there only once its SHA-256 was compared: with the one that the
storage computed (`x-amz-checksum-sha256`), or where it computes none, with what it gives back.
"""

import base64
import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bridge.config.archive import BucketSettings
from bridge.config.secret_places import read_secret
from bridge.errors import ConfigError, InfrastructureError
from bridge.recordings.notes import RecordingNote

_CONNECT_WITHIN_S, _ANSWER_WITHIN_S = 5.0, 30.0
_PIECE_BYTES = 256 * 1024
_GONE = frozenset({"404", "NoSuchKey"})

_REMEDIES: Mapping[str, str] = {
    "NoSuchBucket": "make the bucket, or correct recordings.s3.bucket",
    "AccessDenied": "the key must be allowed PutObject, GetObject and DeleteObject in the bucket",
    "403": "the key must be allowed PutObject, GetObject and DeleteObject in the bucket",
    "InvalidAccessKeyId": "correct recordings.s3.access_key_id",
    "SignatureDoesNotMatch": "correct recordings.s3.secret_access_key",
    "RequestTimeTooSkewed": "set this machine's clock: it and the storage's are too far apart",
    "SlowDown": "nothing is to be done: it is tried again, slower",
}
"""What helps against an error of the storage's, by its code; the rest has its own words."""


class BucketError(InfrastructureError):
    """The storage can't be reached, refuses, or does not have what it said that it took."""


def check_bucket(settings: BucketSettings, environ: Mapping[str, str]) -> None:
    """Check before any call is taken that the storage can be asked; it is not asked.

    Raises:
        ConfigError: the library is missing, or a key can't be read.
    """
    if importlib.util.find_spec("boto3") is None:
        raise ConfigError(
            "recordings.s3 is set, and the library for it is not installed",
            remedy="pip install 'telephony-bridge[s3]'",
        )
    _secret(settings, environ)


class RecordingBucket:
    """The bucket of the settings.

    Args:
        settings: of it.
        environ: may hold the secret key.

    Raises:
        ConfigError: as :func:`check_bucket`.
    """

    def __init__(self, settings: BucketSettings, environ: Mapping[str, str]) -> None:
        check_bucket(settings, environ)
        self._settings = settings
        self._client = _connect(settings, _secret(settings, environ))

    def key_of(self, call_id: str) -> str:
        """Return the key under which a call's recording is put."""
        return f"{self._settings.prefix}{call_id}.wav.age"

    @property
    def name(self) -> str:
        """The bucket's name."""
        return self._settings.bucket

    def put(self, path: Path, note: RecordingNote) -> None:
        """Put an encrypted recording there, and check that it is.

        Args:
            note: of it, with its place.

        Raises:
            BucketError: it can't be put, or what is there is something else.
            OSError: the file can't be read.
        """
        sha256 = base64.b64encode(bytes.fromhex(note.sha256)).decode()
        with path.open("rb") as file, _explained(f"{note.key} can't be put into {note.bucket}"):
            self._client.put_object(
                Bucket=note.bucket,
                Key=note.key,
                Body=file,
                ContentLength=note.size_bytes,
                ContentMD5=_md5(path),
                ChecksumSHA256=sha256,
            )
        self.check(note)

    def check(self, note: RecordingNote) -> None:
        """Check that a recording is there as its note has it.

        Raises:
            BucketError: it is not, or can't be asked for.
        """
        with _explained(f"{note.key} in {note.bucket} can't be checked"):
            found = self._client.head_object(
                Bucket=note.bucket, Key=note.key, ChecksumMode="ENABLED"
            )
            stated = found.get("ChecksumSHA256")
            sha256 = self._read_sha256(note) if stated is None else base64.b64decode(stated).hex()
        size_bytes = found.get("ContentLength")
        if (size_bytes, sha256) != (note.size_bytes, note.sha256):
            raise BucketError(
                f"{note.key} in {note.bucket} is not what was put there: {size_bytes} bytes"
                f" with SHA-256 {sha256}, and {note.size_bytes} with {note.sha256} were put",
                remedy="it is put again; if that goes on, the storage, or a proxy before it, is"
                " broken",
            )

    def get(self, note: RecordingNote, output: BinaryIO) -> None:
        """Fetch a recording.

        Raises:
            BucketError: it can't be had, or is not what was put there.
            OSError: the output refused; what it got by then is worth nothing.
        """
        digest = hashlib.sha256()
        for piece in self._pieces(note):
            digest.update(piece)
            output.write(piece)
        if digest.hexdigest() != note.sha256:
            raise BucketError(
                f"{note.key} in {note.bucket} is not what was put there",
                remedy="take an earlier version of it, or a backup",
            )

    def delete(self, note: RecordingNote) -> None:
        """Delete a recording there; one that is gone is fine.

        Raises:
            BucketError: it can't be deleted.
        """
        with _explained(f"{note.key} in {note.bucket} can't be deleted"):
            self._client.delete_object(Bucket=note.bucket, Key=note.key)

    def _read_sha256(self, note: RecordingNote) -> str:
        digest = hashlib.sha256()
        for piece in self._pieces(note):
            digest.update(piece)
        return digest.hexdigest()

    def _pieces(self, note: RecordingNote) -> Iterator[bytes]:
        with _explained(f"{note.key} in {note.bucket} can't be read"):
            found = self._client.get_object(Bucket=note.bucket, Key=note.key)
            yield from found["Body"].iter_chunks(_PIECE_BYTES)


def _connect(settings: BucketSettings, secret: str | None) -> Any:  # boto3 has no types
    # Here: the gateway, which ships nothing itself, is spared 50 MB.
    import boto3
    from botocore.config import Config

    given: dict[str, Any] = {}  # Any: what boto3's session takes
    if settings.access_key_id is not None:
        given = {"aws_access_key_id": settings.access_key_id, "aws_secret_access_key": secret}
    client = boto3.session.Session(region_name=settings.region, **given).client(
        "s3",
        endpoint_url=settings.endpoint,
        verify=None if settings.ca_file is None else str(settings.ca_file),
        config=Config(
            connect_timeout=_CONNECT_WITHIN_S,
            read_timeout=_ANSWER_WITHIN_S,
            retries={"total_max_attempts": 1},  # it is tried again by us, slower and slower
            s3={"addressing_style": "auto" if settings.endpoint is None else "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    # The library asks this to follow a redirect, and if that is redirected, without end.
    client.meta.events.register("before-call.s3.HeadBucket", _refuse_redirect)
    return client


def _refuse_redirect(**_: object) -> None:
    raise BucketError(
        "the storage redirects to another place, which gets no recording",
        remedy="correct recordings.s3.endpoint and region",
    )


def _secret(settings: BucketSettings, environ: Mapping[str, str]) -> str | None:
    if settings.secret_access_key is None:
        return None
    place = "recordings.s3.secret_access_key"
    return read_secret(settings.secret_access_key, place, "secret key", environ)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        # Against what a network does, not against people: SHA-256 is for those.
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return base64.b64encode(digest.digest()).decode()


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what the library raises in the block into one line with a remedy."""
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        said = str(error.response.get("Error", {}).get("Message", ""))[:200]
        raise BucketError(
            f"{what}: {code} {said}".strip(),
            remedy=_REMEDIES.get(code, "see what the storage says of it"),
        ) from error
    except (ConnectionError, HTTPClientError) as error:
        raise BucketError(
            f"{what}: {error}", remedy="check recordings.s3.endpoint, and whether it is reached"
        ) from error
    except BotoCoreError as error:
        raise BucketError(f"{what}: {error}", remedy="check recordings.s3") from error
    except (ResponseParserError, ValueError) as error:  # of sums, sizes and dates it can't read
        raise BucketError(
            f"{what}: its answer can't be read: {str(error)[:200]}",
            remedy="check that recordings.s3.endpoint is S3-compatible storage",
        ) from error
