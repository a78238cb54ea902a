import ast
import inspect
from types import ModuleType

import pytest

from bridge.errors import ConfigError, Fault, ProtocolError, TelephonyError, UpstreamError
from bridge.realtime.event_values import ApiError, ResponseStatus
from bridge.realtime.events import ResponseDone
from bridge.realtime.failures import (
    DEFAULTS,
    TABLE,
    Cure,
    Failure,
    Layer,
    Place,
    classify,
    classify_event,
    classify_response,
    classify_tool,
)
from bridge.realtime.ids import ResponseId
from bridge.session import failures as session_failures
from bridge.session import tokens


def lost(code: str, close_code: int | None = None, *, key_is_fresh: bool = False) -> Failure:
    error = UpstreamError("the session is gone", code=code, close_code=close_code)
    return classify(error, key_is_fresh=key_is_fresh)


def reported(code: str | None, kind: str = "invalid_request_error") -> Failure:
    return classify_event(ApiError(kind, "words", code))


def response_done(status: ResponseStatus, error_code: str | None = None) -> Failure | None:
    return classify_response(ResponseDone(ResponseId("r"), status, error_code=error_code))


@pytest.mark.parametrize("code", [1001, 1005, 1006, 1011, 1012, 1013, 1015])
def test_closes_on_which_the_official_sdk_reconnects_are_blips(code: int) -> None:
    failure = lost("closed", code)
    assert failure.code == f"close_{code}"
    assert (failure.layer, failure.cure) == (Layer.CONNECTION, Cure.RECONNECT)
    assert failure.retryable
    assert not failure.permanent


@pytest.mark.parametrize("word", ["timeout", "refused", "unreachable", "dns", "stalled", "stuck"])
def test_transport_words_are_blips(word: str) -> None:
    assert lost(word).cure is Cure.RECONNECT


@pytest.mark.parametrize("code", ["http_401", "http_403", "invalid_api_key", "session_expired"])
def test_session_layer_failures_ask_for_a_new_session(code: str) -> None:
    assert lost(code).cure is Cure.RENEW
    assert lost(code).retryable
    assert not lost(code).permanent


@pytest.mark.parametrize("code", ["http_401", "http_403", "invalid_api_key"])
def test_refusal_of_a_fresh_key_is_permanent(code: str) -> None:
    failure = lost(code, key_is_fresh=True)
    assert failure.code == code
    assert (failure.cure, failure.permanent, failure.fault) == (Cure.GIVE_UP, True, Fault.CONFIG)


def test_freshness_of_the_key_matters_for_its_refusal_alone() -> None:
    assert lost("session_expired", key_is_fresh=True).cure is Cure.RENEW
    assert lost("closed", 1006, key_is_fresh=True).cure is Cure.RECONNECT


@pytest.mark.parametrize(
    "code",
    [
        "beta_api_shape_disabled",
        "invalid_model",
        "missing_model",
        "http_404",
        "http_410",
        "insufficient_quota",
        "token_refused",
        "bad_url",
        "tls",
    ],
)
def test_permanent_refusals_are_not_tried_again(code: str) -> None:
    failure = lost(code)
    assert (failure.cure, failure.permanent, failure.retryable) == (Cure.GIVE_UP, True, False)
    assert failure.fault is Fault.CONFIG


def test_api_code_stands_above_the_close_code_that_follows_it() -> None:
    assert lost("beta_api_shape_disabled", 1000).permanent
    assert lost("session_expired", 1001).cure is Cure.RENEW


def test_refused_settings_stop_the_call_but_not_the_arm() -> None:
    failure = lost("unknown_parameter")
    assert (failure.cure, failure.permanent) == (Cure.GIVE_UP, False)


def test_broken_order_and_our_own_failures_ask_for_a_new_session() -> None:
    broken = classify(ProtocolError("an item that was never added"))
    assert (broken.code, broken.layer, broken.cure) == ("broken_order", Layer.PROTOCOL, Cure.RENEW)
    ours = classify(TelephonyError("nonsense"))
    assert (ours.code, ours.fault, ours.cure) == ("internal", Fault.BRIDGE, Cure.RENEW)
    persons = classify(ConfigError("a key that no header can hold"))
    assert (persons.code, persons.fault, persons.permanent) == ("config_error", Fault.CONFIG, True)


def test_limits_ask_for_a_longer_wait() -> None:
    assert lost("http_429").wait_ms >= 1_000
    failed = response_done(ResponseStatus.FAILED, "rate_limit_exceeded")
    assert failed is not None
    assert (failed.cure, failed.wait_ms) == (Cure.RETRY_RESPONSE, 1_000)


@pytest.mark.parametrize(
    ("code", "cure"),
    [("http_502", Cure.RECONNECT), ("http_418", Cure.GIVE_UP), ("http_302", Cure.GIVE_UP)],
)
def test_http_status_that_the_table_lacks_goes_by_its_class(code: str, cure: Cure) -> None:
    assert lost(code).cure is cure


def test_unknown_codes_fall_to_the_documented_defaults() -> None:
    for failure, place in (
        (lost("closed", 4321), Place.LOSS),
        (lost("never_seen"), Place.LOSS),
        (lost("http_x"), Place.LOSS),
        (reported("never_seen"), Place.ERROR_EVENT),
        (reported(None), Place.ERROR_EVENT),
        (response_done(ResponseStatus.FAILED), Place.RESPONSE),
        (classify_tool("never_seen"), Place.TOOL),
    ):
        assert failure is not None
        row = DEFAULTS[place]
        assert (failure.layer, failure.fault, failure.cure) == (row.layer, row.fault, row.cure)
    assert lost("closed", 4321).code == "close_4321"
    assert lost("never_seen").cure is Cure.RENEW


def test_errors_in_an_open_session_are_not_fatal_but_for_those_that_end_it() -> None:
    codes = {code for place, code in TABLE if place is Place.ERROR_EVENT}
    fatal = session_failures.CLOSING_ERRORS | {"insufficient_quota", "model_not_found"}
    assert codes > fatal
    goes_on = {code for code in codes if reported(code).cure in (Cure.NOTHING, Cure.RETRY_RESPONSE)}
    assert codes - fatal == goes_on


def test_late_cancel_is_nobodys_fault() -> None:
    failure = reported("response_cancel_not_active")
    assert (failure.fault, failure.cure) == (Fault.NONE, Cure.NOTHING)


def test_response_that_did_not_fail_is_no_failure() -> None:
    for status in ResponseStatus:
        assert (response_done(status, "server_error") is None) == (
            status is not ResponseStatus.FAILED
        )


def test_tools_are_never_run_again_by_themselves() -> None:
    assert all(
        row.layer is Layer.TOOL and row.cure is Cure.NOTHING
        for (place, _), row in TABLE.items()
        if place is Place.TOOL
    )


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        ("deadline", Fault.TOOL),
        ("http_503", Fault.TOOL),
        ("tool_execution_error", Fault.TOOL),
        ("unknown", Fault.PROVIDER),
        ("bad_arguments", Fault.PROVIDER),
        ("private_address", Fault.CONFIG),
        ("not_approved", Fault.CONFIG),
        ("not_taken", Fault.CARRIER),
        ("internal", Fault.BRIDGE),
        ("cancelled", Fault.NONE),
    ],
)
def test_tools_result_says_who_has_to_act(result: str, fault: Fault) -> None:
    failure = classify_tool(result)
    assert failure is not None
    assert (failure.code, failure.layer, failure.fault) == (result, Layer.TOOL, fault)


def test_tool_that_gave_its_output_did_not_fail() -> None:
    assert classify_tool("ok") is None


def test_permanent_always_means_give_up() -> None:
    for row in [*TABLE.values(), *DEFAULTS.values()]:
        assert row.cure is Cure.GIVE_UP or not row.permanent


def words_of(module: ModuleType) -> set[str]:
    """Constant codes that a module gives to its errors."""
    return {
        node.value
        for call in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(call, ast.Call)
        for node in [*call.args, *(each.value for each in call.keywords if each.arg == "code")]
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and (node in [each.value for each in call.keywords] or node.value.startswith("token_"))
    }


def test_every_word_of_the_session_layer_is_in_the_table() -> None:
    words = words_of(session_failures) | words_of(tokens)
    assert {"timeout", "dns", "stuck", "token_refused", "token_timeout"} <= words
    known = {code for place, code in TABLE if place is Place.LOSS}
    assert words <= known
    assert known >= session_failures.CLOSING_ERRORS
