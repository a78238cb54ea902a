"""Packs: named circumstances that a suite of scripts is played under, one after the other."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from bridge.config.complaints import suggest
from bridge.config.parts import Name, Part, Text
from bridge.config.yaml_source import load_yaml_model
from bridge.errors import ConfigError
from bridge.replay.script.circumstances import Noise
from bridge.softphone.settings import EchoPath, Media, Network

_BUILT_IN = Path(__file__).parent / "packs.yaml"


class PackItem(Part):
    """A circumstance of a pack, which stands in the place of the script's own.

    Attributes:
        about: what it is, for people.
        voice: of the caller.
        noise: in the caller's audio.
        network: what becomes of packets.
        media: codec, packet time, band: what it names, the rest stays the script's.
        echo: lets the agent's voice back.
    """

    about: Text
    voice: Text | None = None
    noise: Noise | None = None
    network: Network | None = None
    media: Media | None = None
    echo: EchoPath | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not (self.model_fields_set - {"about"}):
            raise ValueError("changes nothing: give voice, noise, network, media or echo")
        return self


class Pack(Part):
    """Circumstances of one kind.

    Attributes:
        about: what they have in common, for people.
        items: by name.
    """

    about: Text
    items: dict[Name, PackItem] = Field(min_length=1)


class PackFile(Part):
    """A file of packs.

    Attributes:
        schema: the version of this format.
        packs: by name.
    """

    schema_: Literal["packs/v1"] = Field(alias="schema")
    packs: dict[Name, Pack] = Field(min_length=1)


def load_packs(path: Path) -> Mapping[str, Pack]:
    """Read a file of packs.

    Raises:
        ConfigError: every mistake with file and line.
    """
    return load_yaml_model(path, PackFile).packs


@cache
def built_in_packs() -> Mapping[str, Pack]:
    """Return the packs that come with the package."""
    return load_packs(_BUILT_IN)


def choose_packs(wanted: Sequence[str]) -> dict[str, Pack]:
    """Return packs by their names, and those of the files that are named.

    Raises:
        ConfigError: there is no such pack, or two have one name.
    """
    chosen: dict[str, Pack] = {}
    for name in wanted:
        known = built_in_packs()
        path = Path(name)
        if name in known:
            found: Mapping[str, Pack] = {name: known[name]}
        elif path.suffix in (".yaml", ".yml"):
            found = load_packs(path)
        else:
            raise ConfigError(
                f"there is no pack '{name}'",
                remedy=suggest(name, known)
                or f"name one of {', '.join(known)}, or a file of your own (.yaml)",
            )
        twice = found.keys() & chosen.keys()
        if twice:
            raise ConfigError(f"the pack '{min(twice)}' is named twice")
        chosen.update(found)
    return chosen
