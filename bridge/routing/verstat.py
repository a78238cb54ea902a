"""What is known about the truth of a caller's number (STIR/SHAKEN)."""

import enum


class Verstat(enum.StrEnum):
    """Attestation of a verified signature, or what became of it (RFC 8224, ATIS-1000074)."""

    A = "A"
    B = "B"
    C = "C"
    PASSED = "passed"
    FAILED = "failed"
    NONE = "none"
