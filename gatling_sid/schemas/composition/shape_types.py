"""What a composed task consists of: groups of parts that are about the same rows."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from gatling_sid.schemas.composition.conditions import StatedCondition


class Target(NamedTuple):
    """The rows that a request is about, as its words describe them.

    `search` is the tool that finds them, None if no call has to. With `by_key`, the request states the key of one row.
    `order` is the order of which the first rows are meant: None for all rows, "" for the tool's own, else a value of its
    `sort` parameter.
    """

    entity: str
    search: str | None
    conditions: tuple[StatedCondition, ...]
    is_many: bool
    by_key: bool = False
    order: str | None = None

    def __str__(self) -> str:
        """The rows as part of the name of a task."""
        parts = ["key"] if self.by_key else [str(each) for each in self.conditions]
        parts += [f"first by {self.order or 'default'}"] if self.order is not None else []
        return f"{'many' if self.is_many else 'one'} by {', '.join(parts) or 'nothing'}"


class Use(NamedTuple):
    """A part as used in a task; `choices` are the arguments whose values the shape fixes."""

    part: str
    columns: tuple[str, ...] = ()
    choices: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        """The part with what is fixed, as part of the name of a task."""
        fixed = "".join(f" {name}={value}" for name, value in self.choices)
        return self.part + fixed + (f" [{', '.join(self.columns)}]" if self.columns else "")


class Group(NamedTuple):
    """Some rows, and the parts of the task that are about them, in the order in which they are asked for."""

    target: Target | None
    uses: tuple[Use, ...]

    def __str__(self) -> str:
        """The group as part of the name of a task."""
        return " + ".join(map(str, self.uses)) + (f" for {self.target}" if self.target else "")


Said = str
"""What the words of a task tell; two tasks that are said alike could have the same request."""


Way = Literal["row", "value", "policy"]
"""By what a task breaks a rule: an excluded row, a value beyond a limit, or the call under this policy."""


class RefusedGroup(NamedTuple):
    """The rule that one group of a task breaks, and by what: an excluded row, a value, or the call under this policy.

    `axis` has, for a call, the axis of the policy that decides, and the places of its values that forbid the call.
    """

    group: int
    rule: str
    way: Way
    axis: tuple[str, tuple[int, ...]] | None = None

    def __str__(self) -> str:
        """The refusal as part of the name of a task."""
        return f"{'abc'[self.group]} refused by {self.rule}"


class Shape(NamedTuple):
    """A composed task without its rows and values; `given` has the axis values under which it may be asked for.

    Tasks that are `said` alike, in different worlds, share their phrasings. A `refusal` says which rule forbids a group
    of the task; of one that `is_ambiguous`, several rows fit what is named as one.
    """

    role: str
    groups: tuple[Group, ...]
    given: tuple[tuple[str, tuple[Any, ...]], ...]
    said: Said
    refusal: RefusedGroup | None = None
    is_ambiguous: bool = False

    @property
    def name(self) -> str:
        """The name of the task as a scenario of the domain: role, parts, conditions."""
        variant = f" ({self.refusal})" if self.refusal else " (several rows fit)" if self.is_ambiguous else ""
        return f"{self.role}: " + "; ".join(map(str, self.groups)) + variant
