"""Hashes secret tokens, so that Redis never holds one."""

import hashlib


def digest(token: str) -> str:
    """Return what stands for a random token: its SHA-256, hex."""
    return hashlib.sha256(token.encode()).hexdigest()
