"""JSON Schemas of the files that people write, for editors that complete and check as one types."""

from bridge.config.parts import Part

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def document_schema(model: type[Part], kind: str) -> dict[str, object]:
    """Return the JSON Schema 2020-12 of a kind of file.

    It says what may stand where. What only `bridge check` knows (time zones, holidays, numbers,
    keys that go together) it takes as it comes.

    Args:
        model: of a whole file.
        kind: its name: ``dialplan``, ``callscript``.
    """
    described = model.model_json_schema(by_alias=True, mode="validation")
    schema_id = f"urn:telephony-bridge:schema:{kind}:v1"
    return {"$schema": DRAFT, "$id": schema_id, **described, "title": kind.capitalize()}
