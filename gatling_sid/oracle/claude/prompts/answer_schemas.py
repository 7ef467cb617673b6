"""The JSON schemas of the answers, as the API accepts them, read from a file.

A schema is a part of its request, and the request's work id follows from it. If the schemas were derived from the
classes at run time, renaming a class or updating the SDK would change every work id, and responses that were already
paid for would not be found again. A test compares the file with the classes.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from gatling_sid.oracle.claude.prompts.system_prompts import PROMPT_FOLDER

ANSWER_SCHEMA_FILE = PROMPT_FOLDER / "answers.json"


def answer_schema(phase: str) -> dict[str, Any]:
    """The schema of a phase's answers; the dictionary is shared: copy it before editing."""
    return _schemas()[phase]


@cache
def _schemas() -> dict[str, dict[str, Any]]:
    schemas: dict[str, dict[str, Any]] = json.loads(ANSWER_SCHEMA_FILE.read_text(encoding="utf-8"))
    return schemas
