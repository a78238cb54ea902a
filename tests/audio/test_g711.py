"""G.711: exact bytes, and what a round trip loses."""

import subprocess
import sys

import numpy as np
import pytest

from bridge.audio import g711
from bridge.audio.g711 import Law
from tests.audio.signals import tone


@pytest.mark.parametrize(
    ("law", "payload", "samples"),
    [
        (Law.PCMU, b"\xff\x7f\x00\x80", [0, 0, -32124, 32124]),
        (Law.PCMA, b"\xd5\x55\x2a\xaa", [8, -8, -32256, 32256]),
    ],
)
def test_decoding_gives_the_values_of_the_standard(
    law: Law, payload: bytes, samples: list[int]
) -> None:
    decoded = g711.decode(law, payload)
    assert decoded.dtype == np.int16
    assert decoded.tolist() == samples
    assert decoded.flags.writeable


@pytest.mark.parametrize(("law", "silence"), [(Law.PCMU, 0xFF), (Law.PCMA, 0xD5)])
def test_silence_encodes_to_the_idle_code(law: Law, silence: int) -> None:
    assert g711.encode(law, np.zeros(160, np.int16)) == bytes([silence]) * 160


@pytest.mark.parametrize("law", Law)
def test_every_code_survives_decoding_and_encoding(law: Law) -> None:
    codes = bytes(range(256))
    again = g711.encode(law, g711.decode(law, codes))
    # mu-law has two codes for zero.
    assert sum(a != b for a, b in zip(codes, again, strict=True)) <= (law is Law.PCMU)


@pytest.mark.parametrize("law", Law)
def test_round_trip_keeps_thirty_five_decibels(law: Law) -> None:
    x = tone(1000, 8_000, 8_000)
    error = g711.decode(law, g711.encode(law, x)).astype(np.float64) - x
    assert 10 * np.log10(np.mean(x.astype(np.float64) ** 2) / np.mean(error**2)) > 35


def test_a_strided_array_encodes_as_its_samples() -> None:
    x = tone(440, 8_000, 320)
    assert g711.encode(Law.PCMU, x[::2]) == g711.encode(Law.PCMU, x[::2].copy())


def test_another_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="int16 expected"):
        g711.encode(Law.PCMU, np.zeros(4, np.int32))


def test_import_survives_warnings_as_errors() -> None:
    command = [sys.executable, "-W", "error", "-c", "import bridge.audio.g711"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
