"""Puts the metrics of several processes into one text exposition, kept apart by a label. Pure."""

import re
from collections.abc import Mapping

_SAMPLE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})?( .+)$")


def merge_metrics(texts: Mapping[str, str], label: str) -> str:
    """Return one exposition in which every sample carries where it is from.

    Families stay together, as Prometheus' text format (version 0.0.4) asks; their help and type
    are the first one's.

    Args:
        texts: what each process exposes in that format, by the label's value.
        label: its name; a sample whose first label it is already keeps its own value.
    """
    families: dict[str, tuple[list[str], list[str]]] = {}
    for source, text in texts.items():
        samples: list[str] = []
        for line in text.splitlines():
            if line.startswith("# "):
                _, kind, name, *_ = line.split(" ", 3)
                heads, samples = families.setdefault(name, ([], []))
                if not any(head.startswith(f"# {kind} ") for head in heads):
                    heads.append(line)
            elif found := _SAMPLE.match(line):
                name, labels, value = found.groups()
                named = [labels] if labels else []
                if not (labels or "").startswith(f'{label}="'):
                    named.insert(0, f'{label}="{source}"')
                samples.append(f"{name}{{{','.join(named)}}}{value}")
    lines = [line for heads, samples in families.values() for line in (*heads, *samples)]
    return "\n".join([*lines, ""])
