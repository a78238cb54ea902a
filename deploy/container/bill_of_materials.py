"""The image's bill of materials: Python's packages; Debian's, PJSIP's source and eSpeak NG beside.

It takes CycloneDX JSON of the Python environment and prints it with one component more for each
Debian package of the image, for each source that is compiled into `pjsua2`, and for eSpeak NG. It
runs in the image, by the gateway's Python, and has no other tools.
"""

import ctypes
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import espeakng_loader

Component = dict[str, Any]  # Any: JSON

_FIELDS = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${db:Status-Abbrev}\n"


def debian_packages() -> list[Component]:
    """Return a component for each package that dpkg has installed."""
    listed = subprocess.check_output(["dpkg-query", "-W", f"-f={_FIELDS}"], text=True)
    rows = (line.split("\t") for line in listed.splitlines())
    return [
        component(name, version, f"arch={architecture}&distro=debian-12", source=source)
        for name, version, architecture, source, status in rows
        if status.startswith("ii")
    ]


def compiled_in(pjproject_ref: str) -> list[Component]:
    """Return the Debian sources that `pjsua2/_pjproject_ref` says the extension is made of.

    Raises:
        ValueError: it names no Debian source.
    """
    found = re.fullmatch(r"debian-(?P<asterisk>.+)-libsrtp-(?P<libsrtp2>.+)", pjproject_ref.strip())
    if found is None:
        raise ValueError(f"pjsua2/_pjproject_ref names no Debian source: {pjproject_ref!r}")
    return [
        component(name, version, "arch=source&distro=debian", source=name)
        for name, version in found.groupdict().items()
    ]


def speech() -> Component:
    """Return eSpeak NG, which a package of another name brings, whose metadata has no licence."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Info.restype = ctypes.c_char_p
    version = library.espeak_Info(None).decode()
    purl = f"pkg:github/espeak-ng/espeak-ng@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": "espeak-ng",
        "version": version,
        "purl": purl,
        "licenses": [{"license": {"id": "GPL-3.0-or-later"}}],
    }


def component(name: str, version: str, qualifiers: str, *, source: str) -> Component:
    """Return one Debian package as CycloneDX has it; ``qualifiers``: of its package URL."""
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?{qualifiers}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "properties": [{"name": "debian:source", "value": source}],
    }


def main(python_bill: Path) -> None:
    """Print the whole bill."""
    bill = json.loads(python_bill.read_text(encoding="utf-8"))
    spec = find_spec("pjsua2")
    if spec is None or spec.origin is None:
        raise SystemExit("pjsua2 is not installed: run this with the gateway's Python")
    ref = Path(spec.origin).with_name("_pjproject_ref").read_text(encoding="utf-8")
    bill.setdefault("components", []).extend([*debian_packages(), *compiled_in(ref), speech()])
    print(json.dumps(bill, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
