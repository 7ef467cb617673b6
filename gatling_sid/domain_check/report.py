"""The report on a domain file: every problem, every measure beside its aim, and what each rule decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gatling_sid.domain_check.draft import DraftFile
from gatling_sid.domain_check.problems import AuthorProblem, describe_problems, mask_values
from gatling_sid.domain_check.remedies import remedy_for
from gatling_sid.domain_check.sample import Sample, parts_of_scenario
from gatling_sid.domain_check.shared_nouns import shared_nouns
from gatling_sid.oracle.claude.prompts.system_prompts import MIN_VARIANTS
from gatling_sid.quality.aims import AIMS_OF_FILE, Measured
from gatling_sid.scenarios.schedule import split_capacity
from gatling_sid.schemas.checks.amounts import amount_problems
from gatling_sid.schemas.checks.use import use_problems
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.language.phrasing import phrasing_of
from gatling_sid.simulator.world_lint import lint_domain

_CHARACTERS_PER_TOKEN = 4
"""Of a domain file, about, as language models count."""
_SHARE_NOT_DRAWN = 0.5
"""Share of a part's tasks that may find no rows: another task is then asked for, so that the part becomes rare."""
_FEWEST_TASKS = 4
"""Tasks of a part from which on that share says something."""

_OF_SHARED_VOICE = ("tokens, standard deviation", "seven tokens or fewer", "self_bleu4", "distinct_2", "distinct_3")
"""Measures of the length and the words of requests, which the shared voice decides more than a domain file."""


class Report(NamedTuple):
    """All problems, and lines with measures and rules; without a sample there are no such lines."""

    problems: list[AuthorProblem]
    tables: list[str]

    def failures(self, *, is_draft: bool) -> list[AuthorProblem]:
        """The problems for which the check fails; a draft may lack amounts."""
        return [each for each in self.problems if not (is_draft and each.is_amount) and not each.is_of_voice]

    def lines(self, *, is_draft: bool) -> Iterator[str]:
        """Yields the report line by line, with the problems at the end, where an author looks first."""
        yield from self.tables
        failures = self.failures(is_draft=is_draft)
        yield from describe_problems(failures)
        warnings = [each._replace(kind=f"still missing: {each.kind}") for each in self.problems if each not in failures]
        yield from describe_problems(warnings)


def report_on(draft: DraftFile, sample: Sample | None, path: Path, *, seed: int, is_whole: bool) -> Report:
    """The report on a file and a sample of its traces; only a sample of the whole domain is compared with aims."""
    problems = [AuthorProblem("the file", where, text) for where, text in draft.problems]
    if draft.domain is None:
        return Report(problems, [])
    if sample is None:  # no part leads a task
        return Report(problems or _problems_of_use(draft), [])
    domain, measured = draft.domain, [*_measure_file(path, draft.domain), *sample.counts.measure()]
    problems += [AuthorProblem("rejected traces", *each) for each in _rejections(domain, sample)]
    problems += _problems_of_draws(sample)
    if is_whole:
        problems += [AuthorProblem("the world", *_where_and_text(each)) for each in lint_domain(domain, seed)]
        problems += [AuthorProblem("texts", where, text, is_amount=True) for where, text in amount_problems(domain)]
        problems += _plain_phrasings(domain)
        problems += [AuthorProblem("texts", *each, is_amount=True) for each in shared_nouns(domain, path.parent)]
        problems += _missed_aims(measured)
        if not draft.left_out:  # which would be missed
            problems += _problems_of_use(draft)
            problems += _problems_of_rules(domain, sample)
    tables = [*_describe_rules(domain, sample), _describe_draws(sample)]
    if is_whole:
        tables = [_HEADER, *map(str, measured), _LEGEND, *tables, _describe_sizes(domain)]
    left_out = [f"left out, since something is wrong with them: {', '.join(draft.left_out)}"] if draft.left_out else []
    return Report(problems, [*left_out, *tables])


_HEADER = f"{'measure':52}{'over':>8}{'value':>10}  aim"
_LEGEND = "few: too few traces to tell (see --traces); close: missed by no more than chance"


def _problems_of_use(draft: DraftFile) -> list[AuthorProblem]:
    """The parts and tools that no task uses, except those of which a problem is known already."""
    assert draft.domain is not None
    known = {where for where, _ in draft.problems}
    return [AuthorProblem("use", where, text) for where, text in use_problems(draft.domain) if where not in known]


def _where_and_text(finding: str) -> tuple[str, str]:
    where, _, text = finding.partition(": ")
    return where, text


def _measure_file(path: Path, domain: Domain) -> Iterator[Measured]:
    text, file = path.read_text(encoding="utf-8"), domain.file
    values = (
        len(file.tools), len(file.policy.rules), len(file.roles), len(file.parts) + len(file.scenarios),
        len(text.splitlines()), len(text) // _CHARACTERS_PER_TOKEN,
    )  # fmt: skip
    for (name, aim), value in zip(AIMS_OF_FILE.items(), values, strict=True):
        yield Measured(name, value, 1, 0, aim, "count")


def _missed_aims(measured: list[Measured]) -> Iterator[AuthorProblem]:
    for each in measured:
        if each.verdict == "MISS":
            value = f"{each.value:,.0f}" if each.kind == "count" else f"{each.value:.3f}"
            text, is_of_voice = f"{value}, and the aim is {each.aim}", each.name.startswith(_OF_SHARED_VOICE)
            yield AuthorProblem("aims", each.name, text, is_amount=True, is_of_voice=is_of_voice)


def _plain_phrasings(domain: Domain) -> Iterator[AuthorProblem]:
    """Yields scenarios with phrasings that have too few variants for the requests that they must make."""
    for name, scenario in domain.file.scenarios.items():
        plain = [text for text in scenario.phrasings if phrasing_of(text).variants < MIN_VARIANTS]
        if plain:
            text = f"{len(plain)} phrasings have fewer than {MIN_VARIANTS} variants; add [alternatives|in brackets]"
            yield AuthorProblem("texts", f"scenarios.{name}.phrasings", text, is_amount=True)


# --- traces ----------------------------------------------------------------------------------------------------


def _rejections(domain: Domain, sample: Sample) -> Iterator[tuple[str, str, str]]:
    """Yields (parts, masked finding, remedy) of each trace that is not gold; of several findings, the first."""
    for each in sample.judged:
        if each.findings:
            first = each.findings[0]
            rule = f"{first.rule} ({first.constraint_id})" if first.constraint_id else first.rule
            where = " + ".join(parts_of_scenario(domain.scenarios_of(str(each.trace.metadata["world"])), each.scenario))
            yield where, f"{rule}: {mask_values(first.message)}", remedy_for(first.check, first.rule)


def _problems_of_draws(sample: Sample) -> Iterator[AuthorProblem]:
    """Yields parts whose tasks find no rows in their world, always or too often."""
    remedy = (
        "if too few fit: fewer demands in `where` and `must_say`, milder rules, or a larger `count`; if too many fit: "
        "conditions that select fewer, or a smaller `count`"
    )
    for name, number in sample.not_drawn.items():
        total, why = number + sample.drawn[name], mask_values(sample.why_not_drawn[name])
        if not sample.drawn[name]:
            yield AuthorProblem("draws", name, f"none of {number} tasks found its rows in the world: {why}", remedy)
        elif total >= _FEWEST_TASKS and number / total > _SHARE_NOT_DRAWN:
            text = f"{number} of {total} tasks found no rows in their world: {why}"
            yield AuthorProblem("draws", name, text, remedy, is_amount=True)


# --- rules -----------------------------------------------------------------------------------------------------


def _problems_of_rules(domain: Domain, sample: Sample) -> Iterator[AuthorProblem]:
    for name in sample.counts.limits.rules_without_traces(domain) if sample.counts.plans.traces else ():
        text = "concerns no trace of the sample"
        remedy = "write a part whose role and tool it binds, or give such a part more weight"
        yield AuthorProblem("rules", f"policy.rules.{name}", text, remedy, is_amount=True)


def _describe_rules(domain: Domain, sample: Sample) -> list[str]:
    """How often each rule concerns a trace, and how often a plan breaks it under another member of the family."""
    limits, pairs = sample.counts.limits, sample.counts.pairs
    lines = [f"\n{'rule':52}{'concerns':>10}{'broken under another policy':>30}"]
    for name, rule in domain.file.policy.rules.items():
        concerned = f"{limits.concerned[name] / max(1, limits.traces):.0%}"
        broken = f"{pairs.breaking_by_rule[name] / max(1, pairs.gold_alone):.0%}"
        lines.append(f"{name} ({rule.kind})".ljust(52) + f"{concerned:>10}{broken:>30}")
    return lines


def _describe_draws(sample: Sample) -> str:
    missed, total = sample.not_drawn.total(), sample.drawn.total() + sample.not_drawn.total()
    return f"\nparts in tasks that found no rows in their world: {missed} of {total}"


def _describe_sizes(domain: Domain) -> str:
    wordings = ", ".join(f"{split} {split_capacity(domain, split):,}" for split in SPLITS)
    return f"policies {domain.family.size:,}; wordings {wordings}"
