"""The trace claims to be another trace, of another day or another person, or to have another intent."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import timedelta

from gatling_sid.models import INTENTS, GoldTrace, Principal, TrustTier
from gatling_sid.schemas.composition.table import ScenarioTable
from gatling_sid.schemas.domain import SPLITS
from tests.validators.tampering.edits import Offer, set_argument, update_scopes
from tests.validators.tampering.gold_traces import another_slug, domain_of, world_here

# --- which trace it is -----------------------------------------------------------------------------------------


def change_scenario(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    trace.metadata["scenario"] = rng.choice(_other_scenarios(trace))
    return trace


def change_scenario_within_intent(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    scenarios, names = _scenarios_of(trace), _other_scenarios(trace)
    intent = scenarios[trace.metadata["scenario"]].intent
    found = next((name for name in rng.sample(names, len(names)) if scenarios[name].intent == intent), None)
    if found is None:
        return None
    trace.metadata["scenario"] = found
    return trace


def _scenarios_of(trace: GoldTrace) -> ScenarioTable:
    """The scenarios of the trace's world."""
    return domain_of(trace).scenarios_of(trace.metadata["world"])


def _other_scenarios(trace: GoldTrace) -> list[str]:
    """The other scenarios of the trace's world."""
    return [name for name in _scenarios_of(trace) if name != trace.metadata["scenario"]]


def change_instance(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.metadata["instance"] += 1
    return trace


def change_attempt(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.metadata["attempt"] += 1
    return trace


def change_seed(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.metadata["seed"] += 1
    return trace


def write_seed_in_words(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.metadata["seed"] = "seven"
    return trace


def change_world(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.metadata["world"] = f"{trace.metadata['world']}.1"
    return trace


def use_world_of_another_split(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    split = trace.metadata["world"].partition("-")[0]
    trace.metadata["world"] = f"{rng.choice([each for each in SPLITS if each != split])}-0"
    return trace


def change_today(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    day = world_here(trace).today + timedelta(days=rng.choice((-1, 1, 30)))
    trace.metadata["today"] = day.isoformat()
    return trace


def change_catalogue(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.metadata["catalogue"] = "0123456789ab"
    return trace


def _without(name: str) -> Callable[[GoldTrace, random.Random], GoldTrace]:
    def tamper(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
        del trace.metadata[name]
        return trace

    return tamper


def claim_claude_as_oracle(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.metadata["oracle"] = "claude"
    return trace


def claim_unknown_oracle(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.metadata["oracle"] = "a colleague"
    return trace


def change_split(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    split = _id_of(trace)[1]
    return _rename(trace, split=rng.choice([each for each in SPLITS if each != split]))


def change_index(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    return _rename(trace, index=int(_id_of(trace)[2]) + rng.choice((1, 9, 100)))


def change_slug(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    slug = _id_of(trace)[0]
    return _rename(trace, slug=another_slug(slug, rng))


def remove_coordinates_from_trace_id(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    return _with_id(trace, "the_best_trace")


def _id_of(trace: GoldTrace) -> tuple[str, str, str]:
    match = re.fullmatch(r"(\w+)_([a-z]+)_(\d{8})", trace.trace_id)
    assert match is not None
    slug, split, index = match.groups()
    return slug, split, index


def _rename(
    trace: GoldTrace, *, slug: str | None = None, split: str | None = None, index: int | None = None
) -> GoldTrace:
    own_slug, own_split, own_index = _id_of(trace)
    number = int(own_index) if index is None else index
    return _with_id(trace, f"{slug or own_slug}_{split or own_split}_{number:08d}")


def _with_id(trace: GoldTrace, trace_id: str) -> GoldTrace:
    """Gives the trace another id, and changes the ids of request and graph, and the references to them, with it."""
    for call in trace.graph.calls:
        if call.provenance and call.provenance.source_id == trace.request.request_id:
            call.provenance.source_id = f"{trace_id}_request"
    trace.trace_id, trace.request.request_id = trace_id, f"{trace_id}_request"
    trace.graph.graph_id = f"{trace_id}_graph"
    return trace


# --- when ------------------------------------------------------------------------------------------------------


def set_earlier_created_at(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    trace.created_at = trace.created_at.replace(year=2024, month=6, day=rng.randrange(1, 29))
    return trace


def move_all_calls_to_another_day(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    days = timedelta(days=rng.choice((-400, -1, 1, 30)))
    for call in trace.graph.calls:
        if call.provenance and call.provenance.timestamp:
            call.provenance.timestamp += days
    return trace


def move_one_call_to_another_day(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    found = [p for call in trace.graph.calls if (p := call.provenance) and p.timestamp]
    if not found:
        return None
    pointer = rng.choice(found)
    assert pointer.timestamp is not None
    pointer.timestamp += timedelta(days=1)
    return trace


# --- who -------------------------------------------------------------------------------------------------------


def replace_requester_by_colleague(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    return _replace_requester(trace, trace.request.principal.role if trace.request.principal else "", rng)


def replace_requester_by_another_role(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
    role = trace.request.principal.role if trace.request.principal else ""
    return _replace_requester(trace, rng.choice([each for each in domain_of(trace).file.roles if each != role]), rng)


def _replace_requester(trace: GoldTrace, role: str, rng: random.Random) -> GoldTrace | None:
    domain, principal = domain_of(trace), trace.request.principal
    definition = domain.file.roles[role]
    plain = {name: value for name, value in definition.where.items() if not isinstance(value, dict)}
    people = world_here(trace).tables[definition.entity].items()
    keys = [key for key, row in people if all(row[n] == v for n, v in plain.items())]
    keys = [key for key in keys if principal is None or key != principal.principal_id]
    if not keys:
        return None
    row = world_here(trace).tables[definition.entity][rng.choice(keys)]
    attributes = {name: row[name] for name in definition.attributes}
    key = row[domain.file.entities[definition.entity].key]
    trace.request.principal = Principal(principal_id=key, role=role, attributes=attributes)
    for call in trace.graph.calls:
        for source in [each for each in call.argument_sources if each.origin == "principal"]:
            if source.reference not in attributes:
                return None
            value = attributes[source.reference]
            set_argument(call, source.argument, Offer(value, value, "principal", source.reference))
    return update_scopes(trace)


def claim_role(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    assert trace.request.principal is not None
    roles = [each for each in domain_of(trace).file.roles if each != trace.request.principal.role]
    trace.request.principal.role = rng.choice(roles)
    return trace


def edit_attribute(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    assert trace.request.principal is not None
    trace.request.principal.attributes[rng.choice(list(trace.request.principal.attributes))] = "Somebody Else"
    return trace


def add_attribute(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    assert trace.request.principal is not None
    trace.request.principal.attributes["clearance"] = "everything"
    return trace


def remove_requester(trace: GoldTrace, _rng: random.Random) -> GoldTrace:
    trace.request.principal = None
    return trace


# --- how it is meant -------------------------------------------------------------------------------------------


def _relabel_intent(intent: str) -> Callable[[GoldTrace, random.Random], GoldTrace | None]:
    """A kind that replaces one intent with any of the other five."""

    def tamper(trace: GoldTrace, rng: random.Random) -> GoldTrace | None:
        if trace.request.intent_category != intent:
            return None
        trace.request.intent_category = rng.choice([each for each in INTENTS if each != intent])
        return trace

    return tamper


def change_trust_tier(trace: GoldTrace, rng: random.Random) -> GoldTrace:
    trace.request.trust_tier = rng.choice([each for each in TrustTier if each is not TrustTier.USER])
    return trace


COORDINATES = {
    each.__name__: each
    for each in (
        change_scenario,
        change_scenario_within_intent,
        change_instance,
        change_attempt,
        change_seed,
        write_seed_in_words,
        change_world,
        use_world_of_another_split,
        change_today,
        change_catalogue,
        claim_claude_as_oracle,
        claim_unknown_oracle,
        change_split,
        change_index,
        change_slug,
        remove_coordinates_from_trace_id,
        set_earlier_created_at,
        move_all_calls_to_another_day,
        move_one_call_to_another_day,
        replace_requester_by_colleague,
        replace_requester_by_another_role,
        claim_role,
        edit_attribute,
        add_attribute,
        remove_requester,
        change_trust_tier,
    )
}
COORDINATES |= {
    f"remove_{name}": _without(name) for name in ("scenario", "instance", "attempt", "catalogue", "oracle", "today")
}
COORDINATES |= {f"relabel_{intent}": _relabel_intent(intent) for intent in INTENTS}
