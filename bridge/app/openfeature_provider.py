"""The rollouts as an OpenFeature provider, for tools beside the bridge (a CRM, a test bench).

    from openfeature import api
    api.set_provider(RolloutProvider(flags_from_files(settings), secret))
    details = api.get_client().get_string_details(
        "new-model", "", EvaluationContext("+15550100", {"route": "support"}))

The value is an arm's name; the targeting key is the caller's number, which only its HMAC leaves.
Attributes: ``called``, ``route``, ``trunk``. The answer is the one that a call would get by the
same state (:mod:`bridge.routing.rollout.decision`), but for caps, which know of a node's own calls
alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from bridge.app.rollouts.files import RolloutFiles
from bridge.app.rollouts.in_force import PROVIDER
from bridge.config.settings import Settings
from bridge.errors import ConfigError
from bridge.routing.numbers import normalise_called, shown_number
from bridge.routing.rollout.decision import CallFacts, decide
from bridge.routing.rollout.draw import targeting_key
from bridge.routing.rollout.flag import Flag
from bridge.routing.rollout.state import RolloutState, flag_of

try:
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.exception import ErrorCode
    from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
    from openfeature.provider import AbstractProvider, Metadata
except ModuleNotFoundError as error:
    raise ConfigError(
        "the OpenFeature provider needs openfeature-sdk, which is not installed",
        remedy="pip install 'telephony-bridge[openfeature]'",
    ) from error

_T = TypeVar("_T")

Flags = Callable[[str], Flag | None]
"""Returns a flag as it stands now; None where there is none of the name."""


def flags_from_files(settings: Settings) -> Flags:
    """Return the flags as a node of this machine last knew them; each look reads its file."""
    files = RolloutFiles(settings.state_dir)

    def find(name: str) -> Flag | None:
        plan = settings.rollouts.get(name)
        return None if plan is None else flag_of(name, plan, files.read(name) or RolloutState())

    return find


class RolloutProvider(AbstractProvider):
    """Answers which arm a caller gets.

    Args:
        flags: where they are looked up.
        secret: the key that callers are drawn with.
    """

    def __init__(self, flags: Flags, secret: bytes) -> None:
        super().__init__()
        self._flags = flags
        self._secret = secret

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata(name=PROVIDER)

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        """Return the arm that a caller gets; the default where no AI would take the call."""
        flag = self._flags(flag_key)
        if flag is None:
            return _failed(default_value, ErrorCode.FLAG_NOT_FOUND, f"no rollout '{flag_key}'")
        given = evaluation_context or EvaluationContext()
        if not given.targeting_key:
            return _failed(default_value, ErrorCode.TARGETING_KEY_MISSING, "who calls?")
        number = shown_number(given.targeting_key)
        words = {name: str(given.attributes.get(name, "")) for name in ("called", "route", "trunk")}
        decision = decide(
            flag,
            CallFacts(
                key=targeting_key(self._secret, number, given.targeting_key),
                caller=number,
                called=normalise_called(words["called"]),
                route=words["route"],
                trunk=words["trunk"],
            ),
        )
        return FlagResolutionDetails(
            value=decision.arm or default_value,
            variant=decision.arm,
            reason=Reason(decision.reason.value),
            flag_metadata={"version": str(decision.version), "flagSetId": PROVIDER},
        )

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Refuse: an arm is a string."""
        return _mismatch(default_value)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        """Refuse: an arm is a string."""
        return _mismatch(default_value)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """Refuse: an arm is a string."""
        return _mismatch(default_value)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """Refuse: an arm is a string."""
        return _mismatch(default_value)


def _mismatch(default: _T) -> FlagResolutionDetails[_T]:
    return _failed(default, ErrorCode.TYPE_MISMATCH, "a rollout's value is an arm's name")


def _failed(default: _T, code: ErrorCode, why: str) -> FlagResolutionDetails[_T]:
    return FlagResolutionDetails(
        value=default, error_code=code, error_message=why, reason=Reason.ERROR
    )
