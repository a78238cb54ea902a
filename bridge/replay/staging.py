"""Dialplans as a replay's own gateway gets them. Pure.

Every line leads to the arm under test, and no webhook leads out: each tool is answered by a mock.
"""

from collections.abc import Iterator, Mapping

ARM = "replay"
"""The only arm of the gateway."""

_SECRETS = ("secret_env", "authorization_env")


def stage(dialplan: Mapping[str, object], mocks_url: str) -> dict[str, object]:
    """Return a dialplan, as read from its file, for the replay's gateway.

    Args:
        dialplan: the document.
        mocks_url: the tool mocks; a tool's own is below it.
    """
    staged = {key: _without_webhooks(value, mocks_url) for key, value in dialplan.items()}
    if "arm" in staged or "rollout" in staged:
        staged.pop("rollout", None)
        staged["arm"] = ARM
    return staged


def trunks_of(dialplan: Mapping[str, object]) -> Iterator[str]:
    """Yield the trunks that a dialplan's rules name."""
    rules = dialplan.get("match")
    for rule in rules if isinstance(rules, list) else []:
        named = rule.get("trunk") if isinstance(rule, dict) else None
        yield from [named] if isinstance(named, str) else named or []


def _without_webhooks(value: object, mocks_url: str) -> object:
    if isinstance(value, list):
        return [_without_webhooks(each, mocks_url) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _without_webhooks(each, mocks_url) for key, each in value.items()}
    webhook = kept.get("webhook")
    if isinstance(webhook, dict):
        kept["webhook"] = {**webhook, "url": f"{mocks_url}/{kept['name']}", "allow_private": True}
    return {key: each for key, each in kept.items() if key not in _SECRETS}
