"""The rollouts through the OpenFeature SDK: the same answer as a call gets."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from bridge.app.openfeature_provider import RolloutProvider, flags_from_files
from bridge.app.rollouts.files import RolloutFiles
from bridge.config.settings import Settings
from bridge.routing.rollout.draw import choose, targeting_key
from bridge.routing.rollout.state import RolloutState

SECRET = b"a secret for tests"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "arms": {"old": {"url": "ws://a"}, "new": {"url": "ws://b"}},
            "rollouts": {"f": {"control": "old", "treatment": "new"}},
            "state_dir": tmp_path,
        }
    )


@pytest.fixture
def client(settings: Settings) -> OpenFeatureClient:
    RolloutFiles(settings.state_dir).write("f", RolloutState(version=4, share=500))
    api.set_provider(RolloutProvider(flags_from_files(settings), SECRET), domain="test")
    return api.get_client(domain="test")


def test_callers_get_the_arm_that_their_calls_get(client: OpenFeatureClient) -> None:
    weights = {"old": 500, "new": 500}
    for number in range(50):
        caller = f"+1555{number:04}"
        details = client.get_string_details("f", "none", EvaluationContext(caller))
        assert details.value == choose(targeting_key(SECRET, caller, ""), "f", "", weights)
        assert (details.variant, details.reason) == (details.value, Reason.SPLIT)
        assert details.flag_metadata["version"] == "4"


def test_no_ai_gives_the_default(client: OpenFeatureClient, settings: Settings) -> None:
    off = replace(RolloutState(version=5), ai_off=True)
    RolloutFiles(settings.state_dir).write("f", off)
    details = client.get_string_details("f", "person", EvaluationContext("+1555"))
    assert (details.value, details.reason) == ("person", Reason.DISABLED)


@pytest.mark.parametrize(
    ("flag", "caller", "code"),
    [
        ("g", "+1555", ErrorCode.FLAG_NOT_FOUND),
        ("f", None, ErrorCode.TARGETING_KEY_MISSING),
    ],
)
def test_what_cannot_be_said_is_the_default_and_an_error(
    client: OpenFeatureClient, flag: str, caller: str | None, code: ErrorCode
) -> None:
    details = client.get_string_details(flag, "default", EvaluationContext(caller))
    assert (details.value, details.error_code) == ("default", code)


def test_an_arm_is_no_number(client: OpenFeatureClient) -> None:
    details = client.get_integer_details("f", 7, EvaluationContext("+1555"))
    assert (details.value, details.error_code) == (7, ErrorCode.TYPE_MISMATCH)


@pytest.mark.parametrize(
    ("module", "ends_with"),
    [
        ("bridge.app.gateway", ""),
        (
            "bridge.app.openfeature_provider",
            "needs openfeature-sdk, which is not installed; "
            "pip install 'telephony-bridge[openfeature]'",
        ),
    ],
)
def test_only_the_provider_needs_the_sdk(module: str, ends_with: str) -> None:
    without_sdk = f"import sys; sys.modules['openfeature'] = None; import {module}"
    ended = subprocess.run(
        [sys.executable, "-c", without_sdk], capture_output=True, text=True, check=False
    )
    assert (ended.returncode == 0) == (ends_with == "")
    assert ended.stderr.strip().endswith(ends_with)
