"""A rule that demands a message after a read demands a call, as other rules do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.models import GoldTrace
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.yaml_loading import load_yaml
from gatling_sid.validators import TraceValidator
from tests.conftest import CREATED_AT

LIBRARY = Path(__file__).parent.parent.parent / "catalogue" / "library.yaml"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> DomainRegistry:
    """The library, whose members get a message when somebody opens their loan."""
    content: dict[str, Any] = load_yaml(LIBRARY)
    rules = content["policy"]["rules"]
    rules["open_first"]["sometimes"] = False
    rules["tell"]["with"]["tools"] = ["get_loan"]
    folder = tmp_path_factory.mktemp("notices")
    (folder / "library.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return DomainRegistry(folder)


@pytest.fixture(scope="module")
def traces(registry: DomainRegistry) -> list[GoldTrace]:
    """Traces that renew a loan, with and without the rule."""
    oracle, domain = ScenarioOracle(1, CREATED_AT), registry.domain("library")
    proposed = (oracle.trace(Task(domain, "train", index)) for index in range(0, 1400, 7))
    return [each for each in proposed if isinstance(each, GoldTrace) and each.metadata["scenario"] == "renew"]


def test_the_message_is_demanded_by_the_rule(registry: DomainRegistry, traces: list[GoldTrace]) -> None:
    """Plans with the message that quotes the rule are gold where the rule is in force, and have no message elsewhere."""
    validator = TraceValidator(registry)
    in_force = {"tell" in {each.constraint_id for each in trace.policy.constraints} for trace in traces}
    for trace in traces:
        rule = next((each for each in trace.policy.constraints if each.constraint_id == "tell"), None)
        quoted = [
            call.provenance.content_snippet
            for call in trace.graph.calls
            if call.tool_id == "library.mail_member" and call.provenance
        ]
        assert quoted == ([trace.policy.rules[rule.rule]] if rule else [])
        assert validator.findings(trace) == []
    assert in_force == {True, False}


def test_a_plan_without_the_message_breaks_the_rule(registry: DomainRegistry, traces: list[GoldTrace]) -> None:
    """Without the message, the rule is named by a finding."""
    trace = next(each for each in traces if len(each.graph.calls) == 4).model_copy(deep=True)
    trace.graph.calls.pop()
    trace.graph.execution_order.pop()

    holds, messages = TraceValidator(registry).validate_policy_compliance(trace)

    assert not holds
    assert messages[0].startswith("constraints_hold: tell: call_2 uses loan L-")
