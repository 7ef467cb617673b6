"""Problems as authors read them: alike ones are counted, values of rows are masked, and each comes with a remedy."""

from __future__ import annotations

import pytest

from gatling_sid.domain_check.problems import AuthorProblem, describe_problems, mask_values
from gatling_sid.domain_check.remedies import REMEDIES, REMEDIES_OF_CHECKS, remedy_for
from gatling_sid.validators.checks import CHECKS


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("call_2 returns INV-10412 and INV-7", "<call> returns <id>, …"),
        ("$1,200.50 is above 300", "<number> is above <number>"),
        ("due on 2026-05-03, not 'next week'", "due on <date>, not <text>"),
        ("ann@post.example, bo@post.example get it", "<address>, … get it"),
        ("invoice.amount is not needed", "invoice.amount is not needed"),
    ],
)
def test_values_of_rows_are_masked(text: str, masked: str) -> None:
    """Ids, amounts, dates, addresses and quoted texts go; names of the file stay."""
    assert mask_values(text) == masked


def test_alike_problems_are_reported_once() -> None:
    """Problems of a kind with the same text are counted and named together, in the order in which they came."""
    problems = [
        AuthorProblem("traces", "pay", "too many rows", "narrow it"),
        AuthorProblem("file", "tools.x", "is missing"),
        AuthorProblem("traces", "send", "too many rows", "narrow it"),
        AuthorProblem("traces", "pay", "too many rows", "narrow it"),
        *(AuthorProblem("world", f"field_{number}", "always 3") for number in range(6)),
    ]
    assert list(describe_problems(problems)) == [
        "\nfile (1)",
        "  tools.x: is missing",
        "\ntraces (3)",
        "  3 x pay, send: too many rows",
        "      → narrow it",
        "\nworld (6)",
        "  6 x field_0, field_1, field_2, field_3 and 2 more: always 3",
    ]


def test_every_check_has_a_remedy() -> None:
    """Whatever a trace is rejected for, its author reads what to do; no remedy is for a rule that does not exist."""
    assert set(REMEDIES_OF_CHECKS) == set(CHECKS)
    rules = {
        rule.__name__: name
        for name, check in CHECKS.items()
        for rule in (*check.rules, *check.domain_rules, *check.replay_rules)
    }
    assert set(REMEDIES) <= set(rules)
    assert all(remedy_for(check, rule) for rule, check in rules.items())
