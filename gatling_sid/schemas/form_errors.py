"""What is wrong with the form of a domain file: every error of its parsing, as a key of the file and a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from gatling_sid.errors import suggest_name


def form_problems(error: ValidationError, model: type[BaseModel], content: Any) -> list[tuple[str, str]]:
    """(key, problem) of each error of parsing `content` as `model`; for an unknown key, with the nearest known one."""
    problems = []
    for each in error.errors():
        *path, last = each["loc"] or ("",)
        problem = each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            problem += suggest_name(str(last), _keys_at(model, path, content))
        problems.append((".".join(str(step) for step in each["loc"] if "[" not in str(step)), problem))  # no union tags
    return list(dict.fromkeys(problems))


def _keys_at(model: type[BaseModel], path: Sequence[int | str], content: Any) -> list[str]:
    """The keys that may stand at a path of the content."""
    options: list[Any] = [model]
    for step in path:
        options = [inner for each in options for inner in _inside(each, step)]
        if isinstance(content, Mapping):
            content = content.get(step)
        elif isinstance(content, list) and isinstance(step, int):
            content = content[step]
    models = [each for each in options if isinstance(each, type) and issubclass(each, BaseModel)]
    present = content if isinstance(content, Mapping) else {}
    meant = [each for each in models if not present.keys().isdisjoint(_keys_of(each))]
    return [key for each in meant or models for key in _keys_of(each)]


def _inside(option: Any, step: int | str) -> Iterator[Any]:
    """The types of what stands in a value of some type under a key or position."""
    if isinstance(option, type) and issubclass(option, BaseModel):
        found: Iterable[Any] = [f.annotation for n, f in option.model_fields.items() if step in (n, f.alias)]
    else:
        found = get_args(option)[-1:]  # of a mapping or a list
    for each in found:
        yield from _options(each)


def _options(annotation: Any) -> Iterator[Any]:
    """The types among which an annotation lets one choose, or the annotation itself."""
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _options(each)
    else:
        yield annotation


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
