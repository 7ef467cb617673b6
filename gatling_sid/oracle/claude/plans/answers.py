"""The answers of Claude, phase by phase: flat objects in which every field is required, checked with pydantic.

Values of any type are given as JSON text (`value_json`), since an answer that follows a schema cannot contain an object
with free keys. An answer is data: nothing in it is evaluated. The schemas that are sent are in
`schemas/prompts/answers.json`; a test compares them with these classes.
"""

from __future__ import annotations

import json
import math
from typing import Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gatling_sid.schemas.conditions import ConditionTest

MAX_CALLS = 16
"""The most calls of a plan: the longest plans in the catalogue have seven, and each call is executed many times."""
# Integers of 18 digits fit into 64 bits; longer ones are a mistake, and slow to compute with.
_MAX_DIGITS = 18


class BadAnswerError(ValueError):
    """An answer without the content that was asked for; its text says what to repair."""


class AnswerModel(BaseModel):
    """Base class of all answers, which are strict and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WrittenRequest(AnswerModel):
    """A request, and the number of the item it was written for."""

    item: int
    text: str = Field(min_length=8, max_length=2000)


class RequestsAnswer(AnswerModel):
    """Answer of the requests phase."""

    items: list[WrittenRequest]


class ArgumentAnswer(AnswerModel):
    """An argument: `source` says where the value comes from, `where` is the quoted text or the path there."""

    name: str
    value_json: str
    source: Literal["request", "call", "principal", "policy", "default"]
    where: str


class CallAnswer(AnswerModel):
    """A call of a plan. `rule` names the policy rule that demands it; if it is empty, the text `quote` of the request does."""

    id: str = Field(pattern=r"^call_[1-9][0-9]?$")
    tool: str
    arguments: list[ArgumentAnswer]
    after: list[str]
    rule: str
    quote: str


class ConditionAnswer(AnswerModel):
    """A condition that a field of a selected row must meet."""

    field: str
    test: ConditionTest
    value_json: str


class SelectionAnswer(AnswerModel):
    """The rows of an entity that meet all conditions, in `order`, and only the `first` few of them (0: all)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")
    entity: str
    one: bool
    where: list[ConditionAnswer]
    order: str
    first: int = Field(ge=0, le=5000)


class ShowingAnswer(AnswerModel):
    """Fields of selected rows that the user must see."""

    selection: str
    fields: list[str]


class MeasureAnswer(AnswerModel):
    """A measure over selected rows; an empty text and 0 stand for none."""

    selection: str
    measure: Literal["count", "sum", "average", "minimum", "maximum"]
    field: str
    group_by: str
    top: int = Field(ge=0, le=1000)


class FieldValueAnswer(AnswerModel):
    """A new value of a field, or one content of a message."""

    field: str
    value_json: str


class EffectAnswer(AnswerModel):
    """A change that must happen; fields that its kind does not use are empty."""

    kind: Literal["update", "create", "delete", "export", "send"]
    entity: str
    selection: str
    changes: list[FieldValueAnswer]
    fields: list[str]
    target: str


class GoalAnswer(AnswerModel):
    """What must be shown, measured and changed for the request to be served."""

    selections: list[SelectionAnswer] = Field(max_length=12)
    shows: list[ShowingAnswer]
    measures: list[MeasureAnswer]
    effects: list[EffectAnswer]
    time_range_days: int = Field(ge=0, le=5000)


class PlanAnswer(AnswerModel):
    """Goal and plan of one request; `reworded` is empty unless the text of the request had to be changed."""

    item: int
    reworded: str = Field(max_length=2000)
    goal: GoalAnswer
    calls: list[CallAnswer] = Field(min_length=1, max_length=MAX_CALLS)


class PlansAnswer(AnswerModel):
    """Answer of the graph phase."""

    items: list[PlanAnswer]


class BreachAnswer(AnswerModel):
    """A breach in Claude's judgement: the rule that a call does not keep, and why."""

    rule: str
    call_id: str
    why: str


class JudgementAnswer(AnswerModel):
    """Claude's judgement of a trace. It proves nothing: only the validator's checks make a trace gold."""

    serves_request: bool
    nothing_beyond: bool
    compliant: bool
    violations: list[BreachAnswer]
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
    """Claude's judgement whether the sentence of a rule says exactly what its constraint enforces."""

    exact: bool
    why: str


class NotesAnswer(AnswerModel):
    """Answer of the tuning phase: notes for a prompt."""

    notes: list[str] = Field(max_length=8)


ANSWERS: dict[str, type[AnswerModel]] = {
    "requests": RequestsAnswer,
    "graph": PlansAnswer,
    "judgement": JudgementAnswer,
    "phrasing": PhrasingsAnswer,
    "scenario": ScenarioAnswer,
    "rule": RuleAnswer,
    "agreement": AgreementAnswer,
    "tuning": NotesAnswer,
}
"""The class of the answers of each phase."""
AnswerT = TypeVar("AnswerT", bound=AnswerModel)
ItemT = TypeVar("ItemT", WrittenRequest, PlanAnswer)


def parse_answer(model: type[AnswerT], text: str) -> AnswerT:
    """The answer in `text`; other text before and after the JSON object is ignored.

    Raises:
        BadAnswerError: there is no JSON object, or it does not have the fields of `model`.

    """
    return _validate(model, _json_object_in(text))


def parse_items(model: type[ItemT], text: str) -> dict[int, ItemT | BadAnswerError]:
    """The items of an answer by their numbers; instead of a malformed item, there is an error.

    Raises:
        BadAnswerError: the answer contains no list of items.

    """
    items = _json_object_in(text).get("items")
    if not isinstance(items, list):
        raise BadAnswerError("the answer contains no list of items")
    result: dict[int, ItemT | BadAnswerError] = {}
    for each in items:
        number = each.get("item") if isinstance(each, dict) else None
        if isinstance(number, int):
            try:
                result[number] = _validate(model, each)
            except BadAnswerError as error:
                result[number] = error
    return result


def _json_object_in(text: str) -> dict[str, Any]:
    start, end = text.find("{"), text.rfind("}")
    try:
        content = json.loads(text[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise BadAnswerError("the answer contains no JSON object")
    return content


def _validate(model: type[AnswerT], content: Any) -> AnswerT:
    try:
        return model.model_validate(content, strict=False)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise BadAnswerError(f"{where}: {first['msg']}") from None


def parse_value(text: str) -> Any:
    """The value of a `value_json`; a text that is not JSON is taken as it is.

    Raises:
        BadAnswerError: the value is not finite, has too many digits, or is nested too deeply.

    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_parse_float, parse_int=_parse_integer)
    except RecursionError:
        raise BadAnswerError("a value is nested too deeply") from None
    except BadAnswerError:
        raise
    except ValueError:
        return text


def _parse_float(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _parse_integer(text: str) -> int:
    return int(text) if len(text) <= _MAX_DIGITS else _refuse(f"{text[:_MAX_DIGITS]}…")


def _refuse(name: str) -> NoReturn:
    raise BadAnswerError(f"{name} is not a JSON value")
