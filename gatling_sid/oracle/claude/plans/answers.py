"""What Claude may answer, phase by phase: flat records with every field required, read again with pydantic.

Open-ended values travel as JSON text (`value_json`), since a schema-constrained answer cannot hold an object with
free keys. An answer is data: nothing in it is evaluated.
"""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST_CALLS = 16
Test = Literal[
    "is", "is_not", "in", "not_in", "contains", "at_most", "at_least", "above", "below", "within_days",
    "older_than_days", "next_days", "is_set",
]  # fmt: skip


class BadAnswerError(ValueError):
    """An answer that does not hold what was asked for; its text says what to mend."""


class AnswerModel(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WrittenRequest(AnswerModel):
    """One request: the number of its item, and its text."""

    item: int
    text: str = Field(min_length=8, max_length=2000)


class RequestsAnswer(AnswerModel):
    """Answer of the requests phase."""

    items: list[WrittenRequest]


class ArgumentAnswer(AnswerModel):
    """`source` is where the value comes from, `where` the words or the path there."""

    name: str
    value_json: str
    source: Literal["request", "call", "principal", "policy", "default"]
    where: str


class CallAnswer(AnswerModel):
    """One call; `rule` names the rule that demands it, empty if the request does, in the words `quote`."""

    id: str = Field(pattern=r"^call_[1-9][0-9]?$")
    tool: str
    arguments: list[ArgumentAnswer]
    after: list[str]
    rule: str
    quote: str


class ConditionAnswer(AnswerModel):
    """What a field of a selected record must be."""

    field: str
    test: Test
    value_json: str


class SelectionAnswer(AnswerModel):
    """Records meant by the request: all of an entity that meet the conditions, cut to the `first` few (0: all)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")
    entity: str
    one: bool
    where: list[ConditionAnswer]
    order: str
    first: int = Field(ge=0, le=5000)


class ShowingAnswer(AnswerModel):
    """Fields of selected records that the user must see."""

    selection: str
    fields: list[str]


class MeasureAnswer(AnswerModel):
    """A figure over selected records; empty text and 0 stand for none."""

    selection: str
    measure: Literal["count", "sum", "average", "minimum", "maximum"]
    field: str
    group_by: str
    top: int = Field(ge=0, le=1000)


class FieldValueAnswer(AnswerModel):
    """A new value of a field, or a content of a message."""

    field: str
    value_json: str


class EffectAnswer(AnswerModel):
    """A change that must happen; what does not apply to its kind is empty."""

    kind: Literal["update", "create", "delete", "export", "send"]
    entity: str
    selection: str
    changes: list[FieldValueAnswer]
    fields: list[str]
    target: str


class GoalAnswer(AnswerModel):
    """What serving the request means."""

    selections: list[SelectionAnswer] = Field(max_length=12)
    shows: list[ShowingAnswer]
    measures: list[MeasureAnswer]
    effects: list[EffectAnswer]
    time_range_days: int = Field(ge=0, le=5000)


class PlanAnswer(AnswerModel):
    """One request's goal and plan; `reworded` is empty unless the request's words had to be mended."""

    item: int
    reworded: str = Field(max_length=2000)
    goal: GoalAnswer
    calls: list[CallAnswer] = Field(min_length=1, max_length=MOST_CALLS)


class PlansAnswer(AnswerModel):
    """Answer of the graph phase."""

    items: list[PlanAnswer]


class ViolationAnswer(AnswerModel):
    """A rule that a call breaks, in Claude's judgement."""

    rule: str
    call_id: str
    why: str


class JudgementAnswer(AnswerModel):
    """Claude's judgement of a trace; not a proof: only the validator's checks make a trace gold."""

    serves_request: bool
    nothing_beyond: bool
    compliant: bool
    violations: list[ViolationAnswer]
    why: str

    @property
    def is_favourable(self) -> bool:
        """Whether Claude finds nothing wrong."""
        return self.serves_request and self.nothing_beyond and self.compliant and not self.violations


class PhrasingsAnswer(AnswerModel):
    """Answer of the phrasing phase: new phrasings of one scenario, in the catalogue's notation."""

    phrasings: list[str]


class ScenarioAnswer(AnswerModel):
    """Answer of the scenario phase: one scenario in the catalogue's notation, as YAML."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{2,40}$")
    scenario_yaml: str = Field(max_length=20_000)


class RuleAnswer(AnswerModel):
    """Answer of the rule phase; `axis` and its values are empty unless the rule's boundary varies with the policy."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{2,40}$")
    says: str = Field(min_length=10, max_length=300)
    kind: str
    parameters_json: str
    sometimes: bool
    axis: str = Field(pattern=r"^([a-z][a-z0-9_]{2,40})?$")
    axis_values_json: str


class AgreementAnswer(AnswerModel):
    """Claude's opinion whether a rule's sentence says what its constraint enforces, no more and no less."""

    exact: bool
    why: str


AnswerT = TypeVar("AnswerT", bound=AnswerModel)


ItemT = TypeVar("ItemT", WrittenRequest, PlanAnswer)


def parse_answer(model: type[AnswerT], text: str) -> AnswerT:
    """The answer that `text` holds, prose around one JSON object forgiven.

    Raises:
        BadAnswerError: it holds none, or not one of this form.

    """
    return _valid(model, _object(text))


def parse_items(model: type[ItemT], text: str) -> dict[int, ItemT | BadAnswerError]:
    """The items of an answer by number, each read by itself: one that is wrong spoils no other.

    Raises:
        BadAnswerError: the answer holds no items.

    """
    listed = _object(text).get("items")
    if not isinstance(listed, list):
        raise BadAnswerError("the answer holds no list of items")
    result: dict[int, ItemT | BadAnswerError] = {}
    for each in listed:
        number = each.get("item") if isinstance(each, dict) else None
        if isinstance(number, int):
            try:
                result[number] = _valid(model, each)
            except BadAnswerError as error:
                result[number] = error
    return result


def _object(text: str) -> dict[str, Any]:
    start, end = text.find("{"), text.rfind("}")
    try:
        found = json.loads(text[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadAnswerError("the answer holds no JSON object")
    return found


def _valid(model: type[AnswerT], content: Any) -> AnswerT:
    try:
        return model.model_validate(content, strict=False)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise BadAnswerError(f"{where}: {first['msg']}") from None


def parse_value(text: str) -> Any:
    """The value that a `value_json` holds; text that is no JSON stands for itself."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_real, parse_int=_integer)
    except RecursionError:
        raise BadAnswerError("a value is nested too deeply") from None
    except BadAnswerError:
        raise
    except ValueError:
        return text


def _real(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _integer(text: str) -> int:
    return int(text) if len(text) <= 18 else _refuse(f"{text[:18]}…")


def _refuse(name: str) -> NoReturn:
    raise BadAnswerError(f"{name} is no JSON value")


@cache
def answer_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of an answer as the API takes it, worked out once."""
    from anthropic import transform_schema  # noqa: PLC0415 - the embedded path must not pay for it

    return transform_schema(model)
