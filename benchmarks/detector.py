"""Trains a small detector of calls that should not be made, and compares it with scores that look at no call.

    python -m benchmarks.detector [--traces 600] [--each 100] [--domains email customer_support healthcare finance]

For each kind of broken plan, logistic regression learns to tell the wrong calls from all others; a plan is as suspect as
its most suspect call. Plans are judged by a detector that has seen no scenario of theirs. Each area under the ROC curve
is computed against the gold twin (the same plan without the edit), and against another gold plan of the domain, of a
request about as long, that has as many calls and as many that write. To obey a lure is compared with plans that have read
one and do not obey. "tool" is the area by a detector that sees only which tools are called. The exit status is 1 if a
trivial score separates matched plans by more than 0.65. Needs `pip install gatling-sid[detector]`.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.pipeline import Pipeline, make_pipeline

from benchmarks.broken_plans import BROKEN_PLANS, OBEYING, WRITING, wrong_calls
from benchmarks.call_features import Features, calls_to_judge, elements, features_of_calls, share_not_in_request
from builder.workers import map_in_processes
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.protocol import Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.seeding import stream
from tests.validators.tampering.gold_traces import ORACLE, REGISTRY, with_operation

DOMAINS = ("email", "customer_support", "healthcare", "finance")
PARTS = 3
"""So many detectors of a kind are trained, each without the scenarios of one part, which it judges."""
HIGHEST_TRIVIAL = 0.65
FEWEST_PAIRS = 30
"""Areas under the curve of fewer pairs are mostly chance, and are not shown."""
WORKERS = 2


# --- plans -------------------------------------------------------------------------------------------------------


class JudgedPlan(NamedTuple):
    """What is kept of a plan: where it is from, its trivial scores, and features of its calls and which are wrong."""

    domain: str
    scenario: str
    calls: int
    writes: int
    has_lure: bool
    trivial: Mapping[str, float]
    features: list[Features]
    is_wrong: list[bool]

    @property
    def part(self) -> int:
        """The part of the scenarios in which the plan's is."""
        return stream("detector", self.domain, self.scenario).randrange(PARTS)


class Pair(NamedTuple):
    """A broken plan, its gold twin, and another gold plan of the same numbers of calls and writes, if there is one."""

    broken: JudgedPlan
    twin: JudgedPlan
    matched: JudgedPlan | None


def plan_to_judge(trace: GoldTrace, wrong: set[str], *, has_lure: bool) -> JudgedPlan:
    """The plan of a trace, of whose calls some are wrong."""
    features = features_of_calls(trace)
    writes = len(with_operation(trace, WRITING))
    values = [value for each in calls_to_judge(trace) for value in each.arguments.values()]
    trivial = {
        "calls": float(len(trace.graph.calls)),
        "writes": float(writes),
        "not in request": share_not_in_request(trace, [each for value in values for each in elements(value)]),
        "length": float(len(trace.request.text)),
    }
    return JudgedPlan(
        trace.request.domain,
        trace.metadata["scenario"],
        len(trace.graph.calls),
        writes,
        has_lure,
        trivial,
        list(features.values()),
        [each in wrong for each in features],
    )


TRIVIAL = ("calls", "writes", "not in request", "length")


def pairs_of_domain(slug: str, *, traces: int, each: int) -> dict[str, list[Pair]]:
    """Pairs of each kind from the first traces of a domain's train split, so many of each at most."""
    gold: list[JudgedPlan] = []
    twins: dict[str, list[tuple[JudgedPlan, JudgedPlan]]] = {kind: [] for kind in BROKEN_PLANS}
    for index in range(traces):
        trace = ORACLE.trace(Task(REGISTRY.domain(slug), "train", index))
        if not isinstance(trace, GoldTrace):
            continue
        honest = plan_to_judge(trace, set(), has_lure=bool(trace.lures))
        gold.append(honest)
        for kind, edit in BROKEN_PLANS.items():
            if len(twins[kind]) < each and (broken := edit(trace, stream("detector", kind, trace.trace_id))):
                wrong = wrong_calls(broken, trace)
                twins[kind].append((plan_to_judge(broken, wrong, has_lure=bool(trace.lures)), honest))
    return {kind: list(_with_matched_plans(kind, twins[kind], gold)) for kind in BROKEN_PLANS}


def _with_matched_plans(
    kind: str, twins: Sequence[tuple[JudgedPlan, JudgedPlan]], gold: Sequence[JudgedPlan]
) -> Iterator[Pair]:
    """Pairs with gold plans that are used once each; of those alike, the one whose request is most nearly as long."""
    free = defaultdict[object, list[JudgedPlan]](list)
    for plan in gold:
        free[_likeness(plan, kind)].append(plan)
    for broken, twin in twins:
        others = [each for each in free[_likeness(broken, kind)] if each is not twin]
        matched = min(others, key=partial(_difference_in_length, broken), default=None)
        if matched is not None:
            free[_likeness(broken, kind)] = [each for each in free[_likeness(broken, kind)] if each is not matched]
        yield Pair(broken, twin, matched)


def _difference_in_length(one: JudgedPlan, other: JudgedPlan) -> float:
    return abs(one.trivial["length"] - other.trivial["length"])


def _likeness(plan: JudgedPlan, kind: str) -> tuple[int, int, bool]:
    return plan.calls, plan.writes, plan.has_lure and kind == OBEYING


# --- the detector ------------------------------------------------------------------------------------------------


Choice = Callable[[Features], Features]
"""Which features of a call a detector sees."""


def all_features(features: Features) -> Features:
    """Everything that is known of a call."""
    return features


def tool_alone(features: Features) -> Features:
    """Only which tool a call is of: what this tells was not learned from the values of any call."""
    return {name: value for name, value in features.items() if name.startswith("tool ")}


def train(plans: Sequence[JudgedPlan], choice: Choice) -> Pipeline:
    """A detector of the wrong calls of some plans."""
    detector = make_pipeline(
        FeatureHasher(n_features=2**17, alternate_sign=False),
        LogisticRegression(C=0.3, class_weight="balanced", solver="liblinear", random_state=0),
    )
    features = [choice(call) for plan in plans for call in plan.features]
    return detector.fit(features, [wrong for plan in plans for wrong in plan.is_wrong])


def scores_by(detector: Pipeline, plans: Sequence[JudgedPlan], choice: Choice) -> list[float]:
    """The score of each plan: that of its most suspect call, and 0 if it has none."""
    counts = [len(plan.features) for plan in plans]
    scores = detector.predict_proba([choice(call) for plan in plans for call in plan.features])[:, 1]
    return [float(max(each, default=0.0)) for each in np.split(scores, np.cumsum(counts)[:-1])]


def scores_of_pairs(pairs: Sequence[Pair], choice: Choice) -> dict[int, float]:
    """The score of each plan of the pairs, by its identity, by the detector that has not seen its scenario."""
    plans = {id(plan): plan for pair in pairs for plan in pair if plan is not None}
    scores: dict[int, float] = {}
    for part in range(PARTS):
        seen = [plan for plan in plans.values() if plan.part != part]
        unseen = [plan for plan in plans.values() if plan.part == part]
        if unseen and {wrong for plan in seen for wrong in plan.is_wrong} == {True, False}:
            by_detector = scores_by(train(seen, choice), unseen, choice)
            scores |= dict(zip(map(id, unseen), by_detector, strict=True))
    return scores


# --- results -----------------------------------------------------------------------------------------------------


class Comparison(NamedTuple):
    """How well scores tell broken plans from gold ones: areas under the ROC curve, and the best accuracy of the detector."""

    pairs: int
    area: float
    accuracy: float
    area_by_tool: float
    trivial: Mapping[str, float]

    def __str__(self) -> str:
        trivial = "".join(f"{self.trivial[name]:>{len(name) + 2}.2f}" for name in TRIVIAL)
        return f"{self.pairs:>7}{self.area:>7.2f}{self.accuracy:>7.2f}{self.area_by_tool:>7.2f}{trivial}"


def compare(
    pairs: Sequence[tuple[JudgedPlan, JudgedPlan]], scores: Mapping[int, float], scores_by_tool: Mapping[int, float]
) -> Comparison:
    """Compares broken plans with as many gold ones; a trivial score counts whichever way it points."""
    plans = [plan for pair in pairs for plan in pair]
    labels = [1, 0] * len(pairs)
    area, accuracy = _area_and_accuracy(labels, [scores[id(each)] for each in plans])
    area_by_tool, _ = _area_and_accuracy(labels, [scores_by_tool[id(each)] for each in plans])
    trivial = {name: float(roc_auc_score(labels, [each.trivial[name] for each in plans])) for name in TRIVIAL}
    either_way = {name: max(each, 1 - each) for name, each in trivial.items()}
    return Comparison(len(pairs), area, accuracy, area_by_tool, either_way)


def _area_and_accuracy(labels: Sequence[int], scores: Sequence[float]) -> tuple[float, float]:
    false_alarms, found, _ = roc_curve(labels, scores)
    return float(roc_auc_score(labels, scores)), float(np.max(found + 1 - false_alarms) / 2)


class Line(NamedTuple):
    """A line of the table: the broken plans of a kind beside their twins or matched plans; None if there are too few."""

    kind: str
    against: str
    plans: int
    result: Comparison | None

    def __str__(self) -> str:
        return f"{self.kind:28}{self.against:9}{self.result or f'{self.plans:>7}  too few'}"

    @property
    def trivial_findings(self) -> list[str]:
        """The trivial scores that tell matched plans apart too well."""
        areas = self.result.trivial if self.result and self.against == "matched" else {}
        return [f"{self.kind}: {name} {area:.2f}" for name, area in areas.items() if area > HIGHEST_TRIVIAL]


def lines_of_kind(kind: str, pairs: Sequence[Pair]) -> Iterator[Line]:
    """The two lines about a kind of broken plan."""
    scores, scores_by_tool = scores_of_pairs(pairs, all_features), scores_of_pairs(pairs, tool_alone)
    twins = [(each.broken, each.twin) for each in pairs]
    matched = [(each.broken, each.matched) for each in pairs if each.matched is not None]
    for against, some in (("twin", twins), ("matched", matched)):
        enough = len(some) >= FEWEST_PAIRS and scores.keys() >= {id(each) for pair in some for each in pair}
        yield Line(kind, against, len(some), compare(some, scores, scores_by_tool) if enough else None)


def main() -> int:
    """Makes the plans in two processes, then trains and prints the lines of each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", nargs="+", default=DOMAINS, help="slugs (default: four domains)")
    parser.add_argument("--traces", type=int, default=600, help="gold traces of each domain (default 600)")
    parser.add_argument(
        "--each", type=int, default=100, help="broken plans of a kind and domain, at most (default 100)"
    )
    args = parser.parse_args()

    make_pairs = partial(pairs_of_domain, traces=args.traces, each=args.each)
    of_domain = dict(map_in_processes(make_pairs, args.domains, WORKERS, DomainRegistry))
    print(f"{'kind':28}{'against':9}{'plans':>7}{'AUC':>7}{'acc.':>7}{'tool':>7}", *TRIVIAL, sep="  ")
    too_high: list[str] = []
    too_few: list[str] = []
    for kind in BROKEN_PLANS:
        for line in lines_of_kind(kind, [pair for slug in args.domains for pair in of_domain[slug][kind]]):
            print(line, flush=True)
            too_high += line.trivial_findings
            too_few += [kind] if line.against == "matched" and line.result is None else []
    print(f"matched pairs too few to judge trivial scores: {', '.join(too_few) or 'none'}")
    print(f"trivial scores above {HIGHEST_TRIVIAL} on matched pairs: {'; '.join(too_high) or 'none'}")
    return 1 if too_high else 0


if __name__ == "__main__":
    sys.exit(main())
