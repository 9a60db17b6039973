"""The JSON Schema of domain packs, for editors.

    python -m shared.contracts.domain_pack_schema

writes it anew; a test fails while the file is not current.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from shared.contracts.domain_pack import DomainPack

SCHEMA_FILE = Path(__file__).with_name("domain_pack.schema.json")


def schema_text() -> str:
    """Return the schema as it belongs in the file."""
    schema = msgspec.json.schema(DomainPack)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Domain pack",
        **schema,
    }
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
