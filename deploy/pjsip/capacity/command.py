"""The command: options, and the order of the steps."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from capacity import kept
from capacity.compiling import compile_bindings
from capacity.environment import check_environment, install, needed, probe
from capacity.machine import check_machine, check_platform
from capacity.recipe import CHECKED, SERVED, Variant
from capacity.source import Debian, OwnTree, Source, pjproject_version
from capacity.wheel import write_wheel
from capacity.work import BuildError, Log, say, step

_DESCRIPTION = """\
Builds PJSIP for hundreds of calls in a process and installs it into the current virtual
environment, in place of the pip wheel, which holds 4. Both are called `pjsua2-python` and are
imported as `pjsua2`; `bridge pjsip` tells which one is loaded and what it can do.

The source is the pjproject in Debian sid's package `asterisk`, and the libsrtp of this machine's
own release, compiled with OpenSSL. apt fetches both, vouched for by its signatures; the machine's
own apt lists stay as they are. The first run takes one to four minutes on two cores. The wheel is
kept in $XDG_CACHE_HOME/telephony-bridge/pjsip, for this Python, this system and this recipe, so
that the next run takes seconds and needs no network; --update takes Debian's later fixes. Where
only the wheel goes (a container image), it needs libssl3 libopus0 libuuid1.
"""

_EPILOG = """\
examples:
  .venv/bin/python deploy/pjsip/build      install into .venv (or activate it first)
  deploy/pjsip/build --update              see whether sid has a newer PJSIP
  deploy/pjsip/build --wheel-only          the last line is the wheel's path
  deploy/pjsip/build --check assertions    to find faults with: PJSIP's assertions abort
  deploy/pjsip/build --check address       the same, with the compiler's address sanitizer
  PJPROJECT_DIR=../pjproject deploy/pjsip/build
                                           from a source tree of your own, 2.15 or later, with
                                           the machine's libsrtp (libsrtp2-1; no GCM)

A build for --check is kept apart and slower, and never serves calls: give it an environment of its
own. The address sanitizer's library must be loaded first; the last line says with which variables.

back to the pip wheel: pip install -c deploy/constraints.txt --force-reinstall pjsua2-python
exit codes: 0 good, 2 bad input, 3 the build could not be done
"""

_OLD_DAYS = 30
_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="deploy/pjsip/build",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--wheel-only", action="store_true", help="build; don't install; print the wheel's path"
    )
    parser.add_argument(
        "--update", action="store_true", help="ask Debian whether there is a newer source"
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="build even if there is a wheel already"
    )
    parser.add_argument(
        "--check", choices=sorted(CHECKED), help="build to find faults with, not to serve calls"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _arguments(sys.argv[1:] if argv is None else argv)
    variant = CHECKED.get(options.check, SERVED)
    signal.signal(signal.SIGTERM, _stop)
    try:
        check_platform()
        log = Log(kept.cache_directory() / f"build-{os.getpid()}.log")
        if not options.wheel_only:
            check_environment()
        wheel = _wheel(options, variant, log)
        if options.wheel_only:
            print(wheel)
        else:
            install(wheel, variant, log)
            say(f"installed {wheel.name} into {sys.prefix}")
            for name, value in needed(variant).items():
                say(f"to be set where it is loaded: {name}={value}")
    except (BuildError, OSError) as error:
        print(f"deploy/pjsip/build: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return _INTERRUPTED
    log.path.unlink()
    return 0


def _stop(_signal: int, _frame: object) -> NoReturn:
    """End as Ctrl-C does: the programs under way and the work directory go, too."""
    raise KeyboardInterrupt


def _wheel(options: argparse.Namespace, variant: Variant, log: Log) -> Path:
    """Return a kept wheel, or build one."""
    own = os.environ.get("PJPROJECT_DIR")
    any_will_do = not (own or options.update or options.rebuild)
    if any_will_do and (wheel := kept.newest_debian_wheel(variant)):
        _say_kept(wheel)
        return wheel
    with kept.only_one(variant):
        with step("look for the source"):
            source: Source = OwnTree(Path(own)) if own else Debian(log)
        wheel = None if options.rebuild else kept.wheel_from(source.name, variant)
        if wheel:
            _say_kept(wheel)
            return wheel
        check_machine(log)
        return _build(source, variant, log)


def _say_kept(wheel: Path) -> None:
    days = (time.time() - wheel.stat().st_mtime) / 86400
    hint = "; --update asks for a newer PJSIP" if days > _OLD_DAYS else ""
    say(f"built before, {days:.0f} days ago, from {wheel.parent.name}{hint}")


def _build(source: Source, variant: Variant, log: Log) -> Path:
    """Build from a source and keep the wheel."""
    say(f"building from {source.name}; log: {log.path}")
    with tempfile.TemporaryDirectory(dir=kept.cache_directory(), prefix="work-") as work:
        names = ("tree", "packages", "made", "srtp")
        tree, packages, made, srtp = (Path(work, name) for name in names)
        for directory in (tree, made):
            directory.mkdir()
        with step("fetch and unpack the source"):
            source.put(tree, log)
            own_srtp = srtp if source.put_srtp(srtp, log) else None
        if own_srtp is not None:
            _add_licence(tree / "COPYING", own_srtp / "LICENSE")
        version = pjproject_version(tree)
        check = f".{variant.name}" if variant.name else ""
        wheel = write_wheel(
            compile_bindings(tree, own_srtp, variant, log),
            version=f"{version.number}+capacity{version.suffix}{check}",
            source=source.name,
            licence=tree / "COPYING",
            directory=made,
        )
        shutil.unpack_archive(wheel, packages, "zip")
        probe(log, variant, packages)
        return kept.keep(wheel, source.name, variant)


def _add_licence(licence: Path, other: Path) -> None:
    """Put the licence of what is linked statically behind PJSIP's: it goes with the binary."""
    with licence.open("a") as file:
        file.write(f"\n\nlibsrtp:\n\n{other.read_text()}")
