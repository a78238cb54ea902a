"""The images that nightly tests look over and run, built once for all of them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.images import BASE, Built, Storage
from tests.support.programs import need_program


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    need_program("buildah", "buildah")
    need_program("mmdebstrap", "mmdebstrap")
    kept = os.environ.get("IMAGE_STORAGE")
    storage = Storage(Path(kept) if kept else tmp_path_factory.mktemp("storage"))
    for target in ("gateway", "edge"):
        base = BASE if BASE in storage.buildah("images") else "mmdebstrap"
        done = storage.build("--base", base, "--target", target)
        assert done.returncode == 0, done.stderr[-4000:]
    return storage


@pytest.fixture(scope="session")
def gateway(storage: Storage) -> Iterator[Built]:
    with storage.mounted("telephony-bridge") as built:
        yield built


@pytest.fixture(scope="session")
def edge(storage: Storage) -> Iterator[Built]:
    with storage.mounted("telephony-bridge-edge") as built:
        yield built
