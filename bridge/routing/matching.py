"""The choice of a dialplan for a called number: first matching rule, files by name."""

from collections.abc import Collection, Sequence
from pathlib import Path

from bridge.config.complaints import suggest
from bridge.config.yaml_source import load_yaml
from bridge.errors import ConfigError
from bridge.routing.models import Dialplan
from bridge.routing.numbers import covers, normalise_called, pattern_matches

_SUFFIXES = frozenset({".yaml", ".yml"})


def load_dialplans(directory: Path) -> tuple[Dialplan, ...]:
    """Read every dialplan of a directory, in the order of the file names.

    Returns:
        at least one dialplan, names all different, every rule reachable.

    Raises:
        ConfigError: bad files (all of them are told of), a name used twice, a rule that an earlier
            file hides, no dialplans at all.
    """
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix in _SUFFIXES)
    except OSError as error:
        raise ConfigError(
            f"the dialplans cannot be read: {error.strerror}",
            path=str(directory),
            remedy="set dialplans_dir or BRIDGE_DIALPLANS_DIR to the directory with the dialplans",
        ) from error
    if not paths:
        raise ConfigError(
            "there is no dialplan here",
            path=str(directory),
            remedy="put at least one .yaml file in it; dialplans/README.md teaches the format",
        )
    dialplans = _read_all(paths)
    _check_names(dialplans)
    _check_order(dialplans)
    return dialplans


def match(dialplans: Sequence[Dialplan], called: str) -> Dialplan | None:
    """Return the first dialplan with a rule for ``called``.

    Args:
        called: a SIP or tel URI, or its user part, in any spelling.

    Returns:
        None if no rule matches.
    """
    number = normalise_called(called)
    return next(
        (
            dialplan
            for dialplan in dialplans
            if any(pattern_matches(rule.called, number) for rule in dialplan.match)
        ),
        None,
    )


def check_arms(
    dialplans: Sequence[Dialplan], arms: Collection[str], rollouts: Collection[str] = ()
) -> None:
    """Check that every dialplan's arm, or flag, exists.

    Args:
        arms: the names of `Settings.arms` (the mapping itself will do).
        rollouts: those of `Settings.rollouts`.

    Raises:
        ConfigError: naming the arm or flag, the dialplan's line and those that exist.
    """
    for dialplan in dialplans:
        if dialplan.arm is not None:
            _check_known(dialplan, "arm", dialplan.arm, arms)
        if dialplan.rollout is not None:
            _check_known(dialplan, "rollout", dialplan.rollout, rollouts)


def _check_known(dialplan: Dialplan, key: str, name: str, known: Collection[str]) -> None:
    if name in known:
        return
    said = f"known {key}s: {', '.join(sorted(known))}" if known else f"no {key} is configured"
    raise dialplan.complain(
        f"{key} '{name}' is not in the settings ({said})",
        (key,),
        remedy=suggest(name, known) or f"add {key}s.{name} to the settings",
    )


def _read_all(paths: Sequence[Path]) -> tuple[Dialplan, ...]:
    dialplans: list[Dialplan] = []
    errors: list[ConfigError] = []
    for path in paths:
        try:
            dialplans.append(Dialplan.from_source(load_yaml(path)))
        except ConfigError as error:
            errors.append(error)
    if not errors:
        return tuple(dialplans)
    first, *others = errors
    rest = "".join(f"\n{error}" for error in others)
    raise ConfigError(
        first.what + rest, path=first.path, line=first.line, remedy="" if others else first.remedy
    ) from first


def _check_names(dialplans: Sequence[Dialplan]) -> None:
    places: dict[str, str] = {}
    for dialplan in dialplans:
        if dialplan.name in places:
            raise dialplan.complain(
                f"the name '{dialplan.name}' is taken by {places[dialplan.name]}",
                ("name",),
                remedy="dialplans are told apart by their names",
            )
        places[dialplan.name] = dialplan.place(("name",))


def _check_order(dialplans: Sequence[Dialplan]) -> None:
    """Refuse a rule that can never be reached, because one before it takes its numbers."""
    before: list[tuple[Dialplan, int]] = []
    for dialplan in dialplans:
        for index, rule in enumerate(dialplan.match):
            for earlier, position in before:
                hiding = earlier.match[position].called
                if covers(hiding, rule.called):
                    raise dialplan.complain(
                        f"'{rule.called}' is never reached: '{hiding}' stands before it, at"
                        f" {earlier.place(('match', position, 'called'))}",
                        ("match", index, "called"),
                        remedy="the first matching rule wins, files in the order of their names",
                    )
            before.append((dialplan, index))
