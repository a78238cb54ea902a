"""The choice of a dialplan for a call: first matching rule, files by name."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.config.complaints import suggest
from bridge.config.yaml_source import load_yaml
from bridge.errors import ConfigError
from bridge.routing.models import Dialplan
from bridge.routing.rules import ConditionResult, IncomingCall

SUFFIXES = (".yaml", ".yml")
"""Of the files that are dialplans."""


def load_dialplans(directory: Path) -> tuple[Dialplan, ...]:
    """Read every dialplan of a directory, in the order of the file names.

    Returns:
        at least one dialplan, names all different, every rule reachable.

    Raises:
        ConfigError: bad files (all of them are named), a name used twice, a rule that an earlier
            file hides, no dialplans at all.
    """
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES)
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
    check_together(dialplans)
    return dialplans


def check_together(dialplans: Sequence[Dialplan]) -> None:
    """Check what only several dialplans can get wrong.

    Raises:
        ConfigError: a name used twice, or a rule that an earlier one hides.
    """
    _check_names(dialplans)
    _check_order(dialplans)


def match(dialplans: Sequence[Dialplan], call: IncomingCall) -> Dialplan | None:
    """Return the first dialplan with a rule that takes the call; None if no rule does."""
    return next(
        (dialplan for dialplan in dialplans if any(rule.takes(call) for rule in dialplan.match)),
        None,
    )


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """A rule's verdict on a call, with the conditions that were checked.

    Attributes:
        place: ``file:line`` of the rule.
        checks: its conditions against the call; it takes the call if all hold.
    """

    dialplan: Dialplan
    place: str
    checks: tuple[ConditionResult, ...]

    @property
    def takes(self) -> bool:
        """Whether the call would be taken here."""
        return all(check.holds for check in self.checks)


def explain_match(dialplans: Sequence[Dialplan], call: IncomingCall) -> tuple[RuleVerdict, ...]:
    """Return what the rules say about a call, in order, up to the first that takes it."""
    verdicts = []
    for dialplan in dialplans:
        for index, rule in enumerate(dialplan.match):
            place = dialplan.place(("match", index))
            verdicts.append(RuleVerdict(dialplan, place, tuple(rule.checks(call))))
            if verdicts[-1].takes:
                return tuple(verdicts)
    return tuple(verdicts)


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


def check_trunks(dialplans: Sequence[Dialplan], trunks: Collection[str]) -> None:
    """Check that every trunk of a rule exists.

    Args:
        trunks: the names of `sip.trunks` in the settings.

    Raises:
        ConfigError: naming the trunk, the rule's line and the trunks that exist.
    """
    for dialplan in dialplans:
        for index, rule in enumerate(dialplan.match):
            for name in rule.trunk:
                if name in trunks:
                    continue
                hint = suggest(name, trunks)
                known = f"known trunks: {', '.join(sorted(trunks))}" if trunks else "there is none"
                raise dialplan.complain(
                    f"trunk '{name}' is not in the settings ({known})",
                    ("match", index, "trunk"),
                    remedy=hint or f"add sip.trunks.{name} to the settings",
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
    """Refuse a rule that can never be reached, because one before it takes its calls."""
    before: list[tuple[Dialplan, int]] = []
    for dialplan in dialplans:
        for index, rule in enumerate(dialplan.match):
            for earlier, position in before:
                hiding = earlier.match[position]
                if hiding.covers(rule):
                    raise dialplan.complain(
                        f"{rule} is never reached: {hiding} stands before it, at"
                        f" {earlier.place(('match', position, 'called'))}",
                        ("match", index, "called"),
                        remedy="the first matching rule wins, files in the order of their names",
                    )
            before.append((dialplan, index))
