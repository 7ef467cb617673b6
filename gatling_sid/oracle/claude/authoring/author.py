"""The loop that writes data of the catalogue: ask Claude, prove the candidates, let Claude judge them, insert them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from gatling_sid.errors import CatalogueError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.authoring.trial import CandidateDomain, JudgeFactory, load_candidate
from gatling_sid.oracle.claude.messages.llm_request import LLMRequest, LLMResponse, SyncClient, work_id_of
from gatling_sid.oracle.claude.plans.answers import (
    BadAnswerError,
    JudgementAnswer,
    parse_answer,
)
from gatling_sid.oracle.claude.plans.request_context import context_of_trace
from gatling_sid.oracle.claude.prompts.answer_schemas import answer_schema
from gatling_sid.oracle.claude.prompts.phases import DomainPrompts, first_example
from gatling_sid.oracle.claude.prompts.system_prompts import system_text
from gatling_sid.oracle.claude.prompts.user_prompts import judgement_text
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure
from gatling_sid.schemas.domain import Domain

CandidateT = TypeVar("CandidateT")


class AuthoringPrompt(NamedTuple):
    """A user prompt, and its subject: the name of a scenario, or the number of the prompt."""

    subject: str
    user: str

    def with_rejection(self, candidate: str, problem: str) -> AuthoringPrompt:
        """The prompt that asks for a better candidate after `candidate` was rejected because of `problem`."""
        first = self.user.partition("\n\nAn earlier answer was:")[0]
        addition = f"An earlier answer was:\n{_escape(candidate)}\nIt was rejected: {_escape(problem)}\nRepair it."
        return AuthoringPrompt(self.subject, f"{first}\n\n{addition}")


def _escape(text: str) -> str:
    """The text with unprintable characters escaped, except line breaks, so that a prompt can contain it."""
    return "".join(each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)


# Far more than the nesting of any entry, and far less than Python's recursion limit.
_MAX_DEPTH = 24


def find_problem_in_content(content: object, depth: int = 0) -> str | None:
    """Says why content must not be written to a file, or returns None: invisible characters, or too deep nesting."""
    if isinstance(content, str):
        return None if content.isprintable() else f"notation: {content!r} contains invisible or control characters"
    if depth > _MAX_DEPTH:
        return f"notation: it is nested more than {_MAX_DEPTH} deep"
    parts = [*content, *content.values()] if isinstance(content, dict) else content if isinstance(content, list) else []
    return next((problem for each in parts if (problem := find_problem_in_content(each, depth + 1))), None)


class ContentKind(ABC, Generic[CandidateT]):
    """A kind of catalogue data that Claude may write; a `CandidateT` is one candidate, as the answer states it."""

    phase: str
    max_tokens: int
    """The most output tokens of an answer."""
    candidates_per_answer: int = 1
    repairs: int = 0
    """How often Claude may repair a rejected candidate."""
    judgements: int = 1
    """The number of judgements of a candidate, each of another trace; most of them must be favourable."""

    @abstractmethod
    def examples(self, domain: Domain, text: str) -> list[str]:
        """The examples of the system prompt, taken from the domain and from the text of its file."""

    @abstractmethod
    def prompts(self, domain: Domain, round_: int) -> list[AuthoringPrompt]:
        """The user prompts of a round. Raises OracleError if the domain has nothing to ask about."""

    @abstractmethod
    def parse_candidates(self, text: str) -> list[CandidateT]:
        """The candidates in an answer. Raises BadAnswerError."""

    @abstractmethod
    def format_candidate(self, candidate: CandidateT) -> str:
        """A candidate as text, for reports and for prompts."""

    @abstractmethod
    def find_problem_in_candidate(self, domain: Domain, candidate: CandidateT) -> str | None:
        """Says what is wrong with a candidate before it is inserted, or returns None."""

    @abstractmethod
    def insert(self, text: str, subject: str, candidate: CandidateT, source: str, file: str) -> str:
        """The text of the domain file with the candidate, under a comment with its source. Raises CatalogueError."""

    @abstractmethod
    def find_problem_in_domain(self, trial: CandidateDomain, subject: str, candidate: CandidateT) -> str | None:
        """Says what is wrong with the domain that has the candidate, or returns None if all its proofs succeed."""

    def judgement_requests(
        self, prompts: DomainPrompts, trial: CandidateDomain, subject: str, candidate: CandidateT
    ) -> list[LLMRequest]:
        """Requests for Claude's judgement of a proven candidate: whether its traces do what their requests state."""
        gold = (each for each in self.traces_of(trial, subject, candidate) if not trial.find_problem_in_proposal(each))
        chosen = [each for _, each in zip(range(self.judgements), gold, strict=False) if isinstance(each, GoldTrace)]
        return [
            prompts.build_request("judgement", judgement_text(each, context_of_trace(each, trial.domain)))
            for each in chosen
        ]

    def traces_of(self, trial: CandidateDomain, subject: str, _candidate: CandidateT) -> Iterator[GoldTrace | Failure]:
        """Traces that were made with the candidate, not judged yet."""
        return trial.traces(subject)

    def find_problem_in_judgement(self, text: str) -> str | None:
        """The reason of an unfavourable judgement, or None if it is favourable. Raises BadAnswerError."""
        judgement = parse_answer(JudgementAnswer, text)
        return None if judgement.is_favourable else judgement.why


class KeptCandidate(NamedTuple):
    """A candidate that was inserted, and its share of the cost of the responses about it."""

    subject: str
    text: str
    cost_usd: float


class RejectedCandidate(NamedTuple):
    """A candidate that was not inserted, and why; `text` is empty if the answer was malformed."""

    subject: str
    text: str
    reason: str


class AuthoringResult(NamedTuple):
    """The result of a round: the text of the domain file with the new data, and the kept and rejected candidates."""

    text: str
    kept: list[KeptCandidate]
    rejected: list[RejectedCandidate]
    cost_usd: float


class Author:
    """Asks Claude for data of one domain file and proves it; returns the new text and writes no file."""

    def __init__(self, file: str, text: str, make_judge: JudgeFactory, *, model: str, created_at: datetime) -> None:
        """`text` is that of the domain file named `file`; `make_judge` returns the validator of a catalogue.

        Raises:
            CatalogueError: the text is not an acceptable domain file.

        """
        self.file = file
        self.text = text
        self.model = model
        self._make_judge = make_judge
        self._created_at = created_at
        with self._load(text) as trial:
            self.domain = trial.domain
            self.prompts = DomainPrompts(
                trial.domain, model, ScenarioOracle(0, created_at), lambda trace: not trial.judge.findings(trace)
            )

    def _load(self, text: str) -> AbstractContextManager[CandidateDomain]:
        return load_candidate(text, self.file, self._make_judge, self._created_at)

    def first_requests(self, kind: ContentKind[Any], round_: int = 0) -> list[LLMRequest]:
        """The first requests of a round. Raises OracleError if the domain has nothing to ask about."""
        return self._requests_for(kind, kind.prompts(self.domain, round_))

    def sample_judgement_requests(self, count: int) -> list[LLMRequest]:
        """`count` requests as long as those for judgements of candidates, for an estimate. Raises OracleError."""
        trace, context = first_example(self.prompts)
        return [
            self.prompts.build_request("judgement", judgement_text(trace, context), repetition=at)
            for at in range(count)
        ]

    def author(self, client: SyncClient, kind: ContentKind[CandidateT], round_: int = 0) -> AuthoringResult:
        """Asks for candidates, proves each one together with those that passed before it, and asks Claude to judge them."""
        text, cost = self.text, 0.0
        passed: list[tuple[str, CandidateT, float]] = []
        rejected: list[RejectedCandidate] = []
        prompts = kind.prompts(self.domain, round_)
        for _ in range(1 + kind.repairs):
            repairs: list[AuthoringPrompt] = []
            for prompt, response in zip(prompts, client.complete(self._requests_for(kind, prompts)), strict=True):
                cost += response.cost_usd
                candidates, problem = _candidates_in(kind, response)
                if problem:
                    rejected.append(RejectedCandidate(prompt.subject, "", problem))
                for candidate in candidates:
                    text, problem = self._try_candidate(text, kind, prompt.subject, candidate)
                    if problem:
                        rejected.append(RejectedCandidate(prompt.subject, kind.format_candidate(candidate), problem))
                        repairs.append(prompt.with_rejection(kind.format_candidate(candidate), problem))
                    else:
                        passed.append((prompt.subject, candidate, response.cost_usd / len(candidates)))
            prompts = repairs
        before = AuthoringResult(self.text, [], rejected, cost)
        return self._insert_favourably_judged(client, kind, round_, text, passed, before)

    def _insert_favourably_judged(
        self,
        client: SyncClient,
        kind: ContentKind[CandidateT],
        round_: int,
        text: str,
        passed: Sequence[tuple[str, CandidateT, float]],
        before: AuthoringResult,
    ) -> AuthoringResult:
        """Inserts the candidates of which most judgements are favourable."""
        result, kept, rejected, cost = before
        with self._load(text) as trial:
            judgement_requests = [
                kind.judgement_requests(self.prompts, trial, subject, candidate) for subject, candidate, _ in passed
            ]
        all_responses = iter(client.complete([request for each in judgement_requests for request in each]))
        for (subject, candidate, share), requests in zip(passed, judgement_requests, strict=True):
            responses = [next(all_responses) for _ in requests]
            judgement_cost = sum(each.cost_usd for each in responses)
            cost += judgement_cost
            unfavourable = [problem for each in responses if (problem := _find_problem_in_judgement(kind, each))]
            if not responses or 2 * len(unfavourable) >= len(responses):
                why = unfavourable[0] if unfavourable else "no trace uses it, so nothing could be judged"
                rejected.append(RejectedCandidate(subject, kind.format_candidate(candidate), f"judgement: {why}"))
                continue
            source = f"{self.model}, round {round_}, ${share + judgement_cost:.6f}"
            try:
                edited = kind.insert(result, subject, candidate, source, self.file)
                with self._load(edited):
                    result = edited
            except CatalogueError as error:  # it uses another candidate, of which the judgement was unfavourable
                rejected.append(
                    RejectedCandidate(
                        subject, kind.format_candidate(candidate), f"catalogue: {error.where}: {error.problem}"
                    )
                )
                continue
            kept.append(KeptCandidate(subject, kind.format_candidate(candidate), share + judgement_cost))
        return AuthoringResult(result, kept, rejected, cost)

    def _requests_for(self, kind: ContentKind[Any], prompts: Sequence[AuthoringPrompt]) -> list[LLMRequest]:
        system = system_text(kind.phase, self.domain, kind.examples(self.domain, self.text))
        schema, slug = answer_schema(kind.phase), self.domain.slug
        requests = []
        for each in prompts:
            work_id = work_id_of(kind.phase, slug, self.model, system, each.user, schema)
            requests.append(LLMRequest(work_id, kind.phase, slug, system, each.user, schema, kind.max_tokens))
        return requests

    def _try_candidate(
        self, text: str, kind: ContentKind[CandidateT], subject: str, candidate: CandidateT
    ) -> tuple[str, str | None]:
        """The file's text with a candidate; or the text without it, and why the candidate is rejected."""
        if problem := kind.find_problem_in_candidate(self.domain, candidate):
            return text, problem
        try:
            edited = kind.insert(text, subject, candidate, "on trial", self.file)
            with self._load(edited) as trial:
                problem = kind.find_problem_in_domain(trial, subject, candidate)
        except CatalogueError as error:
            problem = f"catalogue: {error.where}: {error.problem}"
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            # Some mistakes in values show only when they are drawn. The other candidates were paid for, so continue.
            problem = f"proof: {type(error).__name__}: {error}"
        return (text, problem) if problem else (edited, None)


def _candidates_in(kind: ContentKind[CandidateT], response: LLMResponse) -> tuple[list[CandidateT], str | None]:
    if response.text is None:
        return [], str(response.problem or "unanswered")
    try:
        found = kind.parse_candidates(response.text)
    except BadAnswerError as error:
        return [], f"bad_answer: {error}"
    return found, None if found else "bad_answer: it contains no candidate"


def _find_problem_in_judgement(kind: ContentKind[Any], response: LLMResponse) -> str | None:
    if response.text is None:
        return str(response.problem or "unanswered")
    try:
        return kind.find_problem_in_judgement(response.text)
    except BadAnswerError as error:
        return f"bad_answer: {error}"
