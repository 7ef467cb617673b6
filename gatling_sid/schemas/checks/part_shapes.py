"""Says why a part leads no task: what keeps its roles from asking, its rows from being described, or its plan from working."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gatling_sid.schemas.checks.parts import sayable_conditions
from gatling_sid.schemas.composition.givens import givens_for
from gatling_sid.schemas.composition.look_ups import fields_taken, look_up_needs
from gatling_sid.schemas.composition.rules import look_ups, rows_allowed_by_group
from gatling_sid.schemas.composition.shape_types import Group, Target, Use
from gatling_sid.schemas.composition.shapes import entity_of_part, number_of
from gatling_sid.schemas.composition.targets import draw_target
from gatling_sid.seeding import stream

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_DRAWS = 24
_UNKNOWN = "rules leave no policy under which all calls of a task are allowed, or its columns are known from the search"


def why_no_shape(domain: Domain, name: str) -> str:
    """The reasons why a part leads no task, as far as they are known, role by role."""
    roles = dict.fromkeys(domain.file.parts[name].roles)
    reasons = {role: next(_reasons(domain, name, role), _UNKNOWN) for role in roles}
    roles_by_reason: dict[str, list[str]] = {}
    for role, reason in reasons.items():
        roles_by_reason.setdefault(reason, []).append(role)
    return "; ".join(f"for {', '.join(each)}, {reason}" for reason, each in roles_by_reason.items())


def _reasons(domain: Domain, name: str, role: str) -> Iterator[str]:
    """Yields reasons for one role, the first cause first."""
    part, entity = domain.file.parts[name], entity_of_part(domain, name)
    if givens_for(domain, role, part.tool) is None:
        yield f"rules forbid {part.tool}"
    if entity is None:
        return
    sayable = {*sayable_conditions(domain, part, entity, role)}
    for demanded in part.must_say:
        if demanded not in ("key", "mine") and demanded not in sayable:
            yield f"no condition {demanded!r} can be said; give the role the attribute, or the tool the filter"
    targets = [_draw_target(domain, name, role, entity, number) for number in range(_DRAWS)]
    found = [each for each in targets if each is not None]
    if not found:
        yield _why_no_rows(domain, name, sayable)
    for target in found:
        yield from _why_not_served(domain, name, role, target)


def _draw_target(domain: Domain, name: str, role: str, entity: str, number: int) -> Target | None:
    rng = stream(domain.slug, "reasons", name, role, number)
    can_be = number_of(domain, name)
    is_many = can_be == "many" or (can_be == "both" and number % 2 == 0)
    return draw_target(domain, role, (name,), entity, rng, is_many=is_many)


def _why_no_rows(domain: Domain, name: str, sayable: set[str]) -> str:
    if not sayable:
        return "no condition on its rows can be said; write `said` for fields that a list tool filters by"
    if number_of(domain, name) == "one":
        return "no condition singles out one row; write `said` for a name or number that a tool finds it by"
    return "the conditions select too few or too many rows, or cannot stand in one phrase; allow more fields with `by`"


def _why_not_served(domain: Domain, name: str, role: str, target: Target) -> Iterator[str]:
    group = Group(target, (Use(name),))
    needs = look_up_needs(domain, role, group)
    if needs.tool == "":
        known = {*domain.file.tools[target.search].returns} if target.search else set()
        fields = sorted({*_fields_needed(domain, name, role)} - known)
        by = "a list tool by keys" if target.is_many else "a get tool"
        yield f"{by} that shows {', '.join(fields)} of {target.entity} is missing, or rules forbid it"
    where = rows_allowed_by_group(domain, role, group, [{}], needs.tool)
    for field, operand in where.items():
        if operand.get("in") == []:
            yield f"rules, tool and `where` allow no row, whatever its {field}"


def _fields_needed(domain: Domain, name: str, role: str) -> Iterator[str]:
    part = domain.file.parts[name]
    yield from fields_taken(domain, name)
    entity = entity_of_part(domain, name) or domain.file.tools[part.tool].entity
    for look_up in look_ups(domain, role, part.tool, part.arguments, entity):
        yield from look_up.fields
