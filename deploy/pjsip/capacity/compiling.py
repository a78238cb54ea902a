"""From pjproject's source to the extension module."""

import os
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from capacity.mends import mend
from capacity.recipe import (
    CONFIG_SITE,
    CONFIGURE_FLAGS,
    EXTENSION_MAKEFILE,
    WITH_OWN_SRTP,
    Variant,
)
from capacity.work import Log, step


@dataclass(frozen=True, slots=True)
class Bindings:
    """What was compiled: SWIG's Python module, and the extension module below it."""

    python: Path
    extension: Path


def compile_bindings(tree: Path, srtp: Path | None, variant: Variant, log: Log) -> Bindings:
    """Configure and build pjproject and its Python extension for the running Python.

    Args:
        tree: a clean source tree; it is written to.
        srtp: libsrtp's, to be linked statically; None for the machine's shared library.
        variant: how it is compiled.

    Raises:
        BuildError: a program failed.
    """
    site = CONFIG_SITE if srtp is None else CONFIG_SITE + WITH_OWN_SRTP
    (tree / "pjlib/include/pj/config_site.h").write_text(site)
    mend(tree)
    _forget_removed_driver(tree / "pjmedia/build/Makefile")
    flags = {"CFLAGS": variant.c_flags, "CXXFLAGS": variant.c_flags}
    if srtp is not None:
        flags |= _compile_srtp(srtp, variant, log)
    with step("configure"):
        log.run(
            ["sh", "./aconfigure", *CONFIGURE_FLAGS],
            cwd=tree,
            env=os.environ | flags,
            failure="PJSIP's configure failed",
        )
    jobs = f"-j{len(os.sched_getaffinity(0))}"
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    with step("compile PJSIP and its Python extension (a minute or more on two cores)"):
        log.run(
            [
                *("make", jobs, "-f", EXTENSION_MAKEFILE),
                *(f"SUFFIX={suffix}", f"INCLUDE={sysconfig.get_path('include')}"),
                *(f"FLAGS={variant.c_flags}", f"STRIP={variant.strip}"),
            ],
            cwd=tree,
            failure="PJSIP doesn't compile",
        )
    return Bindings(tree / "out/pjsua2.py", tree / f"out/_pjsua2{suffix}")


def _compile_srtp(tree: Path, variant: Variant, log: Log) -> dict[str, str]:
    """Build libsrtp with OpenSSL; return the flags by which PJSIP's configure finds it."""
    made = tree / "made"
    with step("compile libsrtp"):
        for command in (
            ["sh", "./configure", "--enable-openssl", f"--prefix={made}"],
            ["make", "libsrtp2.a", "install"],
        ):
            log.run(
                command,
                cwd=tree,
                env=os.environ | {"CFLAGS": variant.c_flags},
                failure="libsrtp doesn't compile",
            )
    with_headers = f"{variant.c_flags} -I{made}/include"
    return {
        "CFLAGS": with_headers,
        "CXXFLAGS": with_headers,
        "LDFLAGS": f"-L{made}/lib",
        "LIBS": "-lcrypto",
    }


def _forget_removed_driver(makefile: Path) -> None:
    """Take an audio driver that Debian removed (its licence) from the makefile, as Debian does."""
    makefile.write_text(makefile.read_text().replace(" bdimad_dev.o", ""))
