"""Packs the bindings as a wheel, by the binary distribution format (PyPA specifications)."""

import base64
import hashlib
import sys
import sysconfig
import zipfile
from pathlib import Path

from capacity.compiling import Bindings

_METADATA = """\
Metadata-Version: 2.4
Name: pjsua2-python
Version: {version}
Summary: PJSIP's Python bindings, built for hundreds of calls by telephony-bridge's deploy/pjsip
License-Expression: GPL-2.0-or-later
License-File: COPYING
"""

_WHEEL = """\
Wheel-Version: 1.0
Generator: telephony-bridge deploy/pjsip
Root-Is-Purelib: false
Tag: {tag}
"""

_PACKAGE = '''\
"""PJSUA2, PJSIP's high-level API."""

from pjsua2._version import __version__
from pjsua2.pjsua2 import *
'''


def abi() -> str:
    """Return the running Python's tag, such as ``cp311-cp311``."""
    version = sysconfig.get_config_var("py_version_nodot")
    return f"cp{version}-cp{version}{sys.abiflags}"


def tag() -> str:
    """Return the running Python's and this machine's tag, such as ``cp311-cp311-linux_x86_64``."""
    return f"{abi()}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def write_wheel(
    bindings: Bindings, *, version: str, source: str, licence: Path, directory: Path
) -> Path:
    """Write a wheel that takes the place of the pip wheel `pjsua2-python`.

    Args:
        bindings: what to pack.
        version: PEP 440, with a local part.
        source: name of the source, kept in the package.
        licence: pjproject's `COPYING`.
        directory: where to write.

    Returns:
        The wheel's path.
    """
    information = f"pjsua2_python-{version}.dist-info"
    files = {
        "pjsua2/__init__.py": _PACKAGE.encode(),
        "pjsua2/_pjproject_ref": f"{source}, changed by deploy/pjsip/capacity/mends.py\n".encode(),
        "pjsua2/_version.py": f'__version__ = "{version}"\n'.encode(),
        "pjsua2/pjsua2.py": bindings.python.read_bytes(),
        f"pjsua2/{bindings.extension.name}": bindings.extension.read_bytes(),
        f"{information}/METADATA": _METADATA.format(version=version).encode(),
        f"{information}/WHEEL": _WHEEL.format(tag=tag()).encode(),
        f"{information}/licenses/COPYING": licence.read_bytes(),
        f"{information}/top_level.txt": b"pjsua2\n",
    }
    files[f"{information}/RECORD"] = _record(files, f"{information}/RECORD").encode()
    path = directory / f"pjsua2_python-{version}-{tag()}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return path


def _record(files: dict[str, bytes], own_name: str) -> str:
    lines = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}")
    return "\n".join([*lines, f"{own_name},,", ""])
