"""Ports for programs that can't be asked which one they took."""

import pytest

from tests.support import ports


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


@pytest.fixture
def other_free_port() -> int:
    return ports.free_port()
