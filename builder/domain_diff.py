"""Compares the traces of two versions of a domain file: what a change of the file does to them.

Randomness does not depend on the content of the file, so a trace differs only if the change affects it.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import unified_diff
from pathlib import Path
from typing import Any, NamedTuple

from gatling_sid.errors import CatalogueError
from gatling_sid.models import GoldTrace, replace_fields
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.catalogue import DomainFile
from gatling_sid.schemas.domain import SPLITS
from gatling_sid.schemas.domain_content import copy_continuation
from gatling_sid.schemas.registry import CATALOGUE
from gatling_sid.validators import TraceValidator
from gatling_sid.views.text import to_text

_CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)


class JudgedProposal(NamedTuple):
    """The trace that one version gives for a task, None after a failure; and why it is rejected, if it is."""

    trace: GoldTrace | None
    reason: str | None
    """Scenario and rule, the same for all traces that are rejected for the same reason; None if accepted."""
    message: str
    """What is wrong with this trace; empty if accepted."""
    text: str
    """The trace as readable text, or the message if there is no trace."""


class TracePair(NamedTuple):
    """The proposals of both versions for the same task."""

    before: JudgedProposal
    after: JudgedProposal

    @property
    def differences(self) -> list[str]:
        """What differs between the traces: keys of `ASPECTS`, or else one of `OTHER_ASPECTS`.

        Empty if they are equal, or if either is missing.
        """
        before, after = self.before.trace, self.after.trace
        if before is None or after is None or self.is_equal:
            return []
        if before == after:
            return ["results"] if self.before.text != self.after.text else []
        return [name for name, part_of in ASPECTS.items() if part_of(before) != part_of(after)] or ["other fields"]

    @property
    def is_equal(self) -> bool:
        """Whether both versions give the same trace, or none, and reject it for the same reason."""
        return self.before == self.after

    def unified_diff(self) -> str:
        """The readable texts of both traces, compared line by line."""
        lines = unified_diff(
            self.before.text.splitlines(), self.after.text.splitlines(), "before", "after", lineterm=""
        )
        return "\n".join(lines)


def _plan_of(trace: GoldTrace) -> Any:
    """The calls and their order, without the spans of the request that their arguments come from."""
    calls = [
        (
            call.model_dump(exclude={"provenance", "argument_sources"}),
            [(each.argument, each.origin, each.reference) for each in call.argument_sources],
        )
        for call in trace.graph.calls
    ]
    return calls, trace.graph.execution_order


ASPECTS: Mapping[str, Callable[[GoldTrace], Any]] = {
    "scenario": lambda trace: trace.metadata.get("scenario"),
    "words": lambda trace: trace.request.text,
    "principal": lambda trace: trace.request.principal,
    "plan": _plan_of,
    "policy": lambda trace: trace.policy,
    "goal": lambda trace: trace.goal,
}
"""The parts of a trace that are compared."""
OTHER_ASPECTS = ("results", "other fields")
"""`results`: the traces are equal, but their calls return something else."""


class Declarations(NamedTuple):
    """Names that one version of a file declares and the other does not, and names whose declaration differs."""

    added: list[str]
    removed: list[str]
    changed: list[str]


@dataclass(frozen=True)
class DomainDiff:
    """How the traces and declarations of two versions of a domain differ."""

    pairs: list[TracePair]
    declarations: dict[str, Declarations]
    """By kind: parts, scenarios, tools, rules, phrasings."""
    changed_parts: list[str]
    """The parts of the domain's version that differ: world, policy, scenarios; empty if only comments or layout do."""

    @property
    def counts(self) -> dict[str, int]:
        """Pairs that are equal, and pairs by what differs; a pair may differ in more than one way."""
        counts = {"equal": len(self.pairs) - len(self.changed_pairs)}
        for name in (*ASPECTS, *OTHER_ASPECTS):
            counts[f"{name} differ" if name.endswith("s") else f"{name} differs"] = sum(
                name in pair.differences for pair in self.pairs
            )
        counts["now rejected"] = sum(self.rejections.values())
        counts["no longer rejected"] = sum(
            pair.before.reason is not None and pair.after.reason is None for pair in self.pairs
        )
        return counts

    @property
    def rejections(self) -> Counter[str]:
        """Why traces are rejected that were accepted before; counts by reason."""
        return Counter(pair.after.reason for pair in self.pairs if pair.after.reason and not pair.before.reason)

    @property
    def changed_pairs(self) -> list[TracePair]:
        """The pairs that are not equal, in the order of their tasks."""
        return [pair for pair in self.pairs if not pair.is_equal]


def compare_versions(slug: str, before: bytes, after: bytes, *, traces: int, seed: int) -> DomainDiff:
    """Makes the same traces with both versions of a domain file, and compares them.

    Both versions use the shared pools, and what continues the file, as they are now.

    Args:
        slug: the name of the domain file, without `.yaml`.
        before: the content of the earlier version.
        after: the content of the later version.
        traces: how many tasks to make with each version, spread over all splits; each gets one attempt.
        seed: the seed of both runs.

    Raises:
        CatalogueError: a version does not load, or its world cannot be populated; says which version.

    """
    with tempfile.TemporaryDirectory(prefix="sid-diff-") as folder:
        registries = {
            name: _load_version(Path(folder) / name, slug, content)
            for name, content in {"before": before, "after": after}.items()
        }
        files = {name: registry.domain(slug).file for name, registry in registries.items()}
        proposals = {name: _make_proposals(name, registry, slug, traces, seed) for name, registry in registries.items()}
    pairs = [TracePair(*each) for each in zip(proposals["before"], proposals["after"], strict=True)]
    parts = registries["before"].domain(slug).version.changed_parts(registries["after"].domain(slug).digest)
    return DomainDiff(pairs, _compare_declarations(files["before"], files["after"]), parts)


def _load_version(folder: Path, slug: str, content: bytes) -> DomainRegistry:
    """A registry of one version, loaded. Raises CatalogueError naming the version by its folder."""
    folder.mkdir()
    path = folder / f"{slug}.yaml"
    path.write_bytes(content)
    copy_continuation(CATALOGUE / path.name, path)
    registry = DomainRegistry(folder)
    try:
        registry.domain(slug)
    except CatalogueError as error:
        raise _name_version(folder.name, error) from None
    return registry


def _name_version(version: str, error: CatalogueError) -> CatalogueError:
    return CatalogueError(f"{error.source} ({version} the change)", error.where, error.problem)


def _make_proposals(version: str, registry: DomainRegistry, slug: str, traces: int, seed: int) -> list[JudgedProposal]:
    oracle, validator, domain = ScenarioOracle(seed, _CREATED_AT), TraceValidator(registry), registry.domain(slug)
    tasks = [Task(domain, SPLITS[index % len(SPLITS)], index) for index in range(traces)]
    try:
        return [_judge_proposal(oracle.trace(task), validator, registry) for task in tasks]
    except CatalogueError as error:  # no world can be populated
        raise _name_version(version, error) from None


def _judge_proposal(
    proposal: GoldTrace | Failure, validator: TraceValidator, registry: DomainRegistry
) -> JudgedProposal:
    if isinstance(proposal, Failure):
        return JudgedProposal(None, proposal.reason, proposal.detail, proposal.detail)
    text, findings = to_text(proposal, registry), validator.findings(proposal)
    metadata = {name: value for name, value in proposal.metadata.items() if name != "catalogue"}
    trace = replace_fields(proposal, metadata=metadata)  # the versions themselves always differ
    if not findings:
        return JudgedProposal(trace, None, "", text)
    return JudgedProposal(trace, f"{metadata['scenario']}: {findings[0].rule}", findings[0].message, text)


def _compare_declarations(before: DomainFile, after: DomainFile) -> dict[str, Declarations]:
    declarations_before, declarations_after = _declarations_of(before), _declarations_of(after)
    return {kind: _compare_names(declarations_before[kind], declarations_after[kind]) for kind in declarations_before}


def _declarations_of(file: DomainFile) -> dict[str, dict[str, Any]]:
    """Everything that a file declares, by kind and name; phrasings are listed separately from their scenario."""
    return {
        "parts": {name: each.model_dump() for name, each in file.parts.items()},
        "scenarios": {name: each.model_dump(exclude={"phrasings"}) for name, each in file.scenarios.items()},
        "tools": {name: each.model_dump() for name, each in file.tools.items()},
        "rules": {name: each.model_dump() for name, each in file.policy.rules.items()},
        "phrasings": {
            f"{name}: {text}": text for name, scenario in file.scenarios.items() for text in scenario.phrasings
        },
    }


def _compare_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> Declarations:
    return Declarations(
        [name for name in after if name not in before],
        [name for name in before if name not in after],
        [name for name in before if name in after and before[name] != after[name]],
    )


def describe_diff(diff: DomainDiff, show: int = 0) -> Iterator[str]:
    """Yields the lines of a report: declarations, counts, reasons, and the first `show` pairs that differ."""
    for kind, names in diff.declarations.items():
        yield from _describe_names(f"{kind} added", names.added)
        yield from _describe_names(f"{kind} removed", names.removed)
        yield from _describe_names(f"{kind} changed", names.changed)
    yield f"changed: {', '.join(diff.changed_parts) or 'nothing but comments or layout'}"
    yield f"{len(diff.pairs):,} traces with each version"
    for name, count in diff.counts.items():
        if count or name in ("equal", "now rejected"):
            yield f"  {name}: {count:,}"
    for reason, count in diff.rejections.most_common():
        example = next(pair.after.message for pair in diff.pairs if pair.after.reason == reason)
        yield f"    {count} x {reason}, such as: {example}"
    if diff.changed_parts and not diff.changed_pairs:
        yield "None of these traces is affected by the change; more traces may be (--traces)."
    if diff.counts["scenario differs"]:
        yield "Scenarios or their weights changed, so the schedule gives many indices another scenario than before."
    for pair in diff.changed_pairs[:show]:
        yield f"\n{pair.unified_diff()}"


def _describe_names(title: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"{title}: {len(names)}"
        yield from (f"  {name}" for name in names)
