"""The JSON Schema of dialplans, for editors that complete and check as one types."""

from bridge.routing.models import Dialplan

SCHEMA_ID = "urn:telephony-bridge:schema:dialplan:v1"
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def dialplan_schema() -> dict[str, object]:
    """Return the schema, JSON Schema 2020-12.

    It says what may stand where. What only `bridge check` knows (time zones, holidays, numbers,
    keys that go together) it takes as it comes.
    """
    described = Dialplan.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": DRAFT, "$id": SCHEMA_ID, **described, "title": "Dialplan"}
