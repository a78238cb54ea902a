"""The standard library's ``audioop``.

It left the standard library in Python 3.13; ``audioop-lts`` brings the same module back.
"""

import warnings

with warnings.catch_warnings():
    # Python 3.11 and 3.12 announce the removal on import; under -W error that would be fatal.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop as audioop  # noqa: PLC0414 (mypy: what is imported here is meant for others)
