"""Errors say what is wrong, where and what to do, and can be sent to another process."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

from gatling_sid import errors as e

DOMAINS = ["Finance", "HR", "E-commerce"]
CASES: list[tuple[e.SidError, str, type[Exception], dict[str, Any]]] = [
    (e.SidError("it failed"), "it failed", Exception, {}),
    (
        e.CatalogueError("zoo.yaml", "entities.animal", "no key"),
        "zoo.yaml: entities.animal: no key",
        ValueError,
        {"source": "zoo.yaml", "where": "entities.animal", "problem": "no key"},
    ),
    (
        e.CatalogueError("zoo.yaml", "", "cannot be read"),
        "zoo.yaml: cannot be read",
        ValueError,
        {"source": "zoo.yaml", "where": "", "problem": "cannot be read"},
    ),
    (
        e.UnknownDomainError("fiance", ["finance", "hr"]),
        "no domain named 'fiance'; did you mean 'finance'?",
        LookupError,
        {"name": "fiance"},
    ),
    (
        e.UnknownDomainError("ecommerce", DOMAINS),
        "no domain named 'ecommerce'; did you mean 'E-commerce'?",
        LookupError,
        {"name": "ecommerce"},
    ),
    (
        e.UnknownDomainError("Finanzen", DOMAINS),
        "no domain named 'Finanzen'; did you mean 'Finance'?",
        LookupError,
        {"name": "Finanzen"},
    ),
    (
        e.UnknownDomainError("Astrology", DOMAINS),
        "no domain named 'Astrology'; known are E-commerce, Finance, HR",
        LookupError,
        {"name": "Astrology"},
    ),
    (
        e.UnknownToolError("zoo.fed", ["zoo.feed", "zoo.find"]),
        "no tool named 'zoo.fed'; did you mean 'zoo.feed'?",
        LookupError,
        {"tool_id": "zoo.fed"},
    ),
    (e.TraceFormatError("line 3", "not JSON"), "line 3: not JSON", ValueError, {"where": "line 3"}),
    (e.GenerationError("no domain is given"), "no domain is given", Exception, {}),
    (e.ShardError("a.arrow ends early"), "a.arrow ends early", OSError, {}),
    (e.PublishError("somebody else published"), "somebody else published", Exception, {}),
    (e.OracleError("no key"), "no key", Exception, {}),
]
IDS = [f"{type(error).__name__}: {error}" for error, *_ in CASES]
KINDS = {kind for _, kind in inspect.getmembers(e, inspect.isclass) if issubclass(kind, e.SidError)}


@pytest.mark.parametrize(("error", "text", "builtin", "values"), CASES, ids=IDS)
def test_text_base_and_values(error: e.SidError, text: str, builtin: type[Exception], values: dict[str, Any]) -> None:
    """Each error has its text and its values, and can be caught as the builtin class that a caller would expect."""
    assert (str(error), error.__dict__) == (text, values)
    assert isinstance(error, builtin)
    assert [base for base in (LookupError, ValueError, OSError) if isinstance(error, base)] == [
        base for base in (LookupError, ValueError, OSError) if base is builtin
    ]


@pytest.mark.parametrize("error", [error for error, *_ in CASES], ids=IDS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_cross_process_borders(error: e.SidError, protocol: int) -> None:
    """An unpickled error has the same type, text, arguments and values."""
    copy = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert (str(copy), copy.args, copy.__dict__) == (str(error), error.args, error.__dict__)


def test_no_error_is_missing_here() -> None:
    """Every error has a case above and a line in the tree that users read."""
    assert {type(error) for error, *_ in CASES} == KINDS
    assert e.__doc__ is not None
    assert {kind.__name__ for kind in KINDS if kind.__name__ not in e.__doc__} == set()


def test_the_tree_names_the_builtin_bases() -> None:
    """The tree names the builtin class that an error also inherits from."""
    lines = {line.split()[1]: line for line in (e.__doc__ or "").splitlines() if "──" in line}
    bases = {
        kind.__name__: base.__name__ for kind in KINDS for base in kind.__bases__ if base not in (e.SidError, Exception)
    }
    assert {name: base for name, base in bases.items() if f"({base})" not in lines[name]} == {}
