"""Dialplans as a replay's own gateway gets them. Pure.

Every line leads to the arm under test, and no webhook leads out: each tool is answered by a mock.
Who is dialled at ``replay.invalid`` is another line of the same gateway: so a dialplan can be the
person that callers are put through to.
"""

from collections.abc import Iterator, Mapping

ARM = "replay"
"""The only arm of the gateway."""

_ITSELF = "@replay.invalid"
"""Never resolves (RFC 2606 section 2), so that it is dialled nowhere else."""

_SECRETS = ("secret_env", "authorization_env")


def stage(dialplan: Mapping[str, object], mocks_url: str, sip: str) -> dict[str, object]:
    """Return a dialplan, as read from its file, for the replay's gateway.

    Args:
        dialplan: the document.
        mocks_url: the tool mocks; a tool's own is below it.
        sip: the gateway's own ``host:port``.
    """
    staged = {key: _led_back(value, mocks_url, sip) for key, value in dialplan.items()}
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


def _led_back(value: object, mocks_url: str, sip: str) -> object:
    """Return a part of a dialplan that leads nowhere outside."""
    match value:
        case str():
            return value.replace(_ITSELF, f"@{sip}")
        case list():
            return [_led_back(each, mocks_url, sip) for each in value]
        case dict():
            kept = {key: _led_back(each, mocks_url, sip) for key, each in value.items()}
            webhook = kept.get("webhook")
            if isinstance(webhook, dict):
                url = f"{mocks_url}/{kept['name']}"
                kept["webhook"] = {**webhook, "url": url, "allow_private": True}
            return {key: each for key, each in kept.items() if key not in _SECRETS}
        case _:
            return value
