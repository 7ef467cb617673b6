"""Every shipped domain has enough of everything, and its traces are gold and varied."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gatling_sid.domain_check.shared_nouns import nouns_alone
from gatling_sid.models import INTENTS, GoldTrace, ToolCall
from gatling_sid.oracle.claude.authoring.edits import LINE_WIDTH
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.scenarios.schedule import split_capacity
from gatling_sid.scenarios.wording_space import wording_space_of
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.composition.openers import FEWEST_PHRASINGS
from gatling_sid.schemas.composition.rules import rules_binding
from gatling_sid.schemas.composition.sentences import TaskPhrasings
from gatling_sid.schemas.composition.table import ScenarioTable
from gatling_sid.schemas.composition.tasks import ComposedTask
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.language.shared_voice import voice_of_split
from gatling_sid.schemas.registry import CATALOGUE, POOLS, read_domain_file
from gatling_sid.schemas.tool_ids import tool_id_of
from gatling_sid.simulator.execution import execute
from gatling_sid.simulator.world import world_of
from gatling_sid.validators import TraceValidator
from tests.conftest import CREATED_AT
from tests.support.domain_sample import sampled_domains, traces_per_domain

REGISTRY = DomainRegistry()
TRACES = traces_per_domain(360)


@pytest.fixture(scope="module", params=sampled_domains())
def domain(request: pytest.FixtureRequest) -> Domain:
    """Each sampled domain in turn."""
    return REGISTRY.domain(request.param)


@pytest.fixture(scope="module")
def traces(domain: Domain) -> list[GoldTrace]:
    """Proposed traces of all splits; their indexes are so far apart that they belong to several worlds."""
    oracle = ScenarioOracle(3, CREATED_AT)
    proposed = [oracle.trace(Task(domain, SPLITS[n % 3], n * 61)) for n in range(TRACES)]
    return [trace for trace in proposed if isinstance(trace, GoldTrace)]


@pytest.mark.parametrize("path", [*sorted(CATALOGUE.rglob("*.yaml")), POOLS], ids=lambda path: path.stem)
def test_lines_can_be_reviewed(path: Path) -> None:
    """No line of a domain file or of the pools is so long that a difference in it would be hard to see."""
    lines = path.read_text(encoding="utf-8").split("\n")
    assert [number for number, line in enumerate(lines, start=1) if len(line) > LINE_WIDTH] == []


def test_shipped_domains_have_these_names() -> None:
    """The domains that ship, under these names."""
    names = ["AI/ML Operations", "API Management", "AR/VR", "Accounting", "Agriculture", "Analytics", "Banking"]
    names += ["Blockchain", "Business Intelligence", "Calendar", "Cloud Infrastructure", "Customer Support"]
    names += ["Data Science", "Data Warehousing", "Database Management", "DevOps", "Documentation", "E-commerce"]
    names += ["Education", "Email", "Energy", "Entertainment", "File Storage", "Finance", "Gaming", "HR", "Healthcare"]
    names += ["Hospitality", "Insurance", "Investment", "IoT Management", "Laboratory Research", "Legal"]
    names += ["Manufacturing", "Marketing", "Media", "Messaging", "Procurement", "Project Management"]
    names += ["Public Services", "Publishing", "Real Estate", "Reporting", "Retail", "Robotics", "Sales", "Security"]
    names += ["Social Media", "Sports", "Supply Chain", "Team Collaboration", "Telecommunications", "Transportation"]
    names += ["Travel", "Video Conferencing"]
    assert REGISTRY.get_all_domains() == names


def test_domain_has_enough_of_everything(domain: Domain) -> None:
    """Entities, tools, rules, roles, parts and requests reach the promised numbers; scenarios have all six intents."""
    file = domain.file

    assert len(file.entities) >= 2
    assert sum(entity.count for entity in file.entities.values()) >= 200
    assert len(file.tools) >= 12
    assert {tool.operation for tool in file.tools.values()} >= {
        "list",
        "get",
        "create",
        "update",
        "delete",
        "export",
        "aggregate",
    }
    assert len(file.policy.rules) >= 12
    assert len(file.roles) >= 4
    assert "max_results" in domain.family.default_policy.scope_limits
    assert len(file.parts) + len(file.scenarios) >= 25
    assert {each.intent for each in domain.scenarios_of("train-0").values()} == set(INTENTS)
    assert domain.family.size * len(file.roles) >= 1000
    assert split_capacity(domain, "train") >= 4_000_000 // 50
    assert all(split_capacity(domain, split) >= 4_000_000 // 50 // 5 for split in SPLITS)


def test_everything_is_in_use(domain: Domain) -> None:
    """Some scenario of the first three worlds uses each part and tool, asks for each role, and is bound by each rule."""
    worlds = [domain.scenarios_of(f"train-{number}") for number in range(3)]
    shapes = [shape for world in worlds for shape in world.shapes.values()]
    scenarios = [scenario for world in worlds for scenario in world.values()]
    parts = {use.part for shape in shapes for group in shape.groups for use in group.uses}
    calls = {(role, step.tool) for scenario in scenarios for role in scenario.roles for step in scenario.plan}
    binding = {name for role, tool in calls for name, _ in rules_binding(domain, role, tool)}
    forbidding = {name for name, rule in domain.file.policy.rules.items() if rule.kind == "may_not_call"}

    assert domain.file.parts.keys() - parts == set()
    assert domain.file.roles.keys() - {role for role, _ in calls} == set()
    assert {
        tool_id_of(domain.slug, tool) for _, tool in calls
    } == domain.tools.keys() - domain.family.always_forbidden_tools
    assert domain.file.policy.rules.keys() - binding - forbidding == set()


def test_proposals_pass_as_they_are(domain: Domain, traces: list[GoldTrace]) -> None:
    """At least 98 % of what the embedded oracle proposes is gold, without a second attempt."""
    validator = TraceValidator(REGISTRY)
    rejected = Counter(str(found[0]) for trace in traces if (found := validator.findings(trace)))

    assert (len(traces) - rejected.total()) / TRACES >= 0.98, (domain.slug, rejected)


def test_plans_are_varied(domain: Domain, traces: list[GoldTrace]) -> None:
    """Plans have one to five and more calls, most pass results on, and no intent dominates what is asked for."""
    calls = [len(trace.graph.calls) for trace in traces]
    tasks = [task for world in ("train-0", "train-1") for task in domain.scenarios_of(world).values()]
    intents = Counter(task.intent for task in tasks)
    flowing = [any(s.origin == "call" for c in t.graph.calls for s in c.argument_sources) for t in traces]

    assert 2.5 <= sum(calls) / len(calls) <= 4.0
    assert sum(n > 1 for n in calls) / len(calls) >= 0.65
    assert sum(n >= 5 for n in calls) / len(calls) >= 0.10
    assert sum(flowing) / sum(n > 1 for n in calls) >= 0.6
    assert all(0.07 <= intents[intent] / len(tasks) <= 0.32 for intent in INTENTS), intents


def test_policies_forbid_tools(domain: Domain, traces: list[GoldTrace]) -> None:
    """Some tools are always forbidden, some under some members; the field lists those that a sentence forbids to all."""
    sometimes = {
        f"{domain.slug}.{tool}"
        for rule in domain.file.policy.rules.values()
        if rule.kind == "may_not_call" and rule.sometimes and not rule.parameters.get("roles")
        for tool in rule.parameters["tools"]
    }
    assert domain.family.always_forbidden_tools
    assert sometimes - domain.family.always_forbidden_tools
    assert {*domain.family.default_policy.forbidden_operations} == domain.family.always_forbidden_tools | sometimes
    counts = Counter(tool for trace in traces for tool in trace.policy.forbidden_operations)
    for tool in sometimes - domain.family.always_forbidden_tools:
        assert 0 < counts[tool] < len(traces)
    for trace in traces:
        policy = trace.policy
        forbidding = [
            each for each in policy.constraints if each.kind == "may_not_call" and not each.parameters.get("roles")
        ]
        assert [
            *dict.fromkeys(tool for each in forbidding for tool in each.parameters["tools"])
        ] == policy.forbidden_operations
        assert domain.family.always_forbidden_tools <= {*policy.forbidden_operations} <= domain.tools.keys()


def test_what_is_forbidden_is_refused(domain: Domain, traces: list[GoldTrace]) -> None:
    """A plan is refused under a member that forbids one of its tools, and a call of an always forbidden tool under any."""
    validator = TraceValidator(REGISTRY)
    refused = 0
    for trace in traces:
        used = {call.tool_id for call in trace.graph.calls}
        if used & {*domain.family.default_policy.forbidden_operations}:
            compliant, messages = validator.validate_policy_compliance(trace, domain.family.default_policy)
            assert not compliant
            assert sum("is forbidden" in each for each in messages) >= 2
            refused += 1
        assert not used & {*trace.policy.forbidden_operations}
    assert refused >= TRACES / 72
    calling = next(trace for trace in traces if trace.graph.calls)
    call = calling.graph.calls[0].model_copy(update={"tool_id": min(domain.family.always_forbidden_tools)})
    graph = calling.graph.model_copy(update={"calls": [call], "execution_order": [call.call_id]})
    alone = calling.model_copy(update={"graph": graph})
    assert any("is forbidden" in each for each in validator.validate_policy_compliance(alone)[1])


def test_a_stricter_policy_needs_another_plan(domain: Domain) -> None:
    """Of the scenarios that change something, a tenth has steps that depend on a rule that is in force only sometimes."""
    sometimes = {name for name, rule in domain.file.policy.rules.items() if rule.sometimes}
    scenarios = domain.scenarios_of("train-0").values()
    changing = [each for each in scenarios if each.goal.effects]
    depending = [each for each in changing if any(sometimes & {*step.when, *step.unless} for step in each.plan)]

    assert len(depending) >= len(changing) / 10


KNOWN_NAMES = ["finance.list_invoices", "hr.list_employees", "devops.list_deployments", "email.list_messages"]
KNOWN_NAMES += ["calendar.list_events", "customer_support.list_tickets", "sales.list_opportunities"]
KNOWN_NAMES += ["cloud_infrastructure.list_instances", "database_management.list_databases", "file_storage.list_files"]


@pytest.mark.parametrize("tool_id", KNOWN_NAMES)
def test_listing_takes_a_limit_alone(tool_id: str) -> None:
    """These tools, which programs call by these names, list the first rows when nothing but a limit is given."""
    world = world_of(REGISTRY.domain(tool_id.partition(".")[0]), 1, "train-0")
    done = execute([ToolCall(call_id="a", tool_id=tool_id, arguments={"limit": 3})], world)

    assert done.refusal is None
    assert done.results["a"].value["count"] == 3


def test_words_of_traces_are_unique_and_worlds_apart(traces: list[GoldTrace]) -> None:
    """No request text occurs twice, and no split shares a world with another."""
    texts = Counter(trace.request.text.casefold() for trace in traces)

    assert max(texts.values()) == 1
    assert {trace.metadata["world"].partition("-")[0] for trace in traces} == set(SPLITS)


def test_splits_share_no_words_around_values(domain: Domain) -> None:
    """No two splits begin a task with the same words, or have an opening, a reason or a closing in common.

    The phrases for conditions and the few words that join sentences belong to all splits: without them, the same rows
    could not be asked for.
    """
    scenarios = domain.scenarios_of("train-0")
    for name in [*scenarios.shapes][::20]:
        beginnings = [_beginnings(scenarios.task(name), domain, split) for split in SPLITS]
        for at, other in ((0, 1), (0, 2), (1, 2)):
            assert not beginnings[at] & beginnings[other], name
    frames = [_frames(domain.scenarios_of(f"{split}-0")) for split in SPLITS]
    assert not any(frames[at] & frames[other] for at, other in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("split", SPLITS)
def test_every_task_has_enough_phrasings(domain: Domain, split: str) -> None:
    """The capacity of a split relies on the least number of phrasings that a task has in it."""
    scenarios = domain.scenarios_of(f"{split}-0")
    assert min(len(scenarios.phrasings(name)) for name in [*scenarios.shapes][::5]) >= FEWEST_PHRASINGS


def _beginnings(task: ComposedTask, domain: Domain, split: str) -> set[str]:
    """Pattern and verb phrase of the first sentences of a task."""
    phrasings = TaskPhrasings(task, domain, voice_of_split(domain.voice, split), split)
    return {" ".join(phrasings[at].text.split("; ")[:2]) for at in range(len(phrasings))}


def _frames(scenarios: ScenarioTable) -> set[str]:
    """Everything that may stand around the phrasings of some tasks."""
    spaces = [wording_space_of(scenarios, name) for name in [*scenarios.shapes][::20]]
    return {text for space in spaces for frame in set(space.frames) for texts in frame for text in texts}


@pytest.mark.catalogue
def test_no_two_domains_are_asked_for_all_rows_in_the_same_words() -> None:
    """Rows that nothing describes go by a noun that no other domain's such rows have, or texts would repeat."""
    files = {path.stem: read_domain_file(path) for path in sorted(CATALOGUE.glob("*.yaml"))}
    domains_with = Counter(noun for file in files.values() for noun in nouns_alone(file))
    assert {noun for noun, number in domains_with.items() if number > 1} == set()
