"""The JSON Schema of a domain file, with which editors complete and check what an author types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gatling_sid.schemas.catalogue import DomainFile
from gatling_sid.schemas.constraints import KINDS, Parameters

FORM_SCHEMA = Path(__file__).parent / "form.schema.json"
"""The rendered schema; it is rendered again whenever the form changes, and a test compares."""
EDITOR_LINE = "# yaml-language-server: $schema=../form.schema.json"
"""The second line of a domain file, by which an editor finds the schema; the first line is the name."""


def render_form_schema() -> str:
    """The schema as the text of `FORM_SCHEMA`; each rule has the parameters of its kind."""
    schema = DomainFile.model_json_schema(by_alias=True)
    rule = schema["$defs"]["Rule"]
    rule["properties"]["kind"] = {"enum": list(KINDS)}
    rule["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": kind}}},
            "then": {"properties": {"with": _schema_of_parameters(parameters)}},
        }
        for kind, parameters in KINDS.items()
    ]
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**dialect, **schema}, indent=1, ensure_ascii=False) + "\n"


def _schema_of_parameters(parameters: type[Parameters]) -> dict[str, Any]:
    """The names of the parameters alone, since an axis of the policy may stand for any of their values."""
    fields = parameters.model_fields
    return {
        "description": parameters.__doc__,
        "properties": dict.fromkeys(fields, True),
        "required": [name for name, field in fields.items() if field.is_required()],
        "additionalProperties": False,
    }
