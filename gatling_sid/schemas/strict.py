"""Strict parsing of the parts of a domain file, with errors about the fields of the right model only."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import BaseModel, BeforeValidator, ConfigDict

Scalar = str | int | float | bool | None


class StrictModel(BaseModel):
    """Base of all parts of a domain file: unknown keys are errors, and nothing changes after reading."""

    # Always read as JSON: there, strict mode turns a list into a tuple and a text into an enum, and nothing else.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True, allow_inf_nan=False)


def choose_model_by_key(table: Mapping[str, type[StrictModel]]) -> BeforeValidator:
    """A validator that parses a mapping with the model in `table` whose key it contains.

    So errors name only the fields of that model.
    """

    def read(value: object) -> object:
        if isinstance(value, StrictModel) or value is None:
            return value
        leading = [key for key in table if isinstance(value, Mapping) and key in value]
        if len(leading) != 1:
            raise ValueError(f"needs exactly one of {', '.join(table)}")
        return table[leading[0]].model_validate_json(json.dumps(value))

    return BeforeValidator(read)
