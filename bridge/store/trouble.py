"""Diagnoses what keeps Redis away: words for the log and the operator, a label for metrics.

A client sees little of some causes: a Redis without TLS waits for more when it gets a handshake,
one with TLS hangs up on a command. :func:`diagnose` then asks the port in the other way.
"""

import asyncio
import enum
import os
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.descriptors import out_of_descriptors
from bridge.store.address import RedisAddress, UnreadableCredentialError
from bridge.store.redis_py import redis_errors

_UNAUTHENTICATED = "unauthenticated"
"""In what Redis says, beside NOAUTH, to a long command of somebody who gave no password."""

TRANSIENT_CODE = re.compile(rf"\b(?:BUSY|MISCONF|NOREPLICAS|OOM|READONLY|{_UNAUTHENTICATED})\b")
"""Errors that Redis takes back by itself, or a person mends: what was to be written waits.

One inside a script has its code within the text."""

_NO_FILE = "can't be trusted: a file that the URL names is missing"
_URL = "BRIDGE_REDIS_URL (redis.url)"


class Trouble(enum.StrEnum):
    """Why Redis takes nothing; a metric label."""

    UNREACHABLE = "unreachable"
    SILENT = "silent"
    NO_MASTER = "no_master"
    PASSWORD_REFUSED = "password_refused"
    NOT_PERMITTED = "not_permitted"
    CREDENTIAL_FILE = "credential_file"
    CERTIFICATE = "certificate"
    CLIENT_CERTIFICATE = "client_certificate"
    TLS_WANTED = "tls_wanted"
    TLS_NOT_SPOKEN = "tls_not_spoken"
    NO_SUCH_DATABASE = "no_such_database"
    NOT_REDIS = "not_redis"
    LOADING = "loading"
    REFUSING = "refusing"
    NO_DESCRIPTORS = "no_descriptors"


REMEDIES = {
    Trouble.UNREACHABLE: f"start it, or correct {_URL}",
    Trouble.SILENT: f"look at its load and at firewalls, or correct {_URL}",
    Trouble.PASSWORD_REFUSED: f"put the user and password that it has now into {_URL}",
    Trouble.NOT_PERMITTED: f"let the user of {_URL} run all commands on the keys of redis.prefix",
    Trouble.NO_MASTER: "wait for Sentinel to choose another, or correct the master's name in"
    f" {_URL}: `redis-cli -p 26379 sentinel masters` lists them",
    Trouble.CREDENTIAL_FILE: f"correct password_file and username_file in {_URL}: each holds the"
    " value alone, and this user can read it",
    Trouble.CERTIFICATE: "add ?ssl_ca_certs=FILE with the authority that signed it to"
    f" {_URL}, and name the host that it was made for",
    Trouble.CLIENT_CERTIFICATE: "add &ssl_certfile=FILE&ssl_keyfile=FILE, signed by an authority"
    f" that it trusts, to {_URL}",
    Trouble.TLS_WANTED: f"write rediss:// in {_URL}",
    Trouble.TLS_NOT_SPOKEN: f"name its TLS port in {_URL}, or write redis:// there",
    Trouble.NO_SUCH_DATABASE: f"write one that it has in {_URL}, such as /0",
    Trouble.NOT_REDIS: f"correct the port in {_URL}",
    Trouble.LOADING: "wait",
    Trouble.REFUSING: "look at its log: memory, disk, replicas",
    Trouble.NO_DESCRIPTORS: "raise the limit of open files (LimitNOFILE, ulimit -n)",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong; ``says`` goes behind "Redis at HOST:PORT"."""

    trouble: Trouble
    says: str

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES[self.trouble]


_NO_PASSWORD = Diagnosis(Trouble.PASSWORD_REFUSED, "wants a password, and was given none")


async def diagnose(
    error: Exception, address: RedisAddress, timeout_s: float, *, answered: bool
) -> Diagnosis:
    """Return what an error of redis-py, or of the system, means.

    Args:
        error: what was raised.
        address: of the Redis.
        timeout_s: what a round trip may take; asking once more takes as long at most.
        answered: this Redis has answered before, so the way in which it is asked is the right one.
    """
    found = _of(error, timeout_s)
    if found.trouble is Trouble.NO_SUCH_DATABASE:
        return Diagnosis(found.trouble, f"has no database {address.database}")
    if address.tls and isinstance(_system_error(error), FileNotFoundError):
        return Diagnosis(Trouble.CERTIFICATE, _NO_FILE)
    doubtful = found.trouble in (Trouble.SILENT, Trouble.UNREACHABLE, Trouble.NOT_REDIS)
    if not doubtful or isinstance(_system_error(error), ConnectionRefusedError):
        return found
    if address.master or not address.places:
        return found  # which server it was only redis-py knows; a socket speaks no TLS
    [place] = address.places
    # A long command of one who gave no password costs the connection, and often the answer.
    cut_off = found.trouble is Trouble.UNREACHABLE and not address.tls
    if cut_off and (await _say_ping(place, timeout_s)).startswith(b"-NOAUTH"):
        return _NO_PASSWORD
    if answered:
        return found
    if address.tls and (await _say_ping(place, timeout_s)).startswith((b"+", b"-")):
        says = "speaks no TLS, which rediss:// asks for"
        return Diagnosis(Trouble.TLS_NOT_SPOKEN, says)
    # By TLS 1.3 a client's certificate is judged after the handshake.
    hung_up = found.trouble is Trouble.UNREACHABLE and address.tls
    if hung_up and await _speaks_tls(place, timeout_s):
        says = "hangs up after the handshake: it has no certificate of ours, or mistrusts it"
        return Diagnosis(Trouble.CLIENT_CERTIFICATE, says)
    if not address.tls and await _speaks_tls(place, timeout_s):
        return Diagnosis(Trouble.TLS_WANTED, "takes connections with TLS alone")
    return found


def diagnose_sentinels(answers: Sequence[object], timeout_s: float) -> Diagnosis:
    """Return why Sentinels named no master.

    Args:
        answers: of each to PING, or the error that came in its place.
        timeout_s: what a round trip may take.
    """
    errors = [each for each in answers if isinstance(each, Exception)]
    if len(errors) < len(answers):
        return Diagnosis(Trouble.NO_MASTER, "has no server that its Sentinels take for its master")
    found = _of(errors[0], timeout_s)
    return Diagnosis(found.trouble, f"can't be found: each of its Sentinels {found.says}")


def _of(error: Exception, timeout_s: float) -> Diagnosis:
    cause = _system_error(error)
    if isinstance(cause, ssl.SSLError) and (unfit := _of_certificates(cause)) is not None:
        return unfit
    if out_of_descriptors(error):
        says = "can't be reached (this process has no file descriptor left)"
        return Diagnosis(Trouble.NO_DESCRIPTORS, says)
    match error:
        case TimeoutError() | redis_errors.TimeoutError():
            return Diagnosis(Trouble.SILENT, f"did not answer within {timeout_s:g} s")
        case UnreadableCredentialError():
            says = f"can't be signed in to ({error})"
            return Diagnosis(Trouble.CREDENTIAL_FILE, says)
        case redis_errors.AuthenticationError():
            return Diagnosis(Trouble.PASSWORD_REFUSED, "refused the user or the password")
        case redis_errors.BusyLoadingError():
            return Diagnosis(Trouble.LOADING, "is still loading its data")
        case redis_errors.NoPermissionError():
            return Diagnosis(Trouble.NOT_PERMITTED, "does not permit its user what is needed")
        case redis_errors.ResponseError() if _UNAUTHENTICATED in str(error):
            return _NO_PASSWORD
        case redis_errors.ResponseError() if "DB index" in str(error):
            return Diagnosis(Trouble.NO_SUCH_DATABASE, "has no such database")
        case redis_errors.ResponseError():
            return Diagnosis(Trouble.REFUSING, f"answered with the error {error_code(error)}")
        case redis_errors.InvalidResponse():
            return Diagnosis(Trouble.NOT_REDIS, "answered, but not as a Redis server does")
        case _:
            return Diagnosis(Trouble.UNREACHABLE, f"can't be reached ({_words(cause)})")


def _of_certificates(cause: ssl.SSLError) -> Diagnosis | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        says = f"shows a certificate that is not trusted ({cause.verify_message.rstrip('.')})"
        return Diagnosis(Trouble.CERTIFICATE, says)
    if cause.reason == "KEY_VALUES_MISMATCH":
        says = "can't be shown our certificate: ssl_keyfile is another one's key"
        return Diagnosis(Trouble.CLIENT_CERTIFICATE, says)
    return None


def error_code(error: Exception) -> str:
    """Return the code of an error reply, or redis-py's class where it strips the code."""
    if isinstance(error, redis_errors.NoScriptError):
        return "NOSCRIPT"
    if isinstance(error, redis_errors.ReadOnlyError):
        return "READONLY"
    if code := TRANSIENT_CODE.search(str(error)):
        return code.group()
    first_word = str(error).partition(" ")[0]
    return first_word if first_word.isupper() else type(error).__name__


def _system_error(error: BaseException | None) -> OSError | None:
    """Return the operating system's error, the first in the chain that has a number."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__ or error.__context__
    return None


def _words(cause: OSError | None) -> str:
    if cause is None or cause.errno is None:
        return "the connection was lost"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason or 'no handshake'}".lower().replace("_", " ")
    return os.strerror(cause.errno).lower() if cause.errno > 0 else "name not resolved"


async def _say_ping(place: tuple[str, int], within_s: float) -> bytes:
    """Return what a Redis answers in the clear, b"" for nothing; no secret is sent."""
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(*place)
            try:
                writer.write(b"PING\r\n")
                return await reader.readline()
            finally:
                writer.close()
    except (OSError, ValueError):  # TimeoutError is one; ValueError: a line without an end
        return b""


async def _speaks_tls(place: tuple[str, int], within_s: float) -> bool:
    """Return whether a TLS handshake can be had; whose the certificate is does not matter here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(within_s):
            _, writer = await asyncio.open_connection(*place, ssl=context)
    except OSError:  # ssl.SSLError and TimeoutError are
        return False
    writer.close()
    return True
