"""The loop that all kinds of authored data go through: asked for, proven, looked at by Claude, set into the file."""

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
    AnswerModel,
    BadAnswerError,
    JudgementAnswer,
    answer_schema,
    parse_answer,
)
from gatling_sid.oracle.claude.plans.request_context import context_of_trace
from gatling_sid.oracle.claude.prompts.phases import DomainPrompts
from gatling_sid.oracle.claude.prompts.system_prompts import system_text
from gatling_sid.oracle.claude.prompts.user_prompts import judgement_text
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.oracle.protocol import Failure
from gatling_sid.schemas.domain import Domain

CandidateT = TypeVar("CandidateT")


class AuthoringPrompt(NamedTuple):
    """What one ask is about (a scenario's name, or the number of the piece), and its words."""

    about: str
    user: str

    def mended(self, candidate: str, problem: str) -> AuthoringPrompt:
        """The ask that comes again after a candidate was rejected."""
        first = self.user.partition("\n\nAn earlier answer was:")[0]
        again = f"An earlier answer was:\n{_escaped(candidate)}\nIt was rejected: {_escaped(problem)}\nMend it."
        return AuthoringPrompt(self.about, f"{first}\n\n{again}")


def _escaped(text: str) -> str:
    """A text as an ask can take it: what cannot be seen is escaped, and lines stay lines."""
    return "".join(each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)


_DEEPEST = 24  # far beyond any entry, far from Python's limit


def why_unwritable(content: object, depth: int = 0) -> str | None:
    """Why authored data of any form must not stand in a file: a text, key or value, with characters nobody sees."""
    if isinstance(content, str):
        return None if content.isprintable() else f"notation: {content!r} holds characters that cannot be seen"
    if depth > _DEEPEST:
        return f"notation: it is nested more than {_DEEPEST} deep"
    parts = [*content, *content.values()] if isinstance(content, dict) else content if isinstance(content, list) else []
    return next((problem for each in parts if (problem := why_unwritable(each, depth + 1))), None)


class ContentKind(ABC, Generic[CandidateT]):
    """One kind of catalogue data that Claude may write; `CandidateT` is one piece of it, as answered."""

    phase: str
    answer: type[AnswerModel]
    tokens: int
    """Most tokens of an answer."""
    pieces: int = 1
    """Candidates in an answer."""
    repairs: int = 0
    """How often a rejected candidate may come back mended."""
    opinions: int = 1
    """How many of its traces Claude looks at; the most part of them must please."""

    @abstractmethod
    def examples(self, domain: Domain, text: str) -> list[str]:
        """What the prompt shows of the domain file `text`."""

    @abstractmethod
    def briefs(self, domain: Domain, round_: int) -> list[AuthoringPrompt]:
        """What to ask in a round. Raises OracleError if it cannot be asked of this domain."""

    @abstractmethod
    def candidates(self, text: str) -> list[CandidateT]:
        """What an answer holds. Raises BadAnswerError."""

    @abstractmethod
    def shown(self, candidate: CandidateT) -> str:
        """A candidate as text."""

    @abstractmethod
    def unfit(self, domain: Domain, candidate: CandidateT) -> str | None:
        """What is wrong with a candidate by itself."""

    @abstractmethod
    def set_in(self, text: str, about: str, candidate: CandidateT, source: str, file: str) -> str:
        """The domain file's text with the candidate, and a comment that tells its source. Raises CatalogueError."""

    @abstractmethod
    def unproven(self, trial: CandidateDomain, about: str, candidate: CandidateT) -> str | None:
        """What is wrong with the file that has it."""

    def questions(
        self, phases: DomainPrompts, trial: CandidateDomain, about: str, candidate: CandidateT
    ) -> list[LLMRequest]:
        """What Claude is asked about a proven candidate: whether traces made of it are what their words ask for."""
        gold = (each for each in self.traces_of(trial, about, candidate) if not trial.problem(each))
        chosen = [each for _, each in zip(range(self.opinions), gold, strict=False) if isinstance(each, GoldTrace)]
        return [
            phases.build_request("judgement", judgement_text(each, context_of_trace(each, trial.domain)))
            for each in chosen
        ]

    def traces_of(self, trial: CandidateDomain, about: str, _candidate: CandidateT) -> Iterator[GoldTrace | Failure]:
        """Proposals that show the candidate."""
        return trial.traces(about)

    def agrees(self, text: str) -> str | None:
        """What Claude's answer to a question objects to. Raises BadAnswerError."""
        verdict = parse_answer(JudgementAnswer, text)
        return None if verdict.is_favourable else verdict.why


class KeptPiece(NamedTuple):
    """A piece that was proven, and its share of what the answers about it cost."""

    about: str
    text: str
    cost_usd: float


class DroppedPiece(NamedTuple):
    """A candidate that was not kept, and why."""

    about: str
    text: str
    reason: str


class AuthoringResult(NamedTuple):
    """What came of asking: the domain file's text with what was kept, and every candidate's fate."""

    text: str
    kept: list[KeptPiece]
    dropped: list[DroppedPiece]
    cost_usd: float


class Author:
    """Asks for pieces of one domain file and proves them; edits no file."""

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
        with self._on_trial(text) as trial:
            self.domain = trial.domain
            self.phases = DomainPrompts(
                trial.domain, model, ScenarioOracle(0, created_at), lambda trace: not trial.judge.findings(trace)
            )

    def _on_trial(self, text: str) -> AbstractContextManager[CandidateDomain]:
        return load_candidate(text, self.file, self._judge_of, self._created_at)

    def asks(self, kind: ContentKind[Any], round_: int = 0) -> list[LLMRequest]:
        """The first asks of a round. Raises OracleError if the domain has no such thing."""
        return self._asks(kind, kind.briefs(self.domain, round_))

    def sample_questions(self, count: int) -> list[LLMRequest]:
        """So many questions as long as those about candidates, for an estimate."""
        trace, setting = self.phases.examples[0]
        return [
            self.phases.build_request("judgement", judgement_text(trace, setting), repetition=at) for at in range(count)
        ]

    def author(self, asked: SyncClient, kind: ContentKind[CandidateT], round_: int = 0) -> AuthoringResult:
        """Asks, proves each candidate against the file with those kept before it, and has Claude look at them."""
        text, cost = self.text, 0.0
        proven: list[tuple[str, CandidateT, float]] = []
        dropped: list[DroppedPiece] = []
        waiting = kind.briefs(self.domain, round_)
        for _ in range(1 + kind.repairs):
            again: list[AuthoringPrompt] = []
            for brief, answer in zip(waiting, asked.complete(self._asks(kind, waiting)), strict=True):
                cost += answer.cost_usd
                candidates, problem = _candidates(kind, answer)
                if problem:
                    dropped.append(DroppedPiece(brief.about, "", problem))
                for candidate in candidates:
                    text, problem = self._tried(text, kind, brief.about, candidate)
                    if problem:
                        dropped.append(DroppedPiece(brief.about, kind.shown(candidate), problem))
                        again.append(brief.mended(kind.shown(candidate), problem))
                    else:
                        proven.append((brief.about, candidate, answer.cost_usd / len(candidates)))
            waiting = again
        return self._looked_at(asked, kind, round_, text, proven, AuthoringResult(self.text, [], dropped, cost))

    def _looked_at(
        self,
        asked: SyncClient,
        kind: ContentKind[CandidateT],
        round_: int,
        text: str,
        proven: Sequence[tuple[str, CandidateT, float]],
        before: AuthoringResult,
    ) -> AuthoringResult:
        """Sets in what Claude, shown traces of it, does not object to."""
        result, kept, dropped, cost = before
        with self._on_trial(text) as trial:
            questions = [kind.questions(self.phases, trial, about, candidate) for about, candidate, _ in proven]
        answers = iter(asked.complete([ask for each in questions for ask in each]))
        for (about, candidate, share), asks in zip(proven, questions, strict=True):
            mine = [next(answers) for _ in asks]
            looked = sum(each.cost_usd for each in mine)
            cost += looked
            objections = [problem for each in mine if (problem := _objection(kind, each))]
            if not mine or 2 * len(objections) >= len(mine):
                why = objections[0] if objections else "no trace to look at"
                dropped.append(DroppedPiece(about, kind.shown(candidate), f"objection: {why}"))
                continue
            source = f"{self.model}, round {round_}, ${share + looked:.6f}"
            try:
                longer = kind.set_in(result, about, candidate, source, self.file)
                with self._on_trial(longer):
                    result = longer
            except CatalogueError as error:  # it builds on one that was objected to
                dropped.append(DroppedPiece(about, kind.shown(candidate), f"catalogue: {error.where}: {error.problem}"))
                continue
            kept.append(KeptPiece(about, kind.shown(candidate), share + looked))
        return AuthoringResult(result, kept, dropped, cost)

    def _asks(self, kind: ContentKind[Any], briefs: Sequence[AuthoringPrompt]) -> list[LLMRequest]:
        system = system_text(kind.phase, self.domain, kind.examples(self.domain, self.text))
        schema = answer_schema(kind.answer)
        asks = []
        for brief in briefs:
            work_id = work_id_of(kind.phase, self.domain.slug, self.model, system, brief.user, schema)
            asks.append(LLMRequest(work_id, kind.phase, self.domain.slug, system, brief.user, schema, kind.tokens))
        return asks

    def _tried(
        self, text: str, kind: ContentKind[CandidateT], about: str, candidate: CandidateT
    ) -> tuple[str, str | None]:
        """The file's text with a candidate, and why it must not be kept, if so."""
        if problem := kind.unfit(self.domain, candidate):
            return text, problem
        try:
            longer = kind.set_in(text, about, candidate, "on trial", self.file)
            with self._on_trial(longer) as trial:
                problem = kind.unproven(trial, about, candidate)
        except CatalogueError as error:
            problem = f"catalogue: {error.where}: {error.problem}"
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            # Drawn values that do not go together show only when they are drawn; the other candidates were paid for too.
            problem = f"proof: {type(error).__name__}: {error}"
        return (text, problem) if problem else (longer, None)


def _candidates(kind: ContentKind[CandidateT], answer: LLMResponse) -> tuple[list[CandidateT], str | None]:
    if answer.text is None:
        return [], answer.problem or "unanswered"
    try:
        found = kind.candidates(answer.text)
    except BadAnswerError as error:
        return [], f"bad_answer: {error}"
    return found, None if found else "bad_answer: it holds nothing"


def _objection(kind: ContentKind[Any], answer: LLMResponse) -> str | None:
    if answer.text is None:
        return answer.problem or "unanswered"
    try:
        return kind.agrees(answer.text)
    except BadAnswerError as error:
        return f"bad_answer: {error}"
