"""The loop that writes data of the catalogue: ask Claude, prove the candidates, have them reviewed, insert them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from gatling_sid.errors import CatalogueError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.authoring.trial import CandidateDomain, JudgeOf, load_candidate
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
        """The prompt that asks for a better candidate after `candidate` was rejected for `problem`."""
        first = self.user.partition("\n\nAn earlier answer was:")[0]
        addition = f"An earlier answer was:\n{_escape(candidate)}\nIt was rejected: {_escape(problem)}\nMend it."
        return AuthoringPrompt(self.subject, f"{first}\n\n{addition}")


def _escape(text: str) -> str:
    """A text that a prompt can hold: characters that cannot be printed are escaped, except line breaks."""
    return "".join(each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)


_MAX_DEPTH = 24  # far beyond the depth of any entry, and far below Python's limit of recursion


def why_unwritable(content: object, depth: int = 0) -> str | None:
    """Why content must not be written to a file: a text in it holds invisible characters, or it is nested too deeply."""
    if isinstance(content, str):
        return None if content.isprintable() else f"notation: {content!r} holds characters that cannot be seen"
    if depth > _MAX_DEPTH:
        return f"notation: it is nested more than {_MAX_DEPTH} deep"
    parts = [*content, *content.values()] if isinstance(content, dict) else content if isinstance(content, list) else []
    return next((problem for each in parts if (problem := why_unwritable(each, depth + 1))), None)


class ContentKind(ABC, Generic[CandidateT]):
    """A kind of catalogue data that Claude may write; a `CandidateT` is one proposal of it, as answered."""

    phase: str
    max_tokens: int
    """Most output tokens of an answer."""
    candidates_per_answer: int = 1
    repairs: int = 0
    """How often a rejected candidate may be asked for again."""
    reviews: int = 1
    """How many traces of a candidate Claude judges; most of the judgements must be favourable."""

    @abstractmethod
    def examples(self, domain: Domain, text: str) -> list[str]:
        """The examples of the system prompt, taken from the domain and from the text of its file."""

    @abstractmethod
    def prompts(self, domain: Domain, round_: int) -> list[AuthoringPrompt]:
        """The user prompts of a round. Raises OracleError if the domain has nothing to ask about."""

    @abstractmethod
    def parse_candidates(self, text: str) -> list[CandidateT]:
        """The candidates that an answer holds. Raises BadAnswerError."""

    @abstractmethod
    def format_candidate(self, candidate: CandidateT) -> str:
        """A candidate as text, for reports and for prompts."""

    @abstractmethod
    def problem_in_candidate(self, domain: Domain, candidate: CandidateT) -> str | None:
        """What is wrong with a candidate before it is inserted, or None."""

    @abstractmethod
    def insert(self, text: str, subject: str, candidate: CandidateT, source: str, file: str) -> str:
        """The text of the domain file with the candidate, under a comment with its source. Raises CatalogueError."""

    @abstractmethod
    def problem_in_domain(self, trial: CandidateDomain, subject: str, candidate: CandidateT) -> str | None:
        """What is wrong with the domain that has the candidate, or None if all its proofs succeed."""

    def review_requests(
        self, prompts: DomainPrompts, trial: CandidateDomain, subject: str, candidate: CandidateT
    ) -> list[LLMRequest]:
        """Requests that ask Claude about a proven candidate: whether its traces do what their requests say."""
        gold = (each for each in self.traces_of(trial, subject, candidate) if not trial.problem_with(each))
        chosen = [each for _, each in zip(range(self.reviews), gold, strict=False) if isinstance(each, GoldTrace)]
        return [
            prompts.build_request("judgement", judgement_text(each, context_of_trace(each, trial.domain)))
            for each in chosen
        ]

    def traces_of(self, trial: CandidateDomain, subject: str, _candidate: CandidateT) -> Iterator[GoldTrace | Failure]:
        """Traces that were made with the candidate, not judged yet."""
        return trial.traces(subject)

    def objection_in(self, text: str) -> str | None:
        """What Claude's review objects to, or None. Raises BadAnswerError."""
        judgement = parse_answer(JudgementAnswer, text)
        return None if judgement.is_favourable else judgement.why


class KeptCandidate(NamedTuple):
    """A candidate that was inserted, and its share of the cost of the answers about it."""

    subject: str
    text: str
    cost_usd: float


class RejectedCandidate(NamedTuple):
    """A candidate that was not inserted, and why; `text` is empty if the answer could not be read."""

    subject: str
    text: str
    reason: str


class AuthoringResult(NamedTuple):
    """The result of a round: the text of the domain file with the new data, and what became of every candidate."""

    text: str
    kept: list[KeptCandidate]
    dropped: list[RejectedCandidate]
    cost_usd: float


class Author:
    """Asks Claude for data of one domain file and proves it; returns the new text and writes no file."""

    def __init__(self, file: str, text: str, judge_of: JudgeOf, *, model: str, created_at: datetime) -> None:
        """`text` is that of the domain file named `file`; `judge_of` gives the validator over a catalogue.

        Raises:
            CatalogueError: the text is no acceptable domain file.

        """
        self.file = file
        self.text = text
        self.model = model
        self._judge_of = judge_of
        self._created_at = created_at
        with self._load(text) as trial:
            self.domain = trial.domain
            self.prompts = DomainPrompts(
                trial.domain, model, ScenarioOracle(0, created_at), lambda trace: not trial.judge.findings(trace)
            )

    def _load(self, text: str) -> AbstractContextManager[CandidateDomain]:
        return load_candidate(text, self.file, self._judge_of, self._created_at)

    def first_requests(self, kind: ContentKind[Any], round_: int = 0) -> list[LLMRequest]:
        """The first requests of a round. Raises OracleError if the domain has nothing to ask about."""
        return self._requests_for(kind, kind.prompts(self.domain, round_))

    def sample_review_requests(self, count: int) -> list[LLMRequest]:
        """`count` requests as long as those that review candidates, for an estimate. Raises OracleError."""
        trace, context = first_example(self.prompts)
        return [
            self.prompts.build_request("judgement", judgement_text(trace, context), repetition=at)
            for at in range(count)
        ]

    def author(self, client: SyncClient, kind: ContentKind[CandidateT], round_: int = 0) -> AuthoringResult:
        """Asks for candidates, proves each one together with those that passed before it, and has Claude review them."""
        text, cost = self.text, 0.0
        passed: list[tuple[str, CandidateT, float]] = []
        dropped: list[RejectedCandidate] = []
        prompts = kind.prompts(self.domain, round_)
        for _ in range(1 + kind.repairs):
            repairs: list[AuthoringPrompt] = []
            for prompt, response in zip(prompts, client.complete(self._requests_for(kind, prompts)), strict=True):
                cost += response.cost_usd
                candidates, problem = _candidates_in(kind, response)
                if problem:
                    dropped.append(RejectedCandidate(prompt.subject, "", problem))
                for candidate in candidates:
                    text, problem = self._try_candidate(text, kind, prompt.subject, candidate)
                    if problem:
                        dropped.append(RejectedCandidate(prompt.subject, kind.format_candidate(candidate), problem))
                        repairs.append(prompt.with_rejection(kind.format_candidate(candidate), problem))
                    else:
                        passed.append((prompt.subject, candidate, response.cost_usd / len(candidates)))
            prompts = repairs
        return self._review(client, kind, round_, text, passed, AuthoringResult(self.text, [], dropped, cost))

    def _review(
        self,
        client: SyncClient,
        kind: ContentKind[CandidateT],
        round_: int,
        text: str,
        passed: Sequence[tuple[str, CandidateT, float]],
        before: AuthoringResult,
    ) -> AuthoringResult:
        """Inserts the candidates to whose traces Claude does not object."""
        result, kept, dropped, cost = before
        with self._load(text) as trial:
            reviews = [
                kind.review_requests(self.prompts, trial, subject, candidate) for subject, candidate, _ in passed
            ]
        all_responses = iter(client.complete([request for each in reviews for request in each]))
        for (subject, candidate, share), requests in zip(passed, reviews, strict=True):
            responses = [next(all_responses) for _ in requests]
            review_cost = sum(each.cost_usd for each in responses)
            cost += review_cost
            objections = [problem for each in responses if (problem := _objection_in(kind, each))]
            if not responses or 2 * len(objections) >= len(responses):
                why = objections[0] if objections else "no trace to look at"
                dropped.append(RejectedCandidate(subject, kind.format_candidate(candidate), f"objection: {why}"))
                continue
            source = f"{self.model}, round {round_}, ${share + review_cost:.6f}"
            try:
                edited = kind.insert(result, subject, candidate, source, self.file)
                with self._load(edited):
                    result = edited
            except CatalogueError as error:  # it uses another candidate, to which Claude objected
                dropped.append(
                    RejectedCandidate(
                        subject, kind.format_candidate(candidate), f"catalogue: {error.where}: {error.problem}"
                    )
                )
                continue
            kept.append(KeptCandidate(subject, kind.format_candidate(candidate), share + review_cost))
        return AuthoringResult(result, kept, dropped, cost)

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
        """The file's text with a candidate, or without it and why it is dropped."""
        if problem := kind.problem_in_candidate(self.domain, candidate):
            return text, problem
        try:
            edited = kind.insert(text, subject, candidate, "on trial", self.file)
            with self._load(edited) as trial:
                problem = kind.problem_in_domain(trial, subject, candidate)
        except CatalogueError as error:
            problem = f"catalogue: {error.where}: {error.problem}"
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            # Values that do not fit together show only when they are drawn. The other candidates were paid for, so go on.
            problem = f"proof: {type(error).__name__}: {error}"
        return (text, problem) if problem else (edited, None)


def _candidates_in(kind: ContentKind[CandidateT], response: LLMResponse) -> tuple[list[CandidateT], str | None]:
    if response.text is None:
        return [], str(response.problem or "unanswered")
    try:
        found = kind.parse_candidates(response.text)
    except BadAnswerError as error:
        return [], f"bad_answer: {error}"
    return found, None if found else "bad_answer: it holds nothing"


def _objection_in(kind: ContentKind[Any], response: LLMResponse) -> str | None:
    if response.text is None:
        return str(response.problem or "unanswered")
    try:
        return kind.objection_in(response.text)
    except BadAnswerError as error:
        return f"bad_answer: {error}"
