"""Hashes passwords by argon2id, one at a time in a thread of its own, and refuses weak ones."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bridge.errors import BridgeError

T = TypeVar("T")

MIN_LENGTH, MAX_LENGTH = 12, 256
"""Length is what counts (NIST SP 800-63B 5.1.1.2); argon2 takes time with what is very long."""

_MAX_WAITING = 16

_LEAST_GUESSES_LOG10 = 8.0
"""A guesser who has tried so many times has tried every password of the leaked lists, with the
usual endings and swaps (zxcvbn; Wheeler, USENIX Security 2016)."""

_ESTIMATED_LENGTH = 72
"""Of a longer password the rest is not looked at: the estimate takes time, and is good enough."""


class TooBusyError(BridgeError):
    """More passwords wait than one thread checks in a second or two."""


class Passwords:
    """Hashes and checks passwords.

    argon2id with 19 MiB, two passes and one lane (OWASP Password Storage Cheat Sheet): some 40 ms
    of one core, without the interpreter's lock. More would be at the cost of calls: memory that a
    guesser fills is bandwidth that audio waits for. One thread, so that whoever tries many
    passwords gets one core at most.

    Args:
        hasher: another one, for tests.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="argon2")
        self._waiting = 0
        self._nobodys = ""

    async def hash(self, password: str) -> str:
        """Return what to keep of a password.

        Raises:
            TooBusyError: too many wait.
        """
        return await self._in_turn(lambda: self._hasher.hash(password))

    async def weakness(self, password: str, name: str) -> str:
        """Return why a password is refused, "" where it is not.

        Common and leaked passwords, their variations, and what the user's name gives away (NIST SP
        800-63B section 5.1.1.2).

        Raises:
            TooBusyError: too many wait.
        """
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            return f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters"
        return await self._in_turn(lambda: _weakness(password, name))

    async def verify(self, kept: str, password: str) -> bool:
        """Return whether a password is the one.

        Args:
            kept: of :meth:`hash`; "" for a user who does not exist, which takes as long.
            password: what was typed.

        Raises:
            TooBusyError: too many wait.
        """
        return await self._in_turn(lambda: self._verify(kept, password))

    def close(self) -> None:
        """End the thread once it has nothing to do."""
        self._thread.shutdown(wait=False)

    def _verify(self, kept: str, password: str) -> bool:
        if not self._nobodys:
            self._nobodys = self._hasher.hash("nobody's")
        try:
            self._hasher.verify(kept or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return bool(kept)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MAX_WAITING:
            raise TooBusyError("too many sign-ins at once", remedy="try again", retryable=True)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1


def _weakness(password: str, name: str) -> str:
    from zxcvbn import zxcvbn  # 50 ms of lists, for the few times that somebody chooses one

    looked_at = password[:_ESTIMATED_LENGTH]
    found = zxcvbn(looked_at, user_inputs=[name], max_length=_ESTIMATED_LENGTH)
    if found["guesses_log10"] >= _LEAST_GUESSES_LOG10:
        return ""
    why = found["feedback"]["warning"] or "It is easy to guess."
    return f"{why} Leaked lists have such passwords: take a sentence of your own."
