"""Refusals are counted, never argued with: a domain that is refused too often is not asked any further."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gatling_sid.errors import OracleError
from gatling_sid.oracle.claude.accounting.ledger import Ledger
from gatling_sid.oracle.claude.messages.llm_request import LLMResponse

_FEWEST_TO_JUDGE = 20
DOMAIN_STOPPED = "error:domain_stopped"
"""The problem of an ask that is not sent any more."""


class RefusalCounter:
    """By domain, over the whole life of the ledger."""

    def __init__(self, ledger: Ledger, max_rate: float) -> None:
        self.max_rate = max_rate
        self.answered: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.categories: Counter[str] = Counter()
        for spent in ledger.spending():
            self.answered[spent.domain] += spent.responses
            for problem, count in spent.problems.items():
                self._add(spent.domain, problem, count)

    def count(self, domain: str, answer: LLMResponse) -> None:
        """Adds a new answer."""
        self.answered[domain] += 1
        self._add(domain, answer.problem, 1)

    def is_stopped(self, domain: str) -> bool:
        """Whether the domain's share of refusals is over the threshold."""
        answered = self.answered[domain]
        return answered >= _FEWEST_TO_JUDGE and self.refused[domain] > self.max_rate * answered

    def raise_if_all_stopped(self, domains: Iterable[str]) -> None:
        """A run with no domain left to ask about has ended.

        Raises:
            OracleError: names the domains and the categories of their refusals.

        """
        domains = sorted(domains)
        if domains and all(map(self.is_stopped, domains)):
            counts = ", ".join(f"{domain} {self.refused[domain]} of {self.answered[domain]}" for domain in domains)
            kinds = ", ".join(f"{kind} {count}" for kind, count in self.categories.most_common())
            raise OracleError(
                f"refused more often than {self.max_rate:.0%}: {counts} (by category: {kinds}); the run stops. "
                "Read the provider's commercial terms and ask the provider; do not rephrase around refusals"
            )

    def _add(self, domain: str, problem: str | None, count: int) -> None:
        if problem and problem.startswith("refusal:"):
            self.refused[domain] += count
            self.categories[problem.removeprefix("refusal:")] += count
