"""Builds the scenario of a composed task: its draws, slots, goal and plan follow from its shape and from the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.composition.argument_draws import ArgumentDraws, parameter_that
from gatling_sid.schemas.composition.conditions import StatedCondition, name_search, parameter_of
from gatling_sid.schemas.composition.draft import Arguments, Evidence, TaskDraft
from gatling_sid.schemas.composition.goal_parts import goal_part_of
from gatling_sid.schemas.composition.interference import is_about_rows
from gatling_sid.schemas.composition.look_ups import LookUpNeeds, fields_to_tell, is_covered, look_up_needs
from gatling_sid.schemas.composition.refusals import rests_on_row
from gatling_sid.schemas.composition.rows import RowDraws
from gatling_sid.schemas.composition.rules import evidence_of, rows_allowed_by_group, rules_binding
from gatling_sid.schemas.composition.shape_types import Shape, Target, Use
from gatling_sid.schemas.tool_ids import limits_of_tool

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_SPOKEN_PURPOSES = {
    "columns": "select", "field": "measured", "measure": "measure", "group": "group", "target": "target",
    "format": "format",
}  # fmt: skip
"""The purposes of parameters that verb phrases may name by a word, since the shared voice knows no domain's arguments."""
COMPOSED = "$composed"
"""The first element of an argument that is a text of the assistant; the others are the expressions of what it tells."""


class UseWords(NamedTuple):
    """What sentences need to know about a use of a part: the slot of each argument that the request states.

    `slots` has it by the argument's name and by its purpose (`columns`, `field`, `measure`, `group`, `target`, `format`).
    """

    use: Use
    part: c.Part
    tool: c.Tool
    slots: Mapping[str, str]
    arguments: Mapping[str, str]
    """The name of the argument for each purpose."""


class GroupWords(NamedTuple):
    """What sentences need to know about a group: its target, with the slot of each condition, and its uses."""

    target: Target | None
    slots: Mapping[StatedCondition, str]
    number_slot: str
    order_slot: str
    key_slot: str
    uses: tuple[UseWords, ...]


class ComposedTask(NamedTuple):
    """A composed task: the scenario without phrasings, and what sentences need to know."""

    shape: Shape
    scenario: c.Scenario
    groups: tuple[GroupWords, ...]


def build_task(domain: Domain, shape: Shape) -> ComposedTask:
    """The task of a shape."""
    draft = TaskDraft()
    builders = [_GroupBuilder(domain, shape, at, draft) for at in range(len(shape.groups))]
    groups = tuple(each.build() for each in builders)
    refused = builders[shape.refusal.group if shape.refusal else 0]
    if shape.refusal is not None:
        draft.refuse(refused.letter, refused.evidence(), kind="declined" if len(groups) == 1 else "partly_served")
    elif shape.is_ambiguous:
        draft.refuse(refused.letter, refused.rows_that_fit(), kind="needs_question")
    return ComposedTask(shape, draft.scenario(shape), groups)


class _GroupBuilder:
    """Adds one group to a task: draws its rows, finds and looks them up, and applies its parts."""

    def __init__(self, domain: Domain, shape: Shape, at: int, draft: TaskDraft) -> None:
        self.domain, self.role, self.letter, self.draft = domain, shape.role, "abc"[at], draft
        self.group = group = shape.groups[at]
        self.refusal = shape.refusal if shape.refusal is not None and shape.refusal.group == at else None
        self.is_ambiguous = shape.is_ambiguous
        self.target = group.target
        self.names = [domain.file.parts[use.part].tool for use in group.uses]
        self.tools = [domain.file.tools[name] for name in self.names]
        self.search = domain.file.tools[self.target.search] if self.target and self.target.search else None
        self.rows = RowDraws(domain, self.letter, self.target, draft.draws, draft.slots) if self.target else None
        self.needs = look_up_needs(domain, self.role, group) if self.target else LookUpNeeds(None, (), {}, {})
        self.values = ArgumentDraws(domain, self.role, self.letter, self.target, self.refusal, draft)
        self.find, self.check = f"{self.letter}_find", f"{self.letter}_check"

    def build(self) -> GroupWords:
        known = [dict(self.values.first(number, use)) for number, use in enumerate(self.group.uses, 1)]
        if self.target is not None and self.rows is not None:
            fixed = [
                {name: self.draft.slots.get(self.values.slot(number, name)) for name in tool.parameters}
                for number, tool in enumerate(self.tools, 1)
            ]
            allowed = self._rows_allowed(fixed)
            tools = list(dict.fromkeys([*([self.target.search] if self.target.search else []), *self.names]))
            measures_only = all(tool.operation == "aggregate" for tool in self.tools)
            key = self.domain.file.entities[self.target.entity].key
            for other in self.draft.single_rows.get(self.target.entity, ()):  # two groups are about two rows
                allowed.setdefault(key, {}).setdefault("not_in", []).append(f"${other}.{key}")
            if not self.target.is_many:
                self.draft.single_rows.setdefault(self.target.entity, []).append(self.rows.seed)
            self.rows.draw(allowed, tools, measures_only=measures_only, is_ambiguous=self.is_ambiguous)
            self._require_recipients(self.target)
            if self.rows.time_range is not None:
                self.draft.time_ranges[self.letter] = self.rows.time_range
            self._add_searches(self.target)
            self._add_look_up(self.target)
        uses, due = [], list[int]()
        for number, use in enumerate(self.group.uses, 1):
            is_delete = (
                self.tools[number - 1].operation == "delete"
            )  # afterwards, nobody can be written to about the row
            notices = self._add_notices(due) if is_delete else []
            uses.append(self._add_use(number, use, known[number - 1], notices))
            if self.tools[number - 1].operation == "aggregate":
                self._take_before_search()
            due = [number] if is_delete else [*due, number]
        self._add_notices(due)
        slots = self.rows.condition_slots if self.rows else {}
        name = self.letter
        return GroupWords(self.target, slots, f"{name}_first", f"{name}_order", f"{name}_key", tuple(uses))

    def _rows_allowed(self, fixed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The conditions on rows to which the parts may be applied, or must not be; if several fit, on rows to be read."""
        group = self.group._replace(uses=()) if self.is_ambiguous else self.group
        look_up = None if self.is_ambiguous else self.needs.tool
        refused = self.refusal.rule if self.refusal else None
        values = [] if self.is_ambiguous else fixed
        return rows_allowed_by_group(self.domain, self.role, group, values, look_up, refused)

    def evidence(self) -> Evidence:
        """What shows that a rule forbids the parts; nothing does if the request and the policy tell."""
        if self.refusal is None or not rests_on_row(self.domain, self.refusal) or self.rows is None:
            return Evidence()
        fields = evidence_of(self.domain, self.refusal.rule)
        is_found = self.search is not None and {*fields} <= {*self.search.returns}
        searches = [each.step for each in self.draft.steps if each.step[0] == self.letter and "_find" in each.step]
        shows = c.GoalShowing.model_construct(rows=self.rows.name, fields=list(fields))
        return Evidence((*searches, *([] if is_found else [self.check])), shows)

    def rows_that_fit(self) -> Evidence:
        """The search alone, which shows that several rows fit."""
        assert self.rows is not None
        assert self.target is not None
        searches = [each.step for each in self.draft.steps if "_find" in each.step]
        key = self.domain.file.entities[self.target.entity].key
        return Evidence(tuple(searches), c.GoalShowing.model_construct(rows=f"{self.letter}_rows", fields=[key]))

    def _take_before_search(self) -> None:
        """Moves the last step, a measure that needs no rows, before their search, since it is asked for first."""
        steps = self.draft.steps
        at = next((at for at, each in enumerate(steps) if each.step == self.find), len(steps) - 1)
        steps.insert(at, steps.pop())

    # --- finding the rows

    def _require_recipients(self, target: Target) -> None:
        """Leaves out rows to whose addresses no message may go, if a rule limits the recipients of a part."""
        for number, (name, tool) in enumerate(zip(self.names, self.tools, strict=True), 1):
            rules = [rule.kind for _, rule in rules_binding(self.domain, self.role, name)]
            if tool.operation == "send" and "recipients" in rules and tool.entity == target.entity and tool.addressee:
                self.draft.draws[f"{self.letter}{number}_allowed"] = c.AddressDraw.model_construct(
                    address=f"${self.letter}_seed.{tool.addressee[0]}", allowed_by=f"{limits_of_tool(name)}.recipients"
                )

    def _add_searches(self, target: Target) -> None:
        assert self.rows is not None
        for condition in target.conditions:
            if condition.how == "via":
                referenced = self.domain.referenced_entity(self.domain.file.entities[target.entity], condition.field)
                found = name_search(self.domain, referenced, condition.key)
                assert found is not None
                slot = self.rows.condition_slots[condition]
                self.draft.add_step(f"{slot}_find", found[0], {found[1]: f"$request.{slot}"})
        if self.search is None or target.search is None:
            return
        arguments = self._filters(self.search, target)
        if target.search in self.names:
            number = self.names.index(target.search) + 1
            if self.group.uses[number - 1].columns:
                arguments[parameter_that(self.search, "select")] = f"$request.{self.values.slot(number, 'columns')}"
        self.draft.add_step(self.find, target.search, arguments)

    def _filters(self, tool: c.Tool, target: Target) -> Arguments:
        arguments: Arguments = {}
        for condition in target.conditions:
            parameter = parameter_of(tool, condition)
            assert parameter is not None
            arguments[parameter] = self._source_of(condition, target)
        if target.order is not None and tool is self.search:
            arguments[parameter_that(tool, "limit")] = f"$request.{self.letter}_first"
            if target.order:
                arguments[parameter_that(tool, "sort")] = f"$request.{self.letter}_order"
        return arguments

    def _source_of(self, condition: StatedCondition, target: Target) -> str:
        assert self.rows is not None
        if condition.how == "mine":
            return f"$principal.{condition.key}"
        slot = self.rows.condition_slots[condition]
        if condition.how == "via":
            referenced = self.domain.referenced_entity(self.domain.file.entities[target.entity], condition.field)
            return f"${slot}_find.items[0].{self.domain.file.entities[referenced].key}"
        return f"$request.{slot}"

    def _add_look_up(self, target: Target) -> None:
        """Adds the one look-up of the rows that rules or parts need beside the search."""
        if self.needs.tool is not None:
            purpose = "keys" if target.is_many else "key"
            arguments: Arguments = {parameter_that(self.domain.file.tools[self.needs.tool], purpose): self._key()}
            looked_up = {rule for rules in self.needs.tools_that_look_up.values() for rule in rules}
            rules = list(self.needs.rules)
            quotes = [each for each in rules if each in looked_up]
            self.draft.add_step(self.check, self.needs.tool, arguments, when=rules, quotes=quotes)

    def _key(self) -> str:
        target = self.target
        assert target is not None
        key = self.domain.file.entities[target.entity].key
        if target.by_key:
            return f"$request.{self.letter}_key"
        if target.search is None:
            return f"$principal.{key}"
        return f"${self.find}.items[{'*' if target.is_many else 0}].{key}"

    def _expression_of(self, field: str) -> str:
        """The expression for a field of the row that was found."""
        target = self.target
        assert target is not None
        stated_in = self.domain.file.entities[target.entity].fields[field].stated_in
        if stated_in is not None:
            return f"{self._expression_of(stated_in)}.{field}"
        if field == self.domain.file.entities[target.entity].key:
            return self._key()
        if target.search is None and not target.by_key and field in self.domain.file.roles[self.role].attributes:
            return f"$principal.{field}"
        if self.search is not None and field in self.search.returns:
            return f"${self.find}.items[{'*' if target.is_many else 0}].{field}"
        number = next((at for at, tool in enumerate(self.tools, 1) if tool.operation == "get"), None)
        if number is not None and self.needs.tool is None:
            return f"${self.letter}{number}_do.{field}"
        return f"${self.check}.items[*].{field}" if target.is_many else f"${self.check}.{field}"

    # --- arguments

    def _draw_composed(self, number: int, argument: str, fields: list[str]) -> str:
        """Draws the text that tells fields of the found row; returns its expression."""
        assert self.target is not None
        name = self.values.slot(number, argument)
        self.draft.draws[name] = c.ComposedDraw.model_construct(
            composed=fields, of=f"${self.letter}_seed", entity=self.target.entity
        )
        return f"${name}"

    def _arguments(
        self, number: int, use: Use, tool: c.Tool, slots: Mapping[str, str]
    ) -> tuple[Arguments, dict[str, Any]]:
        """The arguments of a part's call, and the values they have in terms of draws, by parameter."""
        part = self.domain.file.parts[use.part]
        arguments: Arguments = {}
        values: dict[str, Any] = {}
        for name, parameter in tool.parameters.items():
            given = part.arguments.get(name)
            if name in slots:
                arguments[name] = f"$request.{slots[name]}"
                values[name] = self.draft.slots[slots[name]]
            elif fields_to_tell(given):
                fields = list(fields_to_tell(given)[dict(use.choices)[name]])
                arguments[name] = [COMPOSED, *map(self._expression_of, fields)]
                values[name] = self._draw_composed(number, name, fields)
            elif isinstance(given, str):
                root, _, field = given.removeprefix("$").partition(".")
                arguments[name] = self._expression_of(field) if root == "found" else given
                values[name] = f"${self.letter}_seed.{field}" if root == "found" else given
            elif parameter.does in ("key", "keys", "about") and self._takes_key(tool, parameter):
                is_single = parameter.does == "keys" and self.target is not None and not self.target.is_many
                arguments[name] = [self._key()] if is_single else self._key()
            elif parameter.does == "recipient" and self.target is not None and tool.addressee:
                arguments[name] = self._expression_of(tool.addressee[0])
                values[name] = f"${self.letter}_seed.{tool.addressee[0]}"
        has_keys = any(tool.parameters[name].does == "keys" for name in arguments)
        if self.target is not None and tool.operation in ("list", "aggregate", "export") and not has_keys:
            arguments = {**self._filters(tool, self.target), **arguments}
        return arguments, values

    def _takes_key(self, tool: c.Tool, parameter: c.Parameter) -> bool:
        """Whether a parameter takes the key of the rows; a tool that filters takes it only from a search."""
        if self.target is None or tool.entity != self.target.entity:
            return False
        filters = parameter.does == "keys" and tool.operation in ("list", "aggregate")
        selects_itself = parameter.does == "keys" and self.target.is_many and self.target.search is None
        return not filters and not selects_itself

    # --- parts

    def _add_use(self, number: int, use: Use, known: dict[str, str], before: Sequence[str]) -> UseWords:
        part, tool = self.domain.file.parts[use.part], self.tools[number - 1]
        slots = self.values.later(number, use, known)
        arguments, values = self._arguments(number, use, tool, slots)
        if not (tool.operation == "list" and self.target is not None and self.target.search == part.tool):
            after, after_when = self._order(number, arguments)
            step = f"{self.letter}{number}_do"
            self.draft.add_step(step, part.tool, arguments, [*after, *before], after_when=after_when)
        goal_part = goal_part_of(use, tool, self.rows.name if self.rows else "", values)
        self.draft.goal_parts.append((self.letter, goal_part))
        by_purpose: dict[str, str] = {parameter.does: name for name, parameter in tool.parameters.items()}
        spoken = {word: by_purpose.get(purpose, "") for word, purpose in _SPOKEN_PURPOSES.items()}
        named = {word: slots[argument] for word, argument in spoken.items() if argument in slots}
        return UseWords(use, part, tool, {**slots, **named}, by_purpose)

    def _order(self, number: int, arguments: Arguments) -> tuple[list[str], dict[str, list[str]]]:
        """The steps after which a part's call must come: always, and where certain rules are in force."""
        name, tool = self.names[number - 1], self.tools[number - 1]
        after: list[str] = []
        look_up_rules = self.needs.tools_that_look_up.get(name, ())
        after_when = {self.check: list(look_up_rules)} if look_up_rules else {}
        earlier = [(f"{self.letter}{at}_do", self.names[at - 1], self.tools[at - 1]) for at in range(1, number)]
        match tool.operation:
            case "send":
                for step, other, each in earlier:
                    notifying = [notice.rule for notice in self.needs.notices.get(other, ()) if notice.tool == name]
                    if each.operation == "update" and is_about_rows(tool):
                        after.append(step)
                    elif notifying:
                        after_when[step] = notifying
            case "create":  # a new row copies what it is for
                copied = {each.field for each in self.domain.copied_fields(tool.entity).values()}
                after += [step for step, _, each in earlier if self._changed_by(each, step) & copied]
            case "delete":  # nothing can be done with a row that is gone
                after += [step for step, _, each in earlier if each.operation in ("send", "export", "update")]
            case "update" if self.needs.tool is not None:
                shown = {*self.domain.file.tools[self.needs.tool].returns}
                after += [self.check] if shown & _fields_written(tool, arguments) else []
        return after, after_when

    def _changed_by(self, tool: c.Tool, step: str) -> set[str | None]:
        """The fields of a row that a step of this group changes."""
        arguments = next((each.arguments for each in self.draft.steps if each.step == step), {})
        return _fields_written(tool, arguments) if tool.operation == "update" else set()

    def _add_notices(self, numbers: Sequence[int]) -> list[str]:
        """Adds the messages that rules demand after parts were applied to a row, each once; returns their steps."""
        target = self.target
        if target is None or target.is_many:
            return []
        causes: dict[str, list[str]] = {}
        for number in numbers:
            for notice in self.needs.notices.get(self.names[number - 1], ()):
                if not is_covered(self.domain, self.group, notice):
                    is_search = self.tools[number - 1].operation == "list"
                    causes.setdefault(notice.rule, []).append(self.find if is_search else f"{self.letter}{number}_do")
        for rule, steps in causes.items():
            notice = next(each for found in self.needs.notices.values() for each in found if each.rule == rule)
            sender = self.domain.file.tools[notice.tool]
            arguments: Arguments = {
                parameter_that(sender, "recipient"): self._expression_of(notice.recipient_field),
                parameter_that(sender, "about"): self._key(),
            }
            self.draft.add_step(f"{self.letter}_notify_{rule}", notice.tool, arguments, steps, [rule])
            address, row = f"${self.letter}_seed.{notice.recipient_field}", f"{self.letter}_seed"
            effect = c.SendEffect.model_construct(send=address, about=row, contents={}, when=rule)
            self.draft.goal_parts.append((self.letter, effect))
        return [f"{self.letter}_notify_{rule}" for rule in causes]


def _fields_written(tool: c.Tool, arguments: Mapping[str, Any]) -> set[str | None]:
    given = {p.field for n, p in tool.parameters.items() if n in arguments and p.does in ("set", "add", "subtract")}
    return {*tool.sets, *given}
