"""Ports for programs that can't be asked which one they took."""

import socket

import pytest


@pytest.fixture
def free_port() -> int:
    """An even UDP port that was free a moment ago, with the odd one above it."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if port % 2:
                continue
            return port


@pytest.fixture
def other_free_port(free_port: int) -> int:
    """Another one, with some room above it."""
    return free_port + 100 if free_port < 60_000 else free_port - 100
