"""Every test here fails if it leaves a task behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest


@pytest.fixture(autouse=True)
async def no_leaked_tasks() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    here = asyncio.current_task()
    leaked = [task.get_name() for task in asyncio.all_tasks() - before if task is not here]
    assert not leaked
