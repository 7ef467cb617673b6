"""Measures over rows (count, sum, average, minimum, maximum), over all rows or by group."""

from __future__ import annotations

from collections.abc import Callable

from gatling_sid.simulator.world import Row

_MEASURES: dict[str, Callable[[list[float]], float]] = {
    "sum": lambda values: round(sum(values), 2),
    "average": lambda values: round(sum(values) / len(values), 2),
    "minimum": min,
    "maximum": max,
}


def measure_rows(
    rows: list[Row], measure: str, field_name: str | None, group_by: str | None, top: int | None
) -> tuple[tuple[str | None, float], ...]:
    """The values of a measure, largest first: one (None, value) without `group_by`, else one (group, value) per group.

    At most `top` values are returned. Rows without a value in `field_name` are left out, except by `count`. Sum and
    average are rounded to two digits. Without any row there is no value.
    """
    groups: dict[str | None, list[Row]] = {}
    for row in rows:
        groups.setdefault(None if group_by is None else str(row[group_by]), []).append(row)
    values: list[tuple[str | None, float]] = []
    for group, members in groups.items():
        numbers = [] if field_name is None else [row[field_name] for row in members if row[field_name] is not None]
        if measure == "count":
            values.append((group, len(members)))
        elif numbers:
            values.append((group, _MEASURES[measure](numbers)))
    values.sort(key=lambda each: (-each[1], each[0] or ""))
    return tuple(values[:top])
