"""Does the plan keep every rule: one small function per kind of constraint, and the policy's own short forms.

Functions yield a message per breach. Those that look at what calls did need a replay; the others judge what calls
declare, so that they hold for traces of domains the catalogue does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard

from gatling_sid.models import ToolCall
from gatling_sid.schemas import constraints as k
from gatling_sid.schemas.references import reference_in
from gatling_sid.simulator.world import Row
from gatling_sid.validators.case import Case, references

Judge = Callable[[Any, Case], Iterator[str]]


def _bound(parameters: k.Parameters, case: Case) -> list[ToolCall]:
    """The calls a constraint speaks of."""
    return [call for call in case.ordered if parameters.binds(case.role, call.tool_id)]


def _changed(case: Case, call: ToolCall, entity: str) -> Iterator[tuple[str, Row]]:
    """(key, row before) of every row of an entity that a call changes."""
    outcome = case.outcomes.get(call.call_id)
    if outcome is not None and outcome.entity == entity and outcome.effects and outcome.effects[0].kind != "export":
        yield from outcome.rows


def _was_shown(case: Case, before: str, entity: str, key: str, fields: list[str]) -> bool:
    """Whether calls that must run before this one returned these fields of that row."""
    missing = set(fields)
    for call_id in case.ancestors(before):
        outcome = case.outcomes.get(call_id)
        if (
            outcome is not None
            and outcome.entity == entity
            and outcome.figure is None
            and not any(effect.kind == "export" for effect in outcome.effects)
            and any(each == key for each, _ in outcome.rows)
        ):
            missing -= set(outcome.fields)
    return not missing


# --- what calls ask for ----------------------------------------------------------------------------------------


def row_limit(limit: k.RowLimit, case: Case) -> Iterator[str]:
    """Rows asked for and rows returned stay within the limit."""
    for call in _bound(limit, case):
        outcome = case.outcomes.get(call.call_id)
        returned = len(outcome.rows) if outcome and outcome.figure is None else 0
        rows = max(call.scope.rows_requested or 0, returned)
        if rows > limit.max_rows:
            yield f"{call.call_id} takes {rows} rows; {limit.max_rows} are allowed"


def time_range(limit: k.TimeRange, case: Case) -> Iterator[str]:
    """Nothing looks back further than allowed."""
    for call in _bound(limit, case):
        days = max(call.scope.time_range_days or 0, case.days(call) or 0)
        if days > limit.max_days:
            yield f"{call.call_id} looks back {days} days; {limit.max_days} are allowed"


def sensitivity_ceiling(ceiling: k.SensitivityCeiling, case: Case) -> Iterator[str]:
    """Nothing above the tier is read or written."""
    for call in _bound(ceiling, case):
        outcome = case.outcomes.get(call.call_id)
        if ceiling.entity is not None and (outcome is None or outcome.entity != ceiling.entity):
            continue
        if call.scope.sensitivity_tier.level > ceiling.max_tier.level:
            yield f"{call.call_id} takes {call.scope.sensitivity_tier.value} data; the ceiling is {ceiling.max_tier.value}"


def targets_of(case: Case, call: ToolCall) -> set[str]:
    """Where a call sends an export: as declared and, if the tool is known, as its argument says."""
    targets = {call.scope.export_target}
    tool = case.tools.get(call.tool_id)
    if tool is not None and "target" in tool.by_role:
        value = call.arguments.get(tool.by_role["target"])
        targets.add(value if isinstance(value, str) and not reference_in(value) else None)
    return {each for each in targets if each is not None}


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
        whom = case.role if forbidden.roles else "everyone"
        yield f"{call.call_id} calls {call.tool_id}, which is forbidden to {whom}"


def _argument(case: Case, call: ToolCall, name: str) -> Any:
    """An argument's value: resolved if the plan was replayed, the tool's default if left out."""
    resolved = case.execution.arguments.get(call.call_id) if case.execution else None
    value = (resolved or call.arguments).get(name)
    tool = case.tools.get(call.tool_id)
    return tool.defaults.get(name) if value is None and tool is not None else value


def argument_max(limit: k.ArgumentMax, case: Case) -> Iterator[str]:
    """The argument is no larger than allowed."""
    for call in _bound(limit, case):
        value = _argument(case, call, limit.argument)
        if _is_number(value) and value > limit.max_value:
            yield f"{call.call_id} has {limit.argument} {value}; at most {limit.max_value:g} is allowed"


def argument_values(allowed: k.ArgumentValues, case: Case) -> Iterator[str]:
    """The argument is one of those allowed."""
    for call in _bound(allowed, case):
        value = _argument(case, call, allowed.argument)
        if value is not None and value not in allowed.allowed:
            yield f"{call.call_id} has {allowed.argument} {value!r}; allowed are {', '.join(map(str, allowed.allowed))}"


def argument_required(required: k.ArgumentRequired, case: Case) -> Iterator[str]:
    """The argument is given."""
    for call in _bound(required, case):
        if _argument(case, call, required.argument) is None:
            yield f"{call.call_id} does not give {required.argument}"


def narrowed_by(filters: k.NarrowedBy, case: Case) -> Iterator[str]:
    """At least one of the filters is given."""
    for call in _bound(filters, case):
        if not any(name in call.arguments for name in filters.arguments):
            yield f"{call.call_id} is narrowed by none of {', '.join(filters.arguments)}"


# --- what calls do ---------------------------------------------------------------------------------------------


def read_before_change(look_up: k.ReadBeforeChange, case: Case) -> Iterator[str]:
    """A row was returned, with these fields, by a call that had to run before the change."""
    for call in _bound(look_up, case):
        for key, _ in _changed(case, call, look_up.entity):
            if not _was_shown(case, call.call_id, look_up.entity, key, look_up.fields):
                yield f"{call.call_id} changes {look_up.entity} {key} before {', '.join(look_up.fields)} of it were read"


def state_before_change(state: k.StateBeforeChange, case: Case) -> Iterator[str]:
    """The row is in an allowed state, and an earlier call showed so."""
    for call in _bound(state, case):
        for key, row in _changed(case, call, state.entity):
            if row.get(state.field) not in state.allowed:
                yield f"{call.call_id} changes {state.entity} {key}, whose {state.field} is {row.get(state.field)!r}"
            elif not _was_shown(case, call.call_id, state.entity, key, [state.field]):
                yield f"{call.call_id} changes {state.entity} {key} before its {state.field} was read"


def amount_limit(limit: k.AmountLimit, case: Case) -> Iterator[str]:
    """The row's amount is within the limit, and an earlier call showed it."""
    for call in _bound(limit, case):
        for key, row in _changed(case, call, limit.entity):
            amount = row.get(limit.field)
            if _is_number(amount) and amount > limit.max_value:
                yield f"{call.call_id} changes {limit.entity} {key}, whose {limit.field} {amount} is above {limit.max_value:g}"
            elif not _was_shown(case, call.call_id, limit.entity, key, [limit.field]):
                yield f"{call.call_id} changes {limit.entity} {key} before its {limit.field} was read"


def _principal_value(case: Case, attribute: str) -> Any:
    principal = case.trace.request.principal
    return principal.attributes.get(attribute) if principal else None


def own_records(own: k.OwnRecords, case: Case) -> Iterator[str]:
    """Rows read or changed are the principal's own."""
    mine = _principal_value(case, own.attribute)
    for call in _bound(own, case):
        outcome = case.outcomes.get(call.call_id)
        if outcome is not None and outcome.entity == own.entity:
            for key, row in outcome.rows:
                if row.get(own.field) != mine:
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
                    effect.target == address and key in effect.rows
                    for outcome in (case.outcomes.get(each.call_id),)
                    if outcome is not None
                    for effect in outcome.effects
                )
                for each in case.ordered
            ):
                yield f"{call.call_id} changes {notice.entity} {key}, and {notice.notify} never tells {address}"


def no_flow(flow: k.NoFlow, case: Case) -> Iterator[str]:
    """Nothing read from these fields reaches the tools, through however many calls; nor do the tools read them."""
    fields = set(flow.fields)
    tainted: dict[str, str] = {}
    for call in case.ordered:
        outcome = case.outcomes.get(call.call_id)
        for name, reference in references(call):
            origin = case.outcomes.get(reference.root)
            named = next((str(step) for step in reversed(reference.path) if isinstance(step, str) and step != "*"), "")
            direct = origin is not None and origin.entity == flow.entity and named in fields
            if direct or reference.root in tainted:
                tainted.setdefault(
                    call.call_id, f"{name} carries {tainted.get(reference.root) or f'{flow.entity}.{named}'}"
                )
        if flow.binds(case.role, call.tool_id):
            if call.call_id in tainted:
                yield f"{call.call_id}: {tainted[call.call_id]} into {call.tool_id}"
            elif outcome is not None and outcome.entity == flow.entity and fields & set(outcome.fields):
                yield f"{call.call_id}: {call.tool_id} takes {', '.join(sorted(fields & set(outcome.fields)))} itself"


def recipients(allowed: k.Recipients, case: Case) -> Iterator[str]:
    """Messages reach only addresses with an allowed ending."""
    for call in _bound(allowed, case):
        outcome = case.outcomes.get(call.call_id)
        for effect in outcome.effects if outcome else ():
            if effect.kind == "send" and not str(effect.target).endswith(tuple(allowed.endings)):
                yield f"{call.call_id} writes to {effect.target}; allowed are addresses ending in {', '.join(allowed.endings)}"


def batch_limit(limit: k.BatchLimit, case: Case) -> Iterator[str]:
    """All calls together change no more rows than allowed."""
    changed = 0
    for call in _bound(limit, case):
        outcome = case.outcomes.get(call.call_id)
        changed += sum(len(effect.rows) or 1 for effect in (outcome.effects if outcome else ()))
    if changed > limit.max_records:
        yield f"the plan changes {changed} records; {limit.max_records} are allowed"


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
    "no_flow": no_flow,
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
    """Every constraint holds, at every call and along the data flow; a breach names constraint and kind."""
    for constraint_id, kind, message in breaches(case):
        yield f"{constraint_id}: {message} ({kind})"


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


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def informed_changes(case: Case) -> Iterator[str]:
    """A change that a rule conditions on a look-up has that look-up before it."""
    for constraint_id, kind, parameters in case.constraints:
        if kind in INFORMED:
            for message in INFORMED[kind](parameters, case):
                yield f"{constraint_id}: {message}"
