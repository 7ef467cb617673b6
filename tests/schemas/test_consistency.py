"""What a well-formed domain file may still get wrong, one edit at a time."""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas import DomainRegistry, checks
from gatling_sid.schemas.catalogue import DomainFile
from gatling_sid.schemas.checks import domain_checks, problems
from gatling_sid.schemas.checks.amounts import amount_problems
from gatling_sid.schemas.checks.domain_checks import domain_problems
from gatling_sid.schemas.checks.use import use_problems
from gatling_sid.schemas.constraints import KINDS
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.shared_voice import parse_shared_voice
from gatling_sid.schemas.lure_forms import parse_lure_forms
from gatling_sid.schemas.registry import LURES, POOLS, VOICE, file_problems
from gatling_sid.schemas.yaml_loading import load_yaml

HERE = Path(__file__).parent
CASES_OF: dict[str, list[dict[str, Any]]] = {
    "library": load_yaml(HERE / "inconsistent.yaml"),
    "workshop": load_yaml(HERE / "inconsistent_parts.yaml"),
}
"""The cases by the domain that they edit: one whose scenarios are written whole, and one of parts."""
CONTENTS: dict[str, dict[str, Any]] = {slug: load_yaml(HERE.parent / "catalogue" / f"{slug}.yaml") for slug in CASES_OF}
AS_JSON = {slug: json.dumps(content) for slug, content in CONTENTS.items()}
"""The same as text, of which a copy is read faster than one is made of the content."""
SHARED = (
    load_yaml(POOLS),
    parse_shared_voice(VOICE.read_bytes(), VOICE.name),
    parse_lure_forms(LURES.read_bytes(), LURES.name),
)
"""The pools, the voice and the forms of lures that all domains share."""
CASES = [(slug, case) for slug, cases in CASES_OF.items() for case in cases]
REFUSED = [(slug, case) for slug, case in CASES if case.get("when") != "checked"]


def known_names(slug: str) -> dict[str, Any]:
    """What `<loan>` and the like in a case stand for."""
    content = CONTENTS[slug]
    return {
        **{name: entity["fields"] for name, entity in content["entities"].items()},
        **{name: content[name] for name in ("entities", "tools", "roles")},
        "axes": content["policy"]["vary"],
        "given": [*content["policy"]["vary"], "open_first", "tell"],
        "rules": content["policy"]["rules"],
        "kinds": KINDS,
        "pools": [*SHARED[0], *content.get("pools", {})],
        "places": SHARED[2].places,
    }


KNOWN = {slug: known_names(slug) for slug in CASES_OF}


def edited(slug: str, *edits: dict[str, Any]) -> dict[str, Any]:
    """The content of a domain's file with some edits, such as that of a case and what it `also` edits."""
    content: dict[str, Any] = json.loads(AS_JSON[slug])
    for edit in (each for case in edits for each in (case, case.get("also")) if each):
        place: Any = content
        *steps, last = (int(step) if step.isdigit() else step for step in edit["edit"].split("."))
        for step in steps:
            place = place[step]
        if "to" in edit:
            place[last] = edit["to"]
        else:
            del place[last]
    return content


def problem_of(slug: str, case: dict[str, Any]) -> problems.FileProblem:
    """The key and the problem of a case."""
    known = KNOWN[slug]
    text = re.sub(r"known are <(\w+)>$", lambda m: f"known are {', '.join(sorted(known[m[1]]))}", case["problem"])
    return case.get("key", case["edit"]), text


def domain_of(slug: str, content: dict[str, Any]) -> Domain:
    """A domain of this content, which may have problems."""
    file = DomainFile.model_validate_json(json.dumps(content))
    return Domain(slug, file, *SHARED)


def name_of(value: Any) -> str:
    """A short name for a case."""
    return f"{value['edit']} {value.get('to', 'removed')}"[:90] if isinstance(value, dict) else str(value)


@pytest.mark.parametrize(("slug", "case"), REFUSED, ids=name_of)
def test_one_edit_is_refused(tmp_path: Path, slug: str, case: dict[str, Any]) -> None:
    """Each edit is refused when the file is read, with the file, the key and the problem."""
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in edited(slug, case).items()]  # which is YAML, too
    text = "".join(lines)
    (tmp_path / f"{slug}.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError) as caught:
        DomainRegistry(tmp_path).domain(slug)
    found = file_problems(tmp_path / f"{slug}.yaml")
    named = (caught.value.where, caught.value.problem)
    assert (caught.value.source, named) == (f"{slug}.yaml", found[0])
    assert problem_of(slug, case) in (found if case.get("first") is False else [named])


@pytest.mark.parametrize(("slug", "case"), [each for each in CASES if each not in REFUSED], ids=name_of)
def test_one_edit_is_reported_to_authors(slug: str, case: dict[str, Any]) -> None:
    """What keeps no file from loading is found when its author checks it."""
    domain = domain_of(slug, edited(slug, case))
    assert list(domain_problems(domain)) == []
    found = [*use_problems(domain), *amount_problems(domain)]
    assert problem_of(slug, case) in (found if case.get("first") is False else found[:1])


@pytest.mark.parametrize("slug", CASES_OF)
def test_the_unedited_file_is_sound(slug: str) -> None:
    """The file that all cases edit has no problem."""
    assert list(domain_problems(domain_of(slug, CONTENTS[slug]))) == []


def test_all_problems_are_listed_at_once() -> None:
    """Problems in different sections are reported together, each as if it were the only one."""
    cases = [
        {"edit": "entities.repair.fields.price.said.at_least", "to": ["~ under {}"]},
        {"edit": "tools.get_repair.returns", "to": ["prize"]},
        {"edit": "roles.manager.entity", "to": "staff"},
        {"edit": "voice.reasons.0", "to": "Why {not}?"},
        {"edit": "policy.vary.max_rows", "to": [5]},
        {"edit": "parts.reprice.tool", "to": "change"},
        {"edit": "parts.set_status.with.status", "to": []},
    ]
    alone = [list(domain_problems(domain_of("workshop", edited("workshop", case)))) for case in cases]
    together = list(domain_problems(domain_of("workshop", edited("workshop", *cases))))
    assert all(alone)
    assert {each for found in alone for each in found} <= {*together}


@pytest.mark.parametrize("slug", CASES_OF)
def test_no_check_stumbles_over_two_problems(slug: str) -> None:
    """With the edits of any two cases in succession, the checks end without an exception."""
    for one, other in pairwise(CASES_OF[slug]):
        try:
            content = edited(slug, one, other)
        except (KeyError, TypeError, IndexError):  # one edit has removed the place of the other
            continue
        list(domain_problems(domain_of(slug, content)))


Check = Callable[..., Iterator[problems.FileProblem]]
MODULES = [import_module(f"{checks.__name__}.{each.name}") for each in pkgutil.iter_modules(checks.__path__)]
CHECKS: dict[str, Check] = {
    f"{module.__name__}.{name}": each
    for module in MODULES
    for name, each in inspect.getmembers(module, inspect.isgeneratorfunction)
    if each.__module__ == module.__name__ and module is not problems and each is not domain_problems
    if inspect.get_annotations(each)["return"] == "Iterator[FileProblem]"
}
"""Every function of the package that looks for problems, but for those that all of them share."""


def test_every_check_refuses_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each function that looks for problems finds the one of some case."""
    finders: dict[problems.FileProblem, str] = {}

    def recording(name: str, check: Check) -> Check:
        def recorded(*parts: Any, **options: Any) -> Iterator[problems.FileProblem]:
            for problem in check(*parts, **options):
                finders.setdefault(problem, name)  # the innermost function is the first to pass it on
                yield problem

        return recorded

    replacements = {check: recording(name, check) for name, check in CHECKS.items()}
    for module in MODULES:
        for attribute, value in inspect.getmembers(module, inspect.isgeneratorfunction):
            if value in replacements:
                monkeypatch.setattr(module, attribute, replacements[value])
    needed = {
        replacements[check]: tuple(replacements[each] for each in earlier)
        for check, earlier in domain_checks.NEEDED_BY_CHECK.items()
    }
    monkeypatch.setattr(domain_checks, "NEEDED_BY_CHECK", needed)
    refused = [case for _, case in REFUSED]
    for slug, case in CASES:
        domain = domain_of(slug, edited(slug, case))
        list(domain_problems(domain))
        if case not in refused:
            list(replacements[use_problems](domain))
            list(replacements[amount_problems](domain))
    assert set(finders.values()) == CHECKS.keys()
