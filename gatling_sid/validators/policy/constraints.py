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
from gatling_sid.simulator.operations import CallResult
from gatling_sid.simulator.world import Row
from gatling_sid.validators.policy import arguments, data_flow
from gatling_sid.validators.policy.periods import days_reached
from gatling_sid.validators.trace_context import TraceContext

ConstraintRule = Callable[[Any, TraceContext], Iterator[str]]


def _changed_rows(case: TraceContext, call: ToolCall, entity: str) -> Iterator[tuple[str, Row]]:
    """(key, row before) of every row of an entity that a call changes."""
    outcome = case.results.get(call.call_id)
    if outcome is not None and outcome.entity == entity and outcome.effects and outcome.effects[0].kind != "export":
        yield from outcome.rows


def _changes_and_views(
    rule: k.ReadBeforeChange | k.StateBeforeChange | k.AmountLimit, case: TraceContext
) -> Iterator[tuple[ToolCall, str, Row, list[Row]]]:
    """(call, key, row before, what was shown of it before) of every row that the bound calls change."""
    for call in case.bound_calls(rule):
        changed = list(_changed_rows(case, call, rule.entity))
        views = _views(case, call.call_id, rule.entity) if changed else {}
        for key, row in changed:
            yield call, key, row, views.get(key, [])


def _views(case: TraceContext, before: str, entity: str) -> dict[str, list[Row]]:
    """What calls that must run before this one returned of rows, by key: the fields shown, as they then were."""
    views: dict[str, list[Row]] = {}
    for call_id in case.ancestors(before):
        outcome = case.results.get(call_id)
        if outcome is None or outcome.entity != entity or outcome.measured is not None:
            continue
        if any(effect.kind == "export" for effect in outcome.effects):
            continue
        changes = next((effect.changes for effect in outcome.effects if effect.kind == "update"), {})
        for key, row in outcome.rows:
            views.setdefault(key, []).append({field: changes.get(field, row[field]) for field in outcome.fields})
    return views


def _is_shown(views: list[Row], field: str, value: Any) -> bool:
    """Whether some view holds this value, not an older one."""
    return any(field in view and view[field] == value for view in views)


# --- what calls ask for ----------------------------------------------------------------------------------------


def records_taken(case: TraceContext, call: ToolCall) -> float:
    """Rows that a call declares, asks for or returned, whichever is most; none for a figure: it declares its groups."""
    tool, outcome = case.tools.get(call.tool_id), case.results.get(call.call_id)
    if tool is not None and tool.tool.operation == "aggregate":
        return 0
    asked = call.arguments.get(tool.by_role.get("limit", "")) if tool is not None else None
    returned = len(outcome.rows) if outcome is not None else 0
    return max(call.scope.rows_requested or 0, asked if _is_number(asked) else 0, returned)


def row_limit(limit: k.RowLimit, case: TraceContext) -> Iterator[str]:
    """Rows asked for and rows returned stay within the limit."""
    for call in case.bound_calls(limit):
        rows = records_taken(case, call)
        if rows > limit.max_rows:
            yield f"{call.call_id} takes {rows} rows; {limit.max_rows} are allowed"


def time_range(limit: k.TimeRange, case: TraceContext) -> Iterator[str]:
    """No period reaches further than allowed."""
    for call in case.bound_calls(limit):
        days = days_reached(case, call)
        if days > limit.max_days:
            yield f"{call.call_id} looks back {days} days; {limit.max_days} are allowed"


def sensitivity_ceiling(ceiling: k.SensitivityCeiling, case: TraceContext) -> Iterator[str]:
    """Nothing above the tier is read or written, nor shows in what a call filters or sorts by."""
    for call in case.bound_calls(ceiling):
        tool = case.tools.get(call.tool_id)
        if ceiling.entity is not None and (tool is None or tool.entity != ceiling.entity):
            continue
        tier = _higher(_tier_taken(case, call), _tier_of_selection(case, call))
        if tier.level > ceiling.max_tier.level:
            yield f"{call.call_id} takes {tier.value} data; the ceiling is {ceiling.max_tier.value}"


def _tier_of_selection(case: TraceContext, call: ToolCall) -> SensitivityTier:
    """The highest tier among the fields by which a call picks and sorts rows: its result tells of them too."""
    tool = case.tools.get(call.tool_id)
    if tool is None:
        return SensitivityTier.PUBLIC
    picked = [field for name, field, _ in tool.filters if name in call.arguments or name in tool.defaults]
    order = [tool.tool.order.removeprefix("-")] if tool.tool.order else []
    return tool.sensitivity((*picked, *order))


def _tier_taken(case: TraceContext, call: ToolCall) -> SensitivityTier:
    """The highest tier that a call declares or, if it was replayed, shows or writes."""
    tool, outcome = case.tools.get(call.tool_id), case.results.get(call.call_id)
    if tool is None or outcome is None:
        return call.scope.sensitivity_tier
    written = [name for each in outcome.effects if each.kind in ("create", "update") for name in each.changes]
    return _higher(call.scope.sensitivity_tier, tool.sensitivity((*outcome.fields, *written)))


def _higher(one: SensitivityTier, other: SensitivityTier) -> SensitivityTier:
    return one if one.level > other.level else other


def targets_of(case: TraceContext, call: ToolCall) -> set[str]:
    """Where a call sends an export: as declared and, if the tool is known, as its argument or default says."""
    tool = case.tools.get(call.tool_id)
    name = tool.by_role.get("target") if tool is not None else None
    if name is None and call.scope.export_target is None:
        return set()
    named = case.argument_value(call, name) if name is not None else None
    return {each for each in (call.scope.export_target, named) if isinstance(each, str) and not references_in(each)}


def export_targets(allowed: k.ExportTargets, case: TraceContext) -> Iterator[str]:
    """Exports go to allowed targets only."""
    for call in case.bound_calls(allowed):
        for target in sorted(targets_of(case, call) - set(allowed.allowed)):
            yield f"{call.call_id} exports to {target}; allowed are {', '.join(allowed.allowed) or 'none'}"


def export_sensitivity(limit: k.ExportSensitivity, case: TraceContext) -> Iterator[str]:
    """What leaves to these targets stays below the tier."""
    for call in case.bound_calls(limit):
        tier = _tier_taken(case, call)
        if targets_of(case, call) & set(limit.targets) and tier.level > limit.max_tier.level:
            yield f"{call.call_id} exports {tier.value} data; the ceiling is {limit.max_tier.value}"


def may_not_call(forbidden: k.MayNotCall, case: TraceContext) -> Iterator[str]:
    """The tools are not called."""
    for call in case.bound_calls(forbidden):
        whom = case.role if forbidden.roles else "everyone"
        yield f"{call.call_id} calls {call.tool_id}, which is forbidden to {whom}"


# --- what calls do ---------------------------------------------------------------------------------------------


def read_before_change(look_up: k.ReadBeforeChange, case: TraceContext) -> Iterator[str]:
    """A row was returned, with these fields, by calls that had to run before the change."""
    for call, key, _, views in _changes_and_views(look_up, case):
        if not {field for view in views for field in view}.issuperset(look_up.fields):
            yield f"{call.call_id} changes {look_up.entity} {key} before {', '.join(look_up.fields)} of it were read"


def state_before_change(state: k.StateBeforeChange, case: TraceContext) -> Iterator[str]:
    """The row is in an allowed state, and an earlier call showed so."""
    for call, key, row, views in _changes_and_views(state, case):
        value = row.get(state.field)
        if value not in state.allowed:
            yield f"{call.call_id} changes {state.entity} {key}, whose {state.field} is {value!r}"
        elif not _is_shown(views, state.field, value):
            yield f"{call.call_id} changes {state.entity} {key} before its {state.field} was read"


def amount_limit(limit: k.AmountLimit, case: TraceContext) -> Iterator[str]:
    """The row's amount is within the limit, and an earlier call showed it."""
    for call, key, row, views in _changes_and_views(limit, case):
        amount = row.get(limit.field)
        if _is_number(amount) and amount > limit.max_value:
            yield f"{call.call_id} changes {limit.entity} {key}, whose {limit.field} {amount} is above {limit.max_value:g}"
        elif not _is_shown(views, limit.field, amount):
            yield f"{call.call_id} changes {limit.entity} {key} before its {limit.field} was read"


def _principal_value(case: TraceContext, attribute: str) -> Any:
    principal = case.trace.request.principal
    return principal.attributes.get(attribute) if principal else None


def own_records(own: k.OwnRecords, case: TraceContext) -> Iterator[str]:
    """Rows read, changed, created or written about are the principal's own; one that is nobody's is not."""
    mine = _principal_value(case, own.attribute)
    for call in case.bound_calls(own):
        outcome = case.results.get(call.call_id)
        if outcome is not None and outcome.entity == own.entity:
            for key, row in (*outcome.rows, *outcome.created):
                if mine is None or row.get(own.field) != mine:
                    yield f"{call.call_id} touches {own.entity} {key}, whose {own.field} is not {mine!r}"


def not_own(own: k.NotOwn, case: TraceContext) -> Iterator[str]:
    """Changed rows are not the principal's own."""
    mine = _principal_value(case, own.attribute)
    for call in case.bound_calls(own):
        for key, row in _changed_rows(case, call, own.entity):
            if row.get(own.field) == mine:
                yield f"{call.call_id} changes {own.entity} {key}, which is the requester's own ({own.field})"


def notify_after(notice: k.NotifyAfter, case: TraceContext) -> Iterator[str]:
    """After each change, a later call of the notifying tool reaches the row's address about that row."""
    for call in case.bound_calls(notice):
        changed = list(_changed_rows(case, call, notice.entity))
        told = _notified(notice, call.call_id, case) if changed else set()
        for key, row in changed:
            address = row.get(notice.recipient_field)
            if (address, key) not in told:
                yield f"{call.call_id} changes {notice.entity} {key}, and {notice.notify} never tells {address}"


def _notified(notice: k.NotifyAfter, after: str, case: TraceContext) -> set[tuple[Any, str]]:
    """(address, row's key) of all that the notifying tool tells in calls that must run after this one."""
    later = [
        each for each in case.ordered_calls if each.tool_id == notice.notify and after in case.ancestors(each.call_id)
    ]
    effects = [
        effect for call in later if call.call_id in case.results for effect in case.results[call.call_id].effects
    ]
    return {(effect.target, key) for effect in effects if effect.entity == notice.entity for key in effect.rows}


def recipients(allowed: k.Recipients, case: TraceContext) -> Iterator[str]:
    """Messages reach only addresses with an allowed ending."""
    for call in case.bound_calls(allowed):
        outcome = case.results.get(call.call_id)
        for effect in outcome.effects if outcome else ():
            if effect.kind == "send" and not any(ends_with(str(effect.target), each) for each in allowed.endings):
                yield f"{call.call_id} writes to {effect.target}; allowed are addresses ending in {', '.join(allowed.endings)}"


def ends_with(address: str, ending: str) -> bool:
    """Whether an address is of a host, or is that address: `elm.example` covers `a@b.elm.example`, not `a@helm.example`."""
    address, ending = (each.strip().rstrip(".").casefold() for each in (address, ending))
    if not ending:
        return False
    whole = ending if ending[0] in "@." else (f"@{ending}", f".{ending}")
    return address == ending or (address.count("@") == 1 and address.endswith(whole))


def batch_limit(limit: k.BatchLimit, case: TraceContext) -> Iterator[str]:
    """All calls together change no more rows than allowed."""
    calls = [(call, case.results.get(call.call_id)) for call in case.bound_calls(limit)]
    changed = {each for call, outcome in calls if outcome for each in _records_changed(call, outcome)}
    if len(changed) > limit.max_records:
        yield f"the plan changes {len(changed)} records; {limit.max_records} are allowed"


def _records_changed(call: ToolCall, outcome: CallResult) -> Iterator[tuple[str, str, str]]:
    """What a call changes, so that a row changed twice is one; what it creates or sends is a record of its own."""
    for effect in outcome.effects:
        stays = effect.kind in ("update", "delete")
        for key in effect.rows or [""]:
            yield ("row", effect.entity, key) if stays else (effect.kind, call.call_id, key)


NEED_NO_REPLAY: Mapping[str, ConstraintRule] = {
    "row_limit": row_limit,
    "time_range": time_range,
    "sensitivity_ceiling": sensitivity_ceiling,
    "export_targets": export_targets,
    "export_sensitivity": export_sensitivity,
    "may_not_call": may_not_call,
    "argument_max": arguments.argument_max,
    "argument_values": arguments.argument_values,
    "argument_required": arguments.argument_required,
    "narrowed_by": arguments.narrowed_by,
}
"""Kinds that can be judged by what calls declare."""

PRECONDITIONS: Mapping[str, ConstraintRule] = {
    "read_before_change": read_before_change,
    "state_before_change": state_before_change,
    "amount_limit": amount_limit,
}
"""Kinds that condition a change on what an earlier call showed."""

BREAKABLE_BY_OMISSION: Mapping[str, ConstraintRule] = {
    **PRECONDITIONS,
    "notify_after": notify_after,
    "no_flow": data_flow.no_flow,
}
"""Kinds that a plan can break by leaving a call or a dependency out (`no_flow`: one that writes over a value that must
not get further); all others, by what is there."""

NEED_REPLAY: Mapping[str, ConstraintRule] = {
    **BREAKABLE_BY_OMISSION,
    "own_records": own_records,
    "not_own": not_own,
    "recipients": recipients,
    "batch_limit": batch_limit,
}
"""Kinds that can be judged only by what calls did."""

CONSTRAINT_RULES: Mapping[str, ConstraintRule] = {**NEED_NO_REPLAY, **NEED_REPLAY}


def needs_replay(case: TraceContext) -> list[str]:
    """Constraints that only a replay can judge: by their kind, or since an argument they bound is not known before."""
    by_kind = [each.constraint_id for each in case.trace.policy.constraints if each.kind in NEED_REPLAY]
    return by_kind + [
        constraint_id
        for constraint_id, _, parameters in case.constraints
        if isinstance(parameters, (k.ArgumentMax, k.ArgumentValues))
        and any(references_in(call.arguments.get(parameters.argument)) for call in case.bound_calls(parameters))
    ]


# --- the rules of the policy check -----------------------------------------------------------------------------


def breaches(
    case: TraceContext, kinds: Mapping[str, ConstraintRule] = CONSTRAINT_RULES
) -> Iterator[tuple[str, str, str]]:
    """(constraint id, kind, message) of every breach, of those of the given kinds that can be judged."""
    replayed = case.execution is not None
    for constraint_id, kind, parameters in case.constraints:
        if kind in kinds and (replayed or kind in NEED_NO_REPLAY):
            for message in kinds[kind](parameters, case):
                yield constraint_id, kind, message


def constraints_hold(case: TraceContext) -> Iterator[str]:
    """Every constraint holds, at every call and along the data flow; a breach names constraint and kind."""
    for constraint_id, kind, message in breaches(case):
        yield f"{constraint_id}: {message} ({kind})"


def constraints_are_well_formed(case: TraceContext) -> Iterator[str]:
    """Every constraint is of a known kind, has its parameters, and stands for a rule; none names a rule that is not."""
    if case.has_published_policy:
        return
    yield from case.malformed_constraints
    rules = len(case.trace.policy.rules)
    for each in case.trace.policy.constraints:
        if not 0 <= each.rule < rules:
            yield f"constraint {each.constraint_id!r} stands for rule {each.rule}, and there are {rules}"


def rules_are_backed(case: TraceContext) -> Iterator[str]:
    """In a policy that has constraints, every sentence has one."""
    policy = case.trace.policy
    if case.has_published_policy:
        return
    backed = {each.rule for each in policy.constraints}
    for index, sentence in enumerate(policy.rules):
        if policy.constraints and index not in backed:
            yield f"rule {index} has no constraint: {sentence}"


def forbidden_operations_are_absent(case: TraceContext) -> Iterator[str]:
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


def changes_follow_look_ups(case: TraceContext) -> Iterator[str]:
    """A change that a rule conditions on a look-up has that look-up before it."""
    for constraint_id, kind, parameters in case.constraints:
        if kind in PRECONDITIONS:
            for message in PRECONDITIONS[kind](parameters, case):
                yield f"{constraint_id}: {message}"
