"""Proving a plan once must never let pass what proving it each time would not."""

from __future__ import annotations

from gatling_sid.models import GoldTrace, trusted
from gatling_sid.oracle.protocol import Task
from gatling_sid.oracle.scenario import ScenarioOracle
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator
from gatling_sid.validators.proofs import ProvenPlans, is_rewording


def rewordings(library: Domain, oracle: ScenarioOracle) -> tuple[GoldTrace, GoldTrace]:
    """Two traces of one case."""
    first: dict[tuple[object, object], GoldTrace] = {}
    for index in range(1000):
        trace = oracle.trace(Task(library, "train", index))
        assert isinstance(trace, GoldTrace)
        key = (trace.metadata["scenario"], trace.metadata["case"])
        if key in first:
            return first[key], trace
        first[key] = trace
    raise AssertionError("no case was worded twice")


def test_another_wording_of_a_proven_plan_is_judged_by_its_words(
    library: Domain, oracle: ScenarioOracle, validator: TraceValidator
) -> None:
    """It passes if its words are right and fails if they are not."""
    one, other = rewordings(library, oracle)
    proofs = ProvenPlans(validator)
    assert one.request.text != other.request.text
    assert is_rewording(other, one)
    assert proofs.findings(one) == []
    assert proofs.findings(other) == []

    shifted = other.model_copy(deep=True)
    shifted.goal = one.goal
    broken = trusted(GoldTrace, {**other.__dict__, "request": other.request.model_copy(update={"text": "Hm."})})
    assert is_rewording(broken, one)
    assert {each.rule for each in proofs.findings(broken)} >= {
        "words_give_the_values",
        "provenance_is_real",
        "request_follows_from_coordinates",
    }
    assert not is_rewording(shifted, one)


def test_whatever_is_not_the_same_object_is_proven_in_full(
    library: Domain, oracle: ScenarioOracle, validator: TraceValidator
) -> None:
    """A plan that was tampered with is not taken for a wording of the proven one."""
    one, other = rewordings(library, oracle)
    proofs = ProvenPlans(validator)
    proofs.findings(one)
    call = other.graph.calls[0]
    arguments = {**call.arguments, "limit": 99}
    graph = other.graph.model_copy(
        update={"calls": [call.model_copy(update={"arguments": arguments}), *other.graph.calls[1:]]}
    )
    tampered = trusted(GoldTrace, {**other.__dict__, "graph": graph})

    assert not is_rewording(tampered, one)
    assert proofs.findings(tampered) == validator.findings(tampered) != []


def test_proofs_agree_with_the_validator_on_a_thousand_traces(
    library: Domain, oracle: ScenarioOracle, validator: TraceValidator
) -> None:
    """Judged one by one in full, every trace gets the verdict that proving plans once gave it."""
    proofs = ProvenPlans(validator)
    for index in range(1000):
        trace = oracle.trace(Task(library, "train", index))
        assert isinstance(trace, GoldTrace)
        assert proofs.findings(trace) == validator.findings(trace)
