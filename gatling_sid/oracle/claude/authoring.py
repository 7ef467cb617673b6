"""The hybrid: Claude writes phrasings of scenarios, the machinery proves each, the embedded oracle speaks them.

A phrasing that costs a fraction of a cent words thousands of traces.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from gatling_sid.errors import CatalogueError, OracleError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.answers import BadAnswerError, Candidates, read, schema_of
from gatling_sid.oracle.claude.asks import Ask
from gatling_sid.oracle.claude.oracle import Asked, Judge
from gatling_sid.oracle.claude.phrasebook import with_phrasings, words_of
from gatling_sid.oracle.claude.prompts import MIN_SPINS, prompt_of, system_text
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.oracle.scenario import ScenarioOracle, dealt
from gatling_sid.oracle.speech import wording_of
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.phrasing import Phrasing
from gatling_sid.schemas.references import parse_reference
from gatling_sid.seeding import stream

PROOFS = 16
"""Traces of a phrasing that must all be gold before it is kept."""
_SEARCHED = 60_000
_ALIKE = 0.7
_PROOF_SEED = 1
_TOKENS_EACH = 220
JudgeOf = Callable[[DomainRegistry], Judge]


class Kept(NamedTuple):
    """A phrasing that was proven, and its share of what its answer cost."""

    scenario: str
    text: str
    cost_usd: float


class Dropped(NamedTuple):
    """A candidate that was not kept, and why."""

    scenario: str
    text: str
    reason: str


class Authored(NamedTuple):
    """What came of asking: the domain file with the kept phrasings, and every candidate's fate."""

    text: str
    kept: list[Kept]
    dropped: list[Dropped]
    cost_usd: float


class Author:
    """Asks for phrasings of one domain and proves them; edits no file."""

    def __init__(self, path: Path, judge_of: JudgeOf, *, model: str, created_at: datetime) -> None:
        """`path` is the domain's file; `judge_of` gives the validator over a catalogue folder."""
        self.path = path
        self.model = model
        self.domain = DomainRegistry(path.parent).domain(path.stem)
        self._judge_of = judge_of
        self._created_at = created_at
        self._system = system_text("phrasing", self.domain, [*_in_use(self.domain)])

    def ask(self, scenario: str, number: int, round_: int) -> Ask:
        """The ask for `number` new phrasings of a scenario."""
        user = "\n".join(_brief(self.domain, scenario, number, round_))
        schema = schema_of(Candidates)
        words = json.dumps([self.model, self._system, user, schema], sort_keys=True)
        work_id = f"phrasing-{self.path.stem}"[:35] + f"-{blake2b(words.encode(), digest_size=14).hexdigest()}"
        tokens = _TOKENS_EACH * number + 200
        return Ask(work_id, "phrasing", self.path.stem, self._system, user, schema, max_tokens=tokens)

    def asks(self, scenarios: Sequence[str], number: int, round_: int = 0) -> list[Ask]:
        """One ask per scenario. Raises OracleError for a scenario that is not there."""
        for each in scenarios:
            if each not in self.domain.file.scenarios:
                known = ", ".join(self.domain.file.scenarios)
                raise OracleError(f"{self.path.stem} has no scenario {each!r}; it has {known}")
        return [self.ask(each, number, round_) for each in scenarios]

    def author(self, asked: Asked, scenarios: Sequence[str], number: int, round_: int = 0) -> Authored:
        """Asks, proves each candidate against the file with those kept before it, and gives the file's new text."""
        text = self.path.read_text(encoding="utf-8")
        kept: list[Kept] = []
        dropped: list[Dropped] = []
        answers = asked.answers(self.asks(scenarios, number, round_))
        for scenario, answer in zip(scenarios, answers, strict=True):
            candidates = _candidates(answer.text)
            if not candidates:
                dropped.append(Dropped(scenario, "", answer.problem or "bad_answer: the answer cannot be read"))
            share = answer.cost_usd / max(1, len(candidates))
            for candidate in candidates:
                source = f"{self.model}, round {round_}, ${share:.6f}"
                longer, problem = self.proven(text, scenario, candidate, source)
                if problem:
                    dropped.append(Dropped(scenario, candidate, problem))
                else:
                    text = longer
                    kept.append(Kept(scenario, candidate, share))
        return Authored(text, kept, dropped, sum(answer.cost_usd for answer in answers))

    # Proof

    def proven(self, text: str, scenario: str, candidate: str, source: str) -> tuple[str, str | None]:
        """The file's text with a candidate, and why it must not be kept, if so."""
        try:
            phrasing = Phrasing(candidate)
        except ValueError as error:
            return text, f"notation: {error}"
        if phrasing.spins < MIN_SPINS:
            return text, f"alternatives: they make {phrasing.spins} texts, {MIN_SPINS} are needed"
        if not candidate.isprintable():
            return text, "notation: it holds characters that cannot be seen"
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / self.path.name
            try:
                longer = with_phrasings(text, scenario, [candidate], source, self.path.name)
                place.write_text(longer, encoding="utf-8")
                registry = DomainRegistry(place.parent)
                domain = registry.domain(self.path.stem)
            except CatalogueError as error:
                return text, f"catalogue: {error.where}: {error.problem}"
            if (like := _likeness(domain.file.scenarios[scenario].phrasings)) is not None:
                return text, f"near-copy: of {like!r}"
            problem = self._fails(domain, scenario, phrasing.text, registry)
        return (text, problem) if problem else (longer, None)

    def _fails(self, domain: Domain, scenario: str, phrasing: str, registry: DomainRegistry) -> str | None:
        """What is wrong with the first trace worded with the phrasing that is not gold."""
        judge, gold = self._judge_of(registry), 0
        for trace in _worded(domain, scenario, ScenarioOracle(_PROOF_SEED, self._created_at)):
            found = judge.findings(trace)
            if found:
                return f"proof: {trace.request.text!r}: {found[0]}"
            gold += 1
            if gold == PROOFS:
                return None
        return f"proof: only {gold} traces could be made of {phrasing!r}"


def _worded(domain: Domain, scenario: str, oracle: ScenarioOracle) -> Iterator[GoldTrace]:
    """Traces that are worded with the first phrasing of a scenario."""
    count = len(wording_of(domain, scenario, "train").phrasings)
    for index in range(_SEARCHED):
        name, use = dealt(domain, oracle.seed, "train", index)
        if name == scenario and use % count == 0:
            trace = oracle.trace(Task(domain, "train", index))
            if not isinstance(trace, Failure):
                yield trace


def _likeness(phrasings: Sequence[str]) -> str | None:
    """The phrasing that the first one nearly copies, if any."""
    mine = set(words_of(phrasings[0]))
    for other in phrasings[1:]:
        theirs = set(words_of(other))
        if len(mine & theirs) > _ALIKE * len(mine | theirs):
            return other
    return None


def _candidates(text: str | None) -> list[str]:
    try:
        return [*dict.fromkeys(read(Candidates, text).phrasings)] if text else []
    except BadAnswerError:
        return []


# --- the ask ---------------------------------------------------------------------------------------------------


def _in_use(domain: Domain) -> Iterator[str]:
    for name, scenario in domain.file.scenarios.items():
        yield f"{name}:\n" + "\n".join(f"  {text}" for text in scenario.phrasings[:2])


def _brief(domain: Domain, name: str, number: int, round_: int) -> Iterator[str]:
    scenario = domain.file.scenarios[name]
    yield f"Scenario {name}: somebody with the role {' or '.join(scenario.roles)} wants to {scenario.intent}."
    yield "What is done for them:"
    for step in scenario.plan:
        when = f" (only if the policy has {', '.join(step.when)})" if step.when else ""
        yield f"- {step.tool} {json.dumps(step.arguments, ensure_ascii=False)}{when}"
    yield f"What they get: {json.dumps(scenario.goal.model_dump(exclude_defaults=True), ensure_ascii=False)}"
    yield "Slots:"
    said = domain.slot_parameters(scenario)
    for slot, value in scenario.slots.items():
        yield f"- {{{slot}}}: {_slot(domain, value, said.get(slot, []))}"
    yield "Phrasings it has, not to be repeated or varied:"
    yield from (f"- {text}" for text in scenario.phrasings)
    yield f"Write {number} new ones:"
    conditions = prompt_of("requests").conditions
    rng = stream(domain.slug, name, "phrasings", round_)
    for at in range(1, number + 1):
        manner = "; ".join(f"{key}: {rng.choice(ways)}" for key, ways in conditions.items() if key != "difficulty")
        yield f"{at}. {manner}"


def _slot(domain: Domain, value: Any, uses: Sequence[tuple[c.Tool, str]]) -> str:
    what = "; ".join(sorted({tool.parameters[name].description for tool, name in uses})) or "said only"
    kinds = ", ".join(sorted({domain.kind(tool, tool.parameters[name]) for tool, name in uses}))
    if isinstance(value, str) and parse_reference(value):
        return f"varies ({kinds}). {what}"
    if isinstance(value, list) and len(value) > 1:
        return f"always the list {json.dumps(value)}, said as a list by the program. {what}"
    words = {way for tool, name in uses for way in domain.words(tool, name).get(_single(value), ())}
    return f"fixed, means {value!r} ({kinds}); say it in words of your own. In use: {', '.join(sorted(words)) or 'none'}. {what}"


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
