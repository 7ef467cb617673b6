"""Does the plan keep every rule: one small function per kind of constraint, and the policy's own short forms.

Functions yield a message per breach. Those that look at what calls did need a replay; the others judge what calls
declare, so that they hold for traces of domains the catalogue does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard

from gatling_sid.models import SensitivityTier, ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.schemas.references import references_in
from gatling_sid.simulator.operations import Outcome, State, selected
from gatling_sid.simulator.world import Row
from gatling_sid.validators import data_flow
from gatling_sid.validators.case import Case
from gatling_sid.validators.periods import days_reached

Judge = Callable[[Any, Case], Iterator[str]]


def _bound(parameters: k.Parameters, case: Case) -> list[ToolCall]:
    """The calls a constraint speaks of."""
    return [call for call in case.ordered if parameters.binds(case.role, call.tool_id)]


def _changed(case: Case, call: ToolCall, entity: str) -> Iterator[tuple[str, Row]]:
    """(key, row before) of every row of an entity that a call changes."""
    outcome = case.outcomes.get(call.call_id)
    if outcome is not None and outcome.entity == entity and outcome.effects and outcome.effects[0].kind != "export":
        yield from outcome.rows


def _views(case: Case, before: str, entity: str, key: str) -> Iterator[Row]:
    """What calls that must run before this one returned of a row: its fields as they then were."""
    for call_id in case.ancestors(before):
        outcome = case.outcomes.get(call_id)
        if outcome is None or outcome.entity != entity or outcome.figure is not None:
            continue
        if any(effect.kind == "export" for effect in outcome.effects):
            continue
        changes = next((effect.changes for effect in outcome.effects if effect.kind == "update"), {})
        for each, row in outcome.rows:
            if each == key:
                yield {field: changes.get(field, row[field]) for field in outcome.fields}


def _was_shown(case: Case, before: str, entity: str, key: str, field: str, value: Any) -> bool:
    """Whether calls that must run before this one returned this value of the row, not an older one."""
    return any(field in view and view[field] == value for view in _views(case, before, entity, key))


# --- what calls ask for ----------------------------------------------------------------------------------------


def records_taken(case: Case, call: ToolCall) -> int:
    """Rows that a call declares or, if more, returned; none for a figure, whose declared rows are its groups."""
    tool, outcome = case.tools.get(call.tool_id), case.outcomes.get(call.call_id)
    if tool is not None and tool.tool.operation == "aggregate":
        return 0
    return max(call.scope.rows_requested or 0, len(outcome.rows) if outcome else 0)


def row_limit(limit: k.RowLimit, case: Case) -> Iterator[str]:
    """Rows asked for and rows returned stay within the limit."""
    for call in _bound(limit, case):
        rows = records_taken(case, call)
        if rows > limit.max_rows:
            yield f"{call.call_id} takes {rows} rows; {limit.max_rows} are allowed"


def time_range(limit: k.TimeRange, case: Case) -> Iterator[str]:
    """No period reaches further than allowed."""
    for call in _bound(limit, case):
        days = days_reached(case, call)
        if days > limit.max_days:
            yield f"{call.call_id} looks back {days} days; {limit.max_days} are allowed"


def sensitivity_ceiling(ceiling: k.SensitivityCeiling, case: Case) -> Iterator[str]:
    """Nothing above the tier is read or written, nor shows in what a call filters or sorts by."""
    for call in _bound(ceiling, case):
        tool = case.tools.get(call.tool_id)
        if ceiling.entity is not None and (tool is None or tool.entity != ceiling.entity):
            continue
        tier = max(call.scope.sensitivity_tier, _tier_of_selection(case, call), key=lambda each: each.level)
        if tier.level > ceiling.max_tier.level:
            yield f"{call.call_id} takes {tier.value} data; the ceiling is {ceiling.max_tier.value}"


def _tier_of_selection(case: Case, call: ToolCall) -> SensitivityTier:
    """The highest tier among the fields by which a call picks and sorts rows: its result tells of them too."""
    tool = case.tools.get(call.tool_id)
    if tool is None:
        return SensitivityTier.PUBLIC
    order = (tool.tool.order or "").removeprefix("-")
    picked = [field for name, field, _ in tool.filters if name in call.arguments or name in tool.defaults]
    return tool.sensitivity((*picked, order) if order else tuple(picked))


def targets_of(case: Case, call: ToolCall) -> set[str]:
    """Where a call sends an export: as declared and, if the tool is known, as its argument or default says."""
    tool = case.tools.get(call.tool_id)
    name = tool.by_role.get("target") if tool is not None else None
    named = case.argument(call, name) if name is not None else None
    return {each for each in (call.scope.export_target, named) if isinstance(each, str) and not references_in(each)}


def export_targets(allowed: k.ExportTargets, case: Case) -> Iterator[str]:
    """Exports go to allowed targets only."""
    for call in _bound(allowed, case):
        for target in sorted(targets_of(case, call) - set(allowed.allowed)):
            yield f"{call.call_id} exports to {target}; allowed are {', '.join(allowed.allowed) or 'none'}"


def export_sensitivity(limit: k.ExportSensitivity, case: Case) -> Iterator[str]:
    """What leaves to these targets stays below the tier."""
    for call in _bound(limit, case):
        if targets_of(case, call) & set(limit.targets) and call.scope.sensitivity_tier.level > limit.max_tier.level:
            yield f"{call.call_id} exports {call.scope.sensitivity_tier.value} data; the ceiling is {limit.max_tier.value}"


def may_not_call(forbidden: k.MayNotCall, case: Case) -> Iterator[str]:
    """The tools are not called."""
    for call in _bound(forbidden, case):
        yield (
            f"{call.call_id} calls {call.tool_id}, which {case.role or 'nobody'} may not"
            if forbidden.roles
            else (f"{call.call_id} calls {call.tool_id}, which nobody may")
        )


def argument_max(limit: k.ArgumentMax, case: Case) -> Iterator[str]:
    """The argument is no larger than allowed."""
    for call in _bound(limit, case):
        for value in _elements(case.argument(call, limit.argument)):
            number = _number(value)
            if number is not None and not number <= limit.max_value:
                yield f"{call.call_id} has {limit.argument} {value}; at most {limit.max_value:g} is allowed"


def argument_values(allowed: k.ArgumentValues, case: Case) -> Iterator[str]:
    """The argument is one of those allowed."""
    for call in _bound(allowed, case):
        for value in _elements(case.argument(call, allowed.argument)):
            if value not in allowed.allowed:
                yield f"{call.call_id} has {allowed.argument} {value!r}; allowed are {', '.join(map(str, allowed.allowed))}"


def argument_required(required: k.ArgumentRequired, case: Case) -> Iterator[str]:
    """The argument is given."""
    for call in _bound(required, case):
        if _is_blank(case.argument(call, required.argument)):
            yield f"{call.call_id} does not give {required.argument}"


def narrowed_by(filters: k.NarrowedBy, case: Case) -> Iterator[str]:
    """At least one of the filters is given, and lets not all rows through."""
    for call in _bound(filters, case):
        if not any(_narrows(case, call, name) for name in filters.arguments):
            yield f"{call.call_id} is narrowed by none of {', '.join(filters.arguments)}"


def _narrows(case: Case, call: ToolCall, name: str) -> bool:
    """Whether a filter is given and, as far as that can be seen, some row of the world does not pass it."""
    value = case.argument(call, name)
    tool = case.tools.get(call.tool_id)
    if _is_blank(value):
        return False
    if tool is None or call.call_id not in case.outcomes or name not in {each for each, _, _ in tool.filters}:
        return True
    return len(selected(tool, {name: value}, State(case.world))) < len(case.world.tables[tool.entity])


def _elements(value: Any) -> list[Any]:
    """The values that an argument gives: those of a list, itself, or none if it is not given."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_blank(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


# --- what calls do ---------------------------------------------------------------------------------------------


def read_before_change(look_up: k.ReadBeforeChange, case: Case) -> Iterator[str]:
    """A row was returned, with these fields, by calls that had to run before the change."""
    for call in _bound(look_up, case):
        for key, _ in _changed(case, call, look_up.entity):
            read = {field for view in _views(case, call.call_id, look_up.entity, key) for field in view}
            if not read.issuperset(look_up.fields):
                yield f"{call.call_id} changes {look_up.entity} {key} before {', '.join(look_up.fields)} of it were read"


def state_before_change(state: k.StateBeforeChange, case: Case) -> Iterator[str]:
    """The row is in an allowed state, and an earlier call showed so."""
    for call in _bound(state, case):
        for key, row in _changed(case, call, state.entity):
            value = row.get(state.field)
            if value not in state.allowed:
                yield f"{call.call_id} changes {state.entity} {key}, whose {state.field} is {value!r}"
            elif not _was_shown(case, call.call_id, state.entity, key, state.field, value):
                yield f"{call.call_id} changes {state.entity} {key} before its {state.field} was read"


def amount_limit(limit: k.AmountLimit, case: Case) -> Iterator[str]:
    """The row's amount is within the limit, and an earlier call showed it."""
    for call in _bound(limit, case):
        for key, row in _changed(case, call, limit.entity):
            amount = row.get(limit.field)
            if _is_number(amount) and amount > limit.max_value:
                yield f"{call.call_id} changes {limit.entity} {key}, whose {limit.field} {amount} is above {limit.max_value:g}"
            elif not _was_shown(case, call.call_id, limit.entity, key, limit.field, amount):
                yield f"{call.call_id} changes {limit.entity} {key} before its {limit.field} was read"


def _principal_value(case: Case, attribute: str) -> Any:
    principal = case.trace.request.principal
    return principal.attributes.get(attribute) if principal else None


def own_records(own: k.OwnRecords, case: Case) -> Iterator[str]:
    """Rows read, changed, created or written about are the principal's own; one that is nobody's is not."""
    mine = _principal_value(case, own.attribute)
    for call in _bound(own, case):
        outcome = case.outcomes.get(call.call_id)
        if outcome is not None and outcome.entity == own.entity:
            for key, row in (*outcome.rows, *outcome.created):
                if mine is None or row.get(own.field) != mine:
                    yield f"{call.call_id} touches {own.entity} {key}, whose {own.field} is not {mine!r}"


def not_own(own: k.NotOwn, case: Case) -> Iterator[str]:
    """Changed rows are not the principal's own."""
    mine = _principal_value(case, own.attribute)
    for call in _bound(own, case):
        for key, row in _changed(case, call, own.entity):
            if row.get(own.field) == mine:
                yield f"{call.call_id} changes {own.entity} {key}, which is the requester's own ({own.field})"


def notify_after(notice: k.NotifyAfter, case: Case) -> Iterator[str]:
    """After each change, a later call of the notifying tool reaches the row's address about that row."""
    for call in _bound(notice, case):
        for key, row in _changed(case, call, notice.entity):
            address = row.get(notice.recipient_field)
            if not any(
                each.tool_id == notice.notify
                and call.call_id in case.ancestors(each.call_id)
                and any(
                    effect.entity == notice.entity and effect.target == address and key in effect.rows
                    for outcome in (case.outcomes.get(each.call_id),)
                    if outcome is not None
                    for effect in outcome.effects
                )
                for each in case.ordered
            ):
                yield f"{call.call_id} changes {notice.entity} {key}, and {notice.notify} never tells {address}"


def recipients(allowed: k.Recipients, case: Case) -> Iterator[str]:
    """Messages reach only addresses with an allowed ending."""
    for call in _bound(allowed, case):
        outcome = case.outcomes.get(call.call_id)
        for effect in outcome.effects if outcome else ():
            if effect.kind == "send" and not any(_ends_with(str(effect.target), each) for each in allowed.endings):
                yield f"{call.call_id} writes to {effect.target}; allowed are addresses ending in {', '.join(allowed.endings)}"


def _ends_with(address: str, ending: str) -> bool:
    """Whether an address is of a host, or is that address: `elm.example` covers `a@b.elm.example`, not `a@helm.example`."""
    address, ending = (each.strip().rstrip(".").casefold() for each in (address, ending))
    if address.count("@") != 1 or not ending:
        return False
    return address == ending or address.endswith(ending if ending[0] in "@." else (f"@{ending}", f".{ending}"))


def batch_limit(limit: k.BatchLimit, case: Case) -> Iterator[str]:
    """All calls together change no more rows than allowed."""
    calls = [(call, case.outcomes.get(call.call_id)) for call in _bound(limit, case)]
    changed = {each for call, outcome in calls if outcome for each in _records_changed(call, outcome)}
    if len(changed) > limit.max_records:
        yield f"the plan changes {len(changed)} records; {limit.max_records} are allowed"


def _records_changed(call: ToolCall, outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    """What a call changes, so that a row changed twice is one; what it creates or sends is a record of its own."""
    for effect in outcome.effects:
        stays = effect.kind in ("update", "delete")
        for key in effect.rows or [""]:
            yield ("row", effect.entity, key) if stays else (effect.kind, call.call_id, key)


DECLARED: Mapping[str, Judge] = {
    "row_limit": row_limit,
    "time_range": time_range,
    "sensitivity_ceiling": sensitivity_ceiling,
    "export_targets": export_targets,
    "export_sensitivity": export_sensitivity,
    "may_not_call": may_not_call,
    "argument_max": argument_max,
    "argument_values": argument_values,
    "argument_required": argument_required,
    "narrowed_by": narrowed_by,
}
"""Kinds that can be judged by what calls declare."""

INFORMED: Mapping[str, Judge] = {
    "read_before_change": read_before_change,
    "state_before_change": state_before_change,
    "amount_limit": amount_limit,
}
"""Kinds that condition a change on what an earlier call showed."""

REPLAYED: Mapping[str, Judge] = {
    **INFORMED,
    "own_records": own_records,
    "not_own": not_own,
    "notify_after": notify_after,
    "no_flow": data_flow.no_flow,
    "recipients": recipients,
    "batch_limit": batch_limit,
}
"""Kinds that can be judged only by what calls did."""

JUDGES: Mapping[str, Judge] = {**DECLARED, **REPLAYED}


# --- the rules of the policy check -----------------------------------------------------------------------------


def breaches(case: Case) -> Iterator[tuple[str, str, str]]:
    """(constraint id, kind, message) of every breach, of the kinds that can be judged."""
    replayed = case.execution is not None
    for constraint_id, kind, parameters in case.constraints:
        if replayed or kind in DECLARED:
            for message in JUDGES[kind](parameters, case):
                yield constraint_id, kind, message


def constraints_hold(case: Case) -> Iterator[str]:
    """Every constraint holds, at every call and along the data flow."""
    for constraint_id, _, message in breaches(case):
        yield f"{constraint_id}: {message}"


def constraints_are_well_formed(case: Case) -> Iterator[str]:
    """Every constraint is of a known kind, has its parameters, and stands for a rule; none names a rule that is not."""
    yield from case.malformed
    rules = len(case.trace.policy.rules)
    for each in case.trace.policy.constraints:
        if not 0 <= each.rule < rules:
            yield f"constraint {each.constraint_id!r} stands for rule {each.rule}, and there are {rules}"


def rules_are_backed(case: Case) -> Iterator[str]:
    """In a policy that has constraints, every sentence has one."""
    policy = case.trace.policy
    backed = {each.rule for each in policy.constraints}
    for index, sentence in enumerate(policy.rules):
        if policy.constraints and index not in backed:
            yield f"rule {index} has no constraint: {sentence}"


def forbidden_operations_are_absent(case: Case) -> Iterator[str]:
    """No call is of a forbidden operation, named by tool id, by tool name, or by the verb a tool's name begins with."""
    forbidden = {each.casefold(): each for each in case.trace.policy.forbidden_operations}
    for call in case.trace.graph.calls if forbidden else ():
        tool_id = call.tool_id.casefold()
        name = tool_id.rpartition(".")[2]
        operation = case.tools[call.tool_id].tool.operation if call.tool_id in case.tools else ""
        for each in {tool_id, name, name.partition("_")[0], operation} & forbidden.keys():
            yield f"{call.call_id} calls {call.tool_id}; {forbidden[each]!r} is forbidden"


def scope_limits_hold(case: Case) -> Iterator[str]:
    """Declared scopes stay within the short-form limits of the policy."""
    limits = case.trace.policy.scope_limits
    for call in case.trace.graph.calls if limits else ():
        scope = call.scope
        for names, value in ((ROW_NAMES, scope.rows_requested), (DAY_NAMES, scope.time_range_days)):
            for name in names & limits.keys():
                if _is_number(limits[name]) and value is not None and value > limits[name]:
                    yield f"{call.call_id} has {value}; {name} is {limits[name]}"
        for name in TIER_NAMES & limits.keys():
            tier = _tier(limits[name])
            if tier is not None and scope.sensitivity_tier.level > tier.level:
                yield f"{call.call_id} takes {scope.sensitivity_tier.value} data; {name} is {tier.value}"
        for name in TARGET_NAMES & limits.keys():
            allowed = limits[name] if isinstance(limits[name], list) else [limits[name]]
            if scope.export_target is not None and scope.export_target not in allowed:
                yield f"{call.call_id} exports to {scope.export_target}; {name} is {', '.join(map(str, allowed)) or 'empty'}"


ROW_NAMES = frozenset({"max_rows", "max_rows_requested", "rows_requested", "row_limit"})
DAY_NAMES = frozenset({"max_time_range_days", "max_days", "time_range_days", "max_date_range_days"})
TIER_NAMES = frozenset({"max_sensitivity_tier", "max_sensitivity", "sensitivity_tier"})
TARGET_NAMES = frozenset({"allowed_export_targets", "export_targets", "export_target"})
LIMIT_NAMES = ROW_NAMES | DAY_NAMES | TIER_NAMES | TARGET_NAMES


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any) -> float | None:
    """The number that a value is or, as text, spells; None if it is none."""
    if _is_number(value):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _tier(value: object) -> SensitivityTier | None:
    try:
        return SensitivityTier(value.casefold() if isinstance(value, str) else value)
    except ValueError:
        return None


def informed_changes(case: Case) -> Iterator[str]:
    """A change that a rule conditions on a look-up has that look-up before it."""
    for constraint_id, kind, parameters in case.constraints:
        if kind in INFORMED:
            for message in INFORMED[kind](parameters, case):
                yield f"{constraint_id}: {message}"
