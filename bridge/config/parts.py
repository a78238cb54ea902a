"""Base types of the files that people write (names, lists, mappings), and their JSON Schemas."""

import hashlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_interface, ip_network
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    IPvAnyNetwork,
    StringConstraints,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

DRAFT = "https://json-schema.org/draft/2020-12/schema"

T = TypeVar("T")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A lower-case name fit for a metric label and a Redis key."""

_DIGEST_CHARS = 12


def digest_of(settings: BaseModel) -> str:
    """Return a short digest of all that is written of some settings; of no secret."""
    # What is unset is left out: a null of a template is sent, and makes another arm.
    written = json.dumps(settings.model_dump(mode="json", exclude_unset=True), sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()[:_DIGEST_CHARS]


HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.!%*_+`'~-]{1,64}$")]
"""RFC 3261 section 25.1, `token`."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _as_list(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


class _OrOne:
    """Has the JSON Schema allow what :func:`_as_list` does."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        listed = handler(core_schema)
        return {"anyOf": [listed["items"], listed]}


OneOrMore = Annotated[tuple[T, ...], BeforeValidator(_as_list), _OrOne()]
"""A list that may be written without brackets where it has one entry."""


def _without_host_bits(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        written = ip_interface(value)
    except ValueError:
        return value  # no address at all: pydantic says so
    try:
        ip_network(value)
    except ValueError:
        raise ValueError(
            f"is the address {written.ip} within the network {written.network}: write the network,"
            " or the address without a length"
        ) from None
    return value


Network = Annotated[IPvAnyNetwork, BeforeValidator(_without_host_bits)]
"""An address, or a network whose bits behind its length are 0."""


class Part(BaseModel):
    """A mapping in a file: unknown keys are errors, and nothing changes later.

    Attributes:
        bare: the field that may be written alone, in place of the mapping; None where none may.
        why_not: keys that a person may well expect here, and why there are none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    bare: ClassVar[str | None] = None
    why_not: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @model_validator(mode="before")
    @classmethod
    def _take_bare(cls, value: object) -> object:
        if cls.bare is None or isinstance(value, dict | Part):
            return value
        return {cls.bare: value}

    @model_validator(mode="before")
    @classmethod
    def _say_why_not(cls, value: object) -> object:
        for key, why in cls.why_not.items():
            if isinstance(value, dict) and key in value:
                raise ValueError(f"can't have '{key}': {why}")
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe the fields, too, by the docstrings that describe them to us."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        documented = [inspect.getdoc(each) or "" for each in cls.__mro__ if issubclass(each, Part)]
        schema["description"] = _plain(documented[0].partition("\n\n")[0])
        described: dict[str, str] = {}
        for text in documented:
            for name, what in _attributes(text):
                described.setdefault(name, what)
        properties: dict[str, dict[str, Any]] = schema.get("properties", {})
        for name, field in cls.model_fields.items():
            if name in described:
                properties[field.alias or name]["description"] = described[name]
        if cls.bare is None:
            return schema
        return {"anyOf": [properties[cls.bare], schema], "description": schema["description"]}


_ATTRIBUTE = re.compile(r"^    (\S[^:]*): (.*(?:\n {8}.*)*)", re.MULTILINE)


def _attributes(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of a docstring's ``Attributes:`` and what is said of each."""
    _, _, listed = docstring.partition("Attributes:\n")
    for names, what in _ATTRIBUTE.findall(listed):
        for name in names.split(", "):
            yield name, _plain(what)


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def document_schema(model: type[Part], kind: str) -> dict[str, object]:
    """Return the JSON Schema 2020-12 of a kind of file, for editors that complete and check it.

    It says what may stand where. What only `bridge check` knows (time zones, holidays, numbers,
    keys that go together) it takes as it comes.

    Args:
        model: of a whole file.
        kind: its name: ``dialplan``, ``callscript``.
    """
    described = model.model_json_schema(by_alias=True, mode="validation")
    schema_id = f"urn:telephony-bridge:schema:{kind}:v1"
    return {"$schema": DRAFT, "$id": schema_id, **described, "title": kind.capitalize()}
