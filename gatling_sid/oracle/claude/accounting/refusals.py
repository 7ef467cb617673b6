"""Counts refusals: no more requests are sent for a domain that is refused too often. Refused prompts are not rephrased."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.llm_request import LLMResponse, ProblemKind, ResponseProblem

# With fewer responses, one or two refusals by chance would stop a domain.
_MIN_RESPONSES = 20
DOMAIN_STOPPED = ResponseProblem(ProblemKind.ERROR, "domain_stopped")
"""The problem of a request that is not sent because its domain was refused too often."""


class RefusalCounter:
    """Counts responses and refusals by domain, over all runs in the ledger."""

    def __init__(self, ledger: Ledger, max_rate: float) -> None:
        self.max_rate = max_rate
        self.response_counts: Counter[str] = Counter()
        self.refusal_counts: Counter[str] = Counter()
        self.category_counts: Counter[str] = Counter()
        for record in ledger.spending():
            self.response_counts[record.domain] += record.responses
            for problem, count in record.problems.items():
                self._add(record.domain, problem, count)

    def count(self, domain: str, response: LLMResponse) -> None:
        """Adds one response to the counts of a domain."""
        self.response_counts[domain] += 1
        if response.problem:
            self._add(domain, response.problem, 1)

    def is_stopped(self, domain: str) -> bool:
        """Whether the share of refusals of a domain exceeds `max_rate`."""
        responses = self.response_counts[domain]
        return responses >= _MIN_RESPONSES and self.refusal_counts[domain] > self.max_rate * responses

    def raise_if_all_stopped(self, domains: Iterable[str]) -> None:
        """Ends a run in which every domain is stopped.

        Raises:
            OracleError: all of `domains` are stopped; names them and the categories of their refusals.

        """
        domains = sorted(domains)
        if domains and all(map(self.is_stopped, domains)):
            counts = ", ".join(
                f"{domain} {self.refusal_counts[domain]} of {self.response_counts[domain]}" for domain in domains
            )
            categories = ", ".join(f"{category} {count}" for category, count in self.category_counts.most_common())
            raise OracleError(
                f"refused more often than {self.max_rate:.0%}: {counts} (by category: {categories}); the run stops. "
                "Read the provider's commercial terms and contact the provider; do not rephrase prompts to avoid refusals"
            )

    def _add(self, domain: str, problem: ResponseProblem, count: int) -> None:
        if problem.kind is ProblemKind.REFUSAL:
            self.refusal_counts[domain] += count
            self.category_counts[problem.detail] += count
