"""Reads parts and numbers of JSON that others wrote; what is not there is empty. Pure."""

from collections.abc import Mapping

from pydantic import JsonValue


def part_of(fields: object, name: str) -> Mapping[str, JsonValue]:
    """Return the object that a field holds; empty where it holds none."""
    found = fields.get(name) if isinstance(fields, Mapping) else None
    return found if isinstance(found, dict) else {}


def parts_of(fields: object, name: str) -> list[Mapping[str, JsonValue]]:
    """Return the objects of the list that a field holds; empty where it holds none."""
    found = fields.get(name) if isinstance(fields, Mapping) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def number_of(fields: Mapping[str, object], name: str) -> float | None:
    """Return the number that a field holds; None where it holds none."""
    found = fields.get(name)
    return float(found) if isinstance(found, int | float) else None
