"""TraceValidator: the judge of single traces, whichever oracle proposed them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gatling_sid.also_on_class import AlsoOnClass, shared_instance
from gatling_sid.models import Finding, GoldTrace, SystemPolicy, Verdict, construct_trusted
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators.checks import CHECKS, findings_of_check, judge, run_checks, why_skipped
from gatling_sid.validators.diversity import measure_diversity
from gatling_sid.validators.trace_context import TraceContext


class TraceValidator:
    """Judges traces against the catalogue; holds no state but the catalogue.

    The `validate_…` calls work on the class too: `TraceValidator.validate_structure(trace)`.
    """

    def __init__(self, registry: DomainRegistry | None = None) -> None:
        """Uses the catalogue that ships unless given another."""
        self.registry = registry or shared_instance(DomainRegistry)

    def findings(self, trace: GoldTrace) -> list[Finding]:
        """Every breach of every check; empty for gold. A trace too large, or a broken structure, is reported alone."""
        return run_checks(TraceContext(trace, self.registry), CHECKS)

    def verdicts(self, traces: Sequence[GoldTrace]) -> list[Verdict]:
        """What is wrong with each trace and, where nothing is, what could not be judged."""
        return [judge(TraceContext(trace, self.registry)) for trace in traces]

    @AlsoOnClass
    def validate_trace(self, trace: GoldTrace) -> tuple[bool, dict[str, Any]]:
        """Whether no check failed, and a report.

        The report holds `trace_id`, `overall_valid` (no check failed), `validated` (besides, none was skipped: the
        trace is proven gold) and, by check, its verdict, its messages and, if part of it could not be judged, why
        under `skipped`.
        """
        case = TraceContext(trace, self.registry)
        barred: str | None = None
        checks: dict[str, Any] = {}
        for name, check in CHECKS.items():
            found = [] if barred else list(findings_of_check(case, name))
            reason = barred or why_skipped(case, name)
            checks[name] = {check.verdict: not found, check.messages: [str(each) for each in found]}
            if reason:
                checks[name]["skipped"] = reason
            if found and check.gate:
                barred = check.gate
        valid = all(checks[name][check.verdict] for name, check in CHECKS.items())
        return valid, {
            "trace_id": trace.trace_id,
            "validated": valid and not any("skipped" in each for each in checks.values()),
            "overall_valid": valid,
            "checks": checks,
        }

    @AlsoOnClass
    def validate_structure(self, trace: GoldTrace) -> tuple[bool, list[str]]:
        """The structure check alone."""
        return self._run_alone(trace, "structure")

    @AlsoOnClass
    def validate_policy_compliance(
        self, trace: GoldTrace, policy: SystemPolicy | None = None
    ) -> tuple[bool, list[str]]:
        """The policy check alone, against the trace's policy or another."""
        judged = trace if policy is None else construct_trusted(GoldTrace, {**trace.__dict__, "policy": policy})
        return self._run_alone(judged, "policy")

    @AlsoOnClass
    def validate_minimal_scope(self, trace: GoldTrace) -> tuple[bool, list[str]]:
        """The minimality check alone: by ablation if the plan can be replayed, else by declared scopes."""
        return self._run_alone(trace, "minimal_scope")

    @AlsoOnClass
    def validate_check(self, trace: GoldTrace, name: str) -> tuple[bool, list[str]]:
        """Any one check of `checks.CHECKS` alone."""
        return self._run_alone(trace, name)

    @AlsoOnClass
    def validate_dataset_diversity(self, traces: Iterable[GoldTrace]) -> dict[str, Any]:
        """How varied a set of traces is; see `diversity`."""
        return measure_diversity(traces)

    def _run_alone(self, trace: GoldTrace, name: str) -> tuple[bool, list[str]]:
        gates = [gate for gate, check in CHECKS.items() if check.gate and gate != name]
        found = run_checks(TraceContext(trace, self.registry), [*gates, name])
        return not found, [str(each) for each in found]
