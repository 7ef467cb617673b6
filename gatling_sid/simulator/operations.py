"""The fixed set of operations: what each does in a world, for every tool of every domain.

An operation takes a tool, arguments without references and a state; it returns a `CallResult` or raises
`CallRefusedError`. Changes are written to the state's overlay, never to the world, and described by effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from gatling_sid.models import Effect, construct_trusted
from gatling_sid.schemas.conditions import CONDITION_OF_MATCH
from gatling_sid.simulator.compiled_tools import CompiledTool
from gatling_sid.simulator.measures import measure_rows
from gatling_sid.simulator.world import Row, World, sort_rows


class RefusalReason(StrEnum):
    """Why a tool does not run a call."""

    UNKNOWN_TOOL = "unknown_tool"
    """The domain has no such tool."""
    INVALID_ARGUMENT = "invalid_argument"
    """An argument is missing, unknown, or has a value that the tool does not accept."""
    MISSING_REFERENCE = "missing_reference"
    """An argument refers to a result, or a part of one, that does not exist."""
    NOT_FOUND = "not_found"
    """No row of the entity has this key."""
    WRONG_STATE = "wrong_state"
    """The row is not in a state that allows this operation."""
    ALREADY_EXISTS = "already_exists"
    """The same row was already created."""
    UNKNOWN_RECIPIENT = "unknown_recipient"
    """No row of the world has the address."""
    WRONG_RECIPIENT = "wrong_recipient"
    """The tool writes only to the addressee of a row, and the address is another one."""


class CallRefusedError(Exception):
    """A tool does not run a call, for this reason; `detail` names the values that caused it."""

    def __init__(self, reason: RefusalReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class MeasuredRows:
    """The values that an aggregate computed, (group, value), and the keys of the rows that it computed them over."""

    measure: str
    field: str | None
    group_by: str | None
    rows: tuple[str, ...]
    values: tuple[tuple[str | None, float], ...]


@dataclass(frozen=True, slots=True)
class CallResult:
    """What one call returned and changed: its result, the rows that it read and their fields, and its effects.

    `rows` holds (key, row before any change) pairs of the tool's entity; `fields` are those that the result shows.
    `created_rows` holds the new rows, as (key, row).
    """

    value: dict[str, Any]
    entity: str
    rows: tuple[tuple[str, Row], ...] = ()
    fields: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    measured_rows: MeasuredRows | None = None
    created_rows: tuple[tuple[str, Row], ...] = ()


Change = tuple[str, str, Row | None]
"""A write: entity, key, and the new version of the row (None: deleted)."""


class State:
    """A world and, in an overlay, the changes of one execution; the world itself stays as it is."""

    def __init__(self, world: World) -> None:
        """Starts with an empty overlay: nothing in the world is changed yet."""
        self.world = world
        self.overlay: dict[str, dict[str, Row | None]] = {}
        self.changes: list[Change] = []
        """Every write so far, in the order in which they happened."""
        self.write_history = ""
        """The calls that wrote, as text; states of a world with the same history are equal."""

    def row(self, entity: str, key: str) -> Row | None:
        """The row as it is after all writes so far, or None if there is no such row."""
        overlay = self.overlay.get(entity)
        if overlay is not None and key in overlay:
            return overlay[key]
        return self.world.tables[entity].get(key)

    def write(self, entity: str, key: str, row: Row | None) -> None:
        """Writes a new version of a row to the overlay; None means that the row is deleted."""
        self.overlay.setdefault(entity, {})[key] = row
        self.changes.append((entity, key, row))


def operate(tool: CompiledTool, arguments: dict[str, Any], state: State) -> CallResult:
    """Runs one tool, which may change the state; `arguments` hold no references. Raises CallRefusedError."""
    if tool.defaults:
        arguments = {**tool.defaults, **arguments}
    return _OPERATIONS[tool.tool.operation](tool, arguments, state)


# --- selecting -------------------------------------------------------------------------------------------------


def select_rows(tool: CompiledTool, arguments: dict[str, Any], state: State) -> list[Row]:
    """The rows that match a call's filters and keys, in the order of the call, before any limit is applied.

    Rows that are given by keys keep the order of these, unless the call asks for another one.
    """
    world, entity = state.world, tool.entity
    order = tool.order(arguments)
    given = [(name, field_name, match) for name, field_name, match in tool.filters if name in arguments]
    keys = tool.parameter_for.get("keys")
    rows: list[Row] | None = None
    if keys in arguments:
        rows = [_require_row(tool, key, state) for key in arguments[keys]]
    elif entity not in state.overlay:
        for name, field_name, match in given:
            if match == "equals":
                found = world.index(entity, field_name).get(arguments[name], [])
                rows = found if rows is None or len(found) < len(rows) else rows
    else:
        rows = [row for key in {**world.tables[entity], **state.overlay[entity]} if (row := state.row(entity, key))]
    ordered = rows is None
    rows = world.sorted_rows(entity, order) if rows is None else rows
    for name, field_name, match in given:
        rows = _filter_rows(rows, field_name, match, arguments[name], tool, state)
    keeps_order = ordered or (keys in arguments and tool.parameter_for.get("sort") not in arguments)
    return rows if keeps_order else sort_rows(rows, order, tool.key_field)


def _filter_rows(rows: list[Row], field: str, match: str, operand: Any, tool: CompiledTool, state: State) -> list[Row]:
    """The rows whose `field` matches one filter."""
    if match == "equals":
        return [row for row in rows if row[field] == operand]
    if match == "contains":
        text, key = str(operand).casefold(), tool.key_field
        if tool.entity in state.overlay:
            return [row for row in rows if row[field] is not None and text in str(row[field]).casefold()]
        folded = state.world.casefolded_texts(tool.entity, field)
        return [row for row in rows if text in folded.get(row[key], "")]
    condition = CONDITION_OF_MATCH[match]
    if condition.reach is not None:
        low, high = state.world.period(**{condition.reach: operand})
        return [row for row in rows if row[field] is not None and low <= row[field] <= high]
    holds = condition.holds
    return [row for row in rows if holds(row[field], operand)]


def _apply_limit(tool: CompiledTool, arguments: dict[str, Any], rows: list[Row]) -> list[Row]:
    limit = tool.parameter_for.get("limit")
    return rows[: int(arguments[limit])] if limit in arguments else rows


def _require_row(tool: CompiledTool, key: Any, state: State) -> Row:
    row = state.row(tool.entity, key) if isinstance(key, str) else None
    if row is None:
        raise CallRefusedError(RefusalReason.NOT_FOUND, f"there is no {tool.entity} {key!r}")
    return row


def _project(row: Row, fields: tuple[str, ...]) -> Row:
    return {name: row[name] for name in fields}


# --- reading ---------------------------------------------------------------------------------------------------


def _list_rows(tool: CompiledTool, arguments: dict[str, Any], state: State) -> CallResult:
    rows = _apply_limit(tool, arguments, select_rows(tool, arguments, state))
    fields = tool.fields(arguments)
    return CallResult(
        value={"items": [_project(row, fields) for row in rows], "count": len(rows)},
        entity=tool.entity,
        rows=tuple((row[tool.key_field], row) for row in rows),
        fields=fields,
    )


def _get_row(tool: CompiledTool, arguments: dict[str, Any], state: State) -> CallResult:
    key = arguments[tool.parameter_for["key"]]
    row = _require_row(tool, key, state)
    fields = tool.fields(arguments)
    return CallResult(value=_project(row, fields), entity=tool.entity, rows=((key, row),), fields=fields)


def _aggregate_rows(tool: CompiledTool, arguments: dict[str, Any], state: State) -> CallResult:
    rows = select_rows(tool, arguments, state)
    roles = tool.parameter_for
    measure = arguments.get(roles.get("measure", ""), "count")
    field_name = arguments.get(roles.get("measured", ""))
    group_by = arguments.get(roles.get("group", ""))
    if measure != "count" and field_name is None:
        raise CallRefusedError(RefusalReason.INVALID_ARGUMENT, f"{measure} needs a field to measure")
    if field_name is not None and measure != "count" and any(isinstance(row[field_name], (str, bool)) for row in rows):
        raise CallRefusedError(
            RefusalReason.INVALID_ARGUMENT, f"{field_name} is not a number, so {measure} cannot be computed"
        )
    limit = arguments.get(roles.get("limit", ""))
    values = measure_rows(rows, measure, field_name, group_by, None if limit is None else int(limit))
    value: dict[str, Any] = {"count": len(rows)}
    if group_by is None:
        value["value"] = values[0][1] if values else (0 if measure == "count" else None)
    else:
        value["groups"] = [{"group": group, "value": number} for group, number in values]
    used = tuple(name for name in (field_name, group_by) if name is not None)
    return CallResult(
        value=value,
        entity=tool.entity,
        rows=tuple((row[tool.key_field], row) for row in rows),
        fields=used,
        measured_rows=MeasuredRows(measure, field_name, group_by, tuple(row[tool.key_field] for row in rows), values),
    )


def _new_effect(**fields: Any) -> Effect:
    return construct_trusted(Effect, fields)


# --- changing --------------------------------------------------------------------------------------------------


def content_id(prefix: str, *parts: object) -> str:
    """An id that depends on content alone, so that it is the same in any order of execution."""
    return f"{prefix}-{blake2b(repr(parts).encode(), digest_size=4).hexdigest()}"


def _fields_to_write(tool: CompiledTool, arguments: dict[str, Any]) -> Row:
    given = {field_name: arguments[name] for name, field_name in tool.sets if name in arguments}
    return {**tool.tool.sets, **given}


def _require_state(tool: CompiledTool, key: str, row: Row) -> None:
    for field_name, states in tool.tool.requires.items():
        if row[field_name] not in states:
            raise CallRefusedError(
                RefusalReason.WRONG_STATE,
                f"{tool.entity} {key} has {field_name} {row[field_name]!r}; allowed are {', '.join(map(str, states))}",
            )


def _target_keys(tool: CompiledTool, arguments: dict[str, Any]) -> list[str]:
    if "keys" in tool.parameter_for:
        return list(arguments[tool.parameter_for["keys"]])
    return [arguments[tool.parameter_for["key"]]]


def _create_row(tool: CompiledTool, arguments: dict[str, Any], state: State) -> CallResult:
    changes = _fields_to_write(tool, arguments)
    key = content_id(tool.entity.rpartition(".")[2], state.world.name, sorted(changes.items(), key=repr))
    if state.row(tool.entity, key) is not None:
        raise CallRefusedError(RefusalReason.ALREADY_EXISTS, f"{tool.entity} {key} exists already")
    given = {**_fields_to_copy(tool, changes, state), **changes, tool.key_field: key}
    row = {name: given.get(name) for name in tool.domain.file.entities[tool.entity].fields}
    state.write(tool.entity, key, row)
    effect = _new_effect(kind="create", entity=tool.entity, rows=[], changes=changes, target=None)
    return CallResult(value={tool.key_field: key}, entity=tool.entity, effects=(effect,), created_rows=((key, row),))


def _fields_to_copy(tool: CompiledTool, changes: Row, state: State) -> Row:
    """The fields that a new row copies from the rows that it refers to."""
    copied: Row = {}
    for name, (reference, entity, source) in tool.domain.copied_fields(tool.entity).items():
        row = state.row(entity, changes.get(reference, ""))
        if row is not None:
            copied[name] = row[source]
    return copied


def _update_rows(tool: CompiledTool, arguments: dict[str, Any], state: State) -> CallResult:
    changes, keys = _fields_to_write(tool, arguments), _target_keys(tool, arguments)
    before = [(key, _require_row(tool, key, state)) for key in keys]
    changes_by_key: dict[str, Row] = {}
    for key, row in before:
        _require_state(tool, key, row)
        changes_by_key[key] = {**changes, **_sums(tool, arguments, key, row)}
        state.write(tool.entity, key, {**row, **changes_by_key[key]})
    # Sums differ from row to row, so each row has an effect of its own.
    groups = [([key], changes_by_key[key]) for key in keys] if tool.additions else [(keys, changes)]
    effects = tuple(
        _new_effect(kind="update", entity=tool.entity, rows=rows, changes=changed, target=None)
        for rows, changed in groups
    )
    fields = tuple(tool.tool.returns)
    shown = [_project(state.row(tool.entity, key) or {}, fields) for key in keys]
    value = {"items": shown, "count": len(shown)} if "keys" in tool.parameter_for else shown[0]
    return CallResult(value=value, entity=tool.entity, rows=tuple(before), fields=fields, effects=effects)


def _sums(tool: CompiledTool, arguments: dict[str, Any], key: str, row: Row) -> Row:
    """The fields of a row to which a call adds, with their new values."""
    sums: Row = {}
    for name, field_name, sign, least in tool.additions:
        if name not in arguments:
            continue
        before = sums.get(field_name, row[field_name])
        if before is None:
            raise CallRefusedError(RefusalReason.WRONG_STATE, f"{tool.entity} {key} has no {field_name}")
        after = round(before + sign * arguments[name], 2)
        if least is not None and after < least:
            detail = (
                f"{tool.entity} {key} has {field_name} {before}; {after} would be left, and at least {least:g} must"
            )
            raise CallRefusedError(RefusalReason.WRONG_STATE, detail)
        sums[field_name] = after
    return sums


def _delete_rows(tool: CompiledTool, arguments: dict[str, Any], state: State) -> CallResult:
    keys = _target_keys(tool, arguments)
    before = [(key, _require_row(tool, key, state)) for key in keys]
    for key, row in before:
        _require_state(tool, key, row)
        state.write(tool.entity, key, None)
    effect = _new_effect(kind="delete", entity=tool.entity, rows=keys, changes={}, target=None)
    return CallResult(
        value={"deleted": keys, "count": len(keys)}, entity=tool.entity, rows=tuple(before), effects=(effect,)
    )


def _export_rows(tool: CompiledTool, arguments: dict[str, Any], state: State) -> CallResult:
    rows = _apply_limit(tool, arguments, select_rows(tool, arguments, state))
    fields = tool.fields(arguments)
    keys = [row[tool.key_field] for row in rows]
    target = arguments[tool.parameter_for["target"]]
    changes: dict[str, Any] = {"fields": sorted(fields)}
    if "format" in tool.parameter_for and tool.parameter_for["format"] in arguments:
        changes["format"] = arguments[tool.parameter_for["format"]]
    effect = _new_effect(kind="export", entity=tool.entity, rows=sorted(keys), changes=changes, target=target)
    export_id = content_id("export", tool.entity, sorted(keys), sorted(fields), target)
    return CallResult(
        value={"export_id": export_id, "target": target, "count": len(keys)},
        entity=tool.entity,
        rows=tuple((row[tool.key_field], row) for row in rows),
        fields=fields,
        effects=(effect,),
    )


def _send_message(tool: CompiledTool, arguments: dict[str, Any], state: State) -> CallResult:
    recipient = arguments[tool.parameter_for["recipient"]]
    known = tool.tool.parameters[tool.parameter_for["recipient"]].values
    if known is None and not _is_address_in(address_fields(state.world), recipient, state):
        raise CallRefusedError(RefusalReason.UNKNOWN_RECIPIENT, f"no row has the address {recipient!r}")
    about = arguments.get(tool.parameter_for.get("about", ""))
    keys = [] if about is None else [about] if isinstance(about, str) else list(about)
    rows = tuple((key, _require_row(tool, key, state)) for key in keys)
    if tool.tool.addressee:
        _require_addressee(tool, rows, recipient, state)
    contents = {name: arguments[name] for name in tool.contents if name in arguments}
    effect = Effect.model_construct(
        kind="send", entity=tool.entity, rows=sorted(keys), changes=contents, target=recipient
    )
    message_id = content_id("message", tool.tool_id, recipient, sorted(keys), sorted(contents.items(), key=repr))
    return CallResult(
        value={"message_id": message_id, "recipient": recipient}, entity=tool.entity, rows=rows, effects=(effect,)
    )


def _require_addressee(tool: CompiledTool, rows: tuple[tuple[str, Row], ...], recipient: str, state: State) -> None:
    """Refuses a recipient who is not the addressee of every row that the message is about.

    If the message is about no row, the recipient must be the addressee of at least one row.
    """
    fields, copies = tool.tool.addressee, tool.domain.copied_fields(tool.entity)
    for key, row in rows:
        if all(row[name] != recipient for name in fields):
            raise CallRefusedError(
                RefusalReason.WRONG_RECIPIENT, f"{recipient!r} is not the {' or '.join(fields)} of {tool.entity} {key}"
            )
    origins = [copies[name][1:] if name in copies else (tool.entity, name) for name in fields]
    if not rows and not _is_address_in(origins, recipient, state):
        raise CallRefusedError(
            RefusalReason.WRONG_RECIPIENT, f"{recipient!r} is not the {' or '.join(fields)} of any {tool.entity}"
        )


def address_fields(world: World) -> Iterator[tuple[str, str]]:
    """Yields (entity, field) for every field of the world's domain that contains e-mail addresses."""
    for entity_name, entity in world.domain.file.entities.items():
        for field_name, each in entity.fields.items():
            if each.type == "email":
                yield entity_name, field_name


def _is_address_in(fields: Iterable[tuple[str, str]], address: object, state: State) -> bool:
    """Whether a row that is not deleted has the address in one of these (entity, field) pairs."""
    return any(
        state.row(entity, row[state.world.domain.file.entities[entity].key]) is not None
        for entity, field_name in fields
        for row in state.world.index(entity, field_name).get(address, ())
    )


_OPERATIONS: dict[str, Callable[[CompiledTool, dict[str, Any], State], CallResult]] = {
    "list": _list_rows,
    "get": _get_row,
    "create": _create_row,
    "update": _update_rows,
    "delete": _delete_rows,
    "export": _export_rows,
    "aggregate": _aggregate_rows,
    "send": _send_message,
}
