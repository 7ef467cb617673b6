"""TraceValidator: judges single traces of any oracle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gatling_sid.instance_or_class_method import InstanceOrClassMethod, instance_for_class_calls
from gatling_sid.models import Finding, GoldTrace, SystemPolicy, Verdict, replace_fields
from gatling_sid.schemas import DomainRegistry
from gatling_sid.validators.checks import CHECKS, findings_of_check, judge, run_checks, why_skipped
from gatling_sid.validators.diversity import measure_diversity
from gatling_sid.validators.trace_context import TraceContext


class TraceValidator:
    """Judges traces against the catalogue; it keeps no other state.

    The `validate_…` calls work on the class too: `TraceValidator.validate_structure(trace)`.
    """

    def __init__(self, registry: DomainRegistry | None = None) -> None:
        """Uses the catalogue that ships with the package unless another one is given."""
        self.registry = registry or instance_for_class_calls(DomainRegistry)

    def findings(self, trace: GoldTrace) -> list[Finding]:
        """The findings of all checks; empty for gold. If a trace is too large or its structure broken, only that is reported."""
        return run_checks(TraceContext(trace, self.registry), CHECKS)

    def verdicts(self, traces: Sequence[GoldTrace]) -> list[Verdict]:
        """One verdict per trace: its findings or, if there are none, the reasons why parts could not be judged."""
        return [judge(TraceContext(trace, self.registry)) for trace in traces]

    @InstanceOrClassMethod
    def validate_trace(self, trace: GoldTrace) -> tuple[bool, dict[str, Any]]:
        """Whether no check failed, and a report.

        The report has `trace_id`, `overall_valid` (no check failed), `validated` (also, no part of a check was skipped:
        the trace is proven gold) and `checks`. For each check, it has the check's verdict, its messages and, if part of
        it could not be judged, the reason under `skipped`.
        """
        context = TraceContext(trace, self.registry)
        stop_reason: str | None = None
        checks: dict[str, Any] = {}
        for name, check in CHECKS.items():
            found = [] if stop_reason else list(findings_of_check(context, name))
            reason = stop_reason or why_skipped(context, name)
            checks[name] = {check.result_key: not found, check.messages_key: [str(each) for each in found]}
            if reason:
                checks[name]["skipped"] = reason
            if found and check.stop_reason:
                stop_reason = check.stop_reason
        valid = all(checks[name][check.result_key] for name, check in CHECKS.items())
        return valid, {
            "trace_id": trace.trace_id,
            "validated": valid and not any("skipped" in each for each in checks.values()),
            "overall_valid": valid,
            "checks": checks,
        }

    @InstanceOrClassMethod
    def validate_structure(self, trace: GoldTrace) -> tuple[bool, list[str]]:
        """The result of the structure check alone, and its messages."""
        return self._run_alone(trace, "structure")

    @InstanceOrClassMethod
    def validate_policy_compliance(
        self, trace: GoldTrace, policy: SystemPolicy | None = None
    ) -> tuple[bool, list[str]]:
        """The result of the two policy checks alone, under the trace's policy or another one, and their messages."""
        other = trace if policy is None else replace_fields(trace, policy=policy)
        return self._run_alone(other, "policy", "policy_wording")

    @InstanceOrClassMethod
    def validate_minimal_scope(self, trace: GoldTrace) -> tuple[bool, list[str]]:
        """The result of the minimality check alone: by ablation if the plan can be replayed, else by declared scopes."""
        return self._run_alone(trace, "minimal_scope")

    @InstanceOrClassMethod
    def validate_check(self, trace: GoldTrace, name: str) -> tuple[bool, list[str]]:
        """The result of one check of `checks.CHECKS` alone, and its messages."""
        return self._run_alone(trace, name)

    @InstanceOrClassMethod
    def validate_dataset_diversity(self, traces: Iterable[GoldTrace]) -> dict[str, Any]:
        """Counts and ranges that show how diverse a set of traces is; see `measure_diversity`."""
        return measure_diversity(traces)

    def _run_alone(self, trace: GoldTrace, *names: str) -> tuple[bool, list[str]]:
        first = [each for each, check in CHECKS.items() if check.stop_reason and each not in names]
        found = run_checks(TraceContext(trace, self.registry), [*first, *names])
        return not found, [str(each) for each in found]
