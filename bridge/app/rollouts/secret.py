"""The secret that rollouts draw callers with and sign test headers with."""

from collections.abc import Mapping

from bridge.errors import ConfigError


def read_secret(variable: str, environ: Mapping[str, str]) -> bytes:
    """Return the key that callers are drawn with.

    Raises:
        ConfigError: it is not set, or too short to keep numbers from being guessed.
    """
    secret = environ.get(variable, "").strip().encode()
    if len(secret) < 16:
        raise ConfigError(
            f"the environment variable {variable} holds no key of 16 characters or more, and there"
            " are rollouts",
            remedy=f"export {variable} with a random secret, the same on every node",
        )
    return secret
