"""What a well-formed domain file may still get wrong, one edit at a time."""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas import DomainRegistry, checks
from gatling_sid.schemas.catalogue import DomainFile
from gatling_sid.schemas.checks import problems
from gatling_sid.schemas.checks.domain_checks import domain_problems
from gatling_sid.schemas.constraints import KINDS
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.shared_voice import parse_shared_voice
from gatling_sid.schemas.registry import POOLS, VOICE
from gatling_sid.schemas.yaml_loading import load_yaml

HERE = Path(__file__).parent
LIBRARY: dict[str, Any] = load_yaml(HERE.parent / "catalogue" / "library.yaml")
CASES: list[dict[str, Any]] = load_yaml(HERE / "inconsistent.yaml")
KNOWN = {
    **{name: entity["fields"] for name, entity in LIBRARY["entities"].items()},
    **{name: LIBRARY[name] for name in ("entities", "tools", "roles")},
    "axes": LIBRARY["policy"]["vary"],
    "given": [*LIBRARY["policy"]["vary"], "open_first", "tell"],
    "rules": LIBRARY["policy"]["rules"],
    "kinds": KINDS,
    "pools": [*load_yaml(POOLS), *LIBRARY["pools"]],
}


def edited(case: dict[str, Any]) -> dict[str, Any]:
    """The library's file with the one edit of a case."""
    content = deepcopy(LIBRARY)
    place: Any = content
    *steps, last = (int(step) if step.isdigit() else step for step in case["edit"].split("."))
    for step in steps:
        place = place[step]
    if "to" in case:
        place[last] = case["to"]
    else:
        del place[last]
    return content


@pytest.mark.parametrize("case", CASES, ids=[f"{case['edit']} {case.get('to', 'removed')}"[:90] for case in CASES])
def test_one_edit_is_refused(tmp_path: Path, case: dict[str, Any]) -> None:
    """Each edit is refused when the file is read, with the file, the key and the problem."""
    text = yaml.dump(edited(case), Dumper=yaml.CSafeDumper, sort_keys=False)
    (tmp_path / "library.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError) as caught:
        DomainRegistry(tmp_path).domain("library")
    problem = re.sub(r"known are <(\w+)>$", lambda m: f"known are {', '.join(sorted(KNOWN[m[1]]))}", case["problem"])
    where = case.get("key", case["edit"])
    assert (caught.value.source, caught.value.where, caught.value.problem) == ("library.yaml", where, problem)


def test_the_unedited_file_is_sound(tmp_path: Path) -> None:
    """Written out again, the file that all cases edit loads."""
    (tmp_path / "library.yaml").write_text(yaml.safe_dump(LIBRARY, sort_keys=False), encoding="utf-8")
    assert list(domain_problems(DomainRegistry(tmp_path).domain("library"))) == []


Check = Callable[..., Iterator[problems.FileProblem]]
MODULES = [import_module(f"{checks.__name__}.{each.name}") for each in pkgutil.iter_modules(checks.__path__)]
CHECKS: dict[str, Check] = {
    f"{module.__name__}.{name}": each
    for module in MODULES
    for name, each in inspect.getmembers(module, inspect.isgeneratorfunction)
    if each.__module__ == module.__name__ and module is not problems and each is not domain_problems
}
"""Every function of the package that looks for problems, but for those that all of them share."""


def test_every_check_refuses_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each function that looks for problems finds the one of some case."""
    finders: dict[problems.FileProblem, str] = {}

    def recording(name: str, check: Check) -> Check:
        def recorded(*parts: Any) -> Iterator[problems.FileProblem]:
            for problem in check(*parts):
                finders.setdefault(problem, name)  # the innermost function is the first to pass it on
                yield problem

        return recorded

    for name, check in CHECKS.items():
        replacement = recording(name, check)
        for module in MODULES:
            for attribute, value in inspect.getmembers(module):
                if value is check:
                    monkeypatch.setattr(module, attribute, replacement)
    pools, voice = load_yaml(POOLS), parse_shared_voice(VOICE.read_bytes(), VOICE.name)
    for case in CASES:
        file = DomainFile.model_validate_json(json.dumps(edited(case)))
        list(domain_problems(Domain("library", file, pools, voice)))
    assert set(finders.values()) == CHECKS.keys()
