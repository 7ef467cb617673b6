"""Prompts are data: versioned, the same to the byte, long enough to be cached, with examples that were proven."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatling_sid.errors import CatalogueError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.prompts import system_prompts as prompts
from gatling_sid.oracle.claude.prompts.phases import EXAMPLES, DomainPrompts
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator
from tests.conftest import CREATED_AT

_PARTS = ("about", "entities", "tools", "policy", "words", "notes", "examples")
LEAST_TOKENS, MOST_CHARACTERS_PER_TOKEN = 512, 6


@pytest.mark.parametrize("slug", DomainRegistry().slugs())
def test_prefixes_are_long_enough_to_be_cached(slug: str) -> None:
    """Every prompt of every domain is over the smallest prefix that the API caches, and nothing is left to fill."""
    validator = TraceValidator()
    domain = validator.registry.domain(slug)
    phases = DomainPrompts(domain, "m", ScenarioOracle(0, CREATED_AT), lambda trace: not validator.findings(trace))
    for text in phases.systems.values():
        assert len(text) > LEAST_TOKENS * MOST_CHARACTERS_PER_TOKEN
        assert "@" not in text.replace("@larkfield", "").replace("@", "", text.count("@") - text.count("@about@"))
        assert all(
            f"@{part}@" not in text for part in ("about", "entities", "tools", "policy", "words", "notes", "examples")
        )


def test_prefixes_are_the_same_to_the_byte_in_every_process() -> None:
    """Two processes with other hash seeds fill a prompt alike, else nothing would be read from the cache."""
    code = (
        "from datetime import datetime, UTC\n"
        "from hashlib import sha256\n"
        "from gatling_sid.oracle.claude.prompts.phases import Phases\n"
        "from gatling_sid.oracle.embedded.oracle import ScenarioOracle\n"
        "from gatling_sid.validators import TraceValidator\n"
        "v = TraceValidator()\n"
        "o = ScenarioOracle(0, datetime(2026, 1, 1, tzinfo=UTC))\n"
        "p = Phases(v.registry.domain('hr'), 'm', o, lambda t: not v.findings(t))\n"
        "print(sha256(repr(sorted(p.systems.items())).encode()).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "SID_SECRET": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_examples_are_proven_and_of_several_intents(library: Domain, validator: TraceValidator) -> None:
    """What fails the proof is no example; those that are show different intents."""
    seen: list[GoldTrace] = []

    def proves(trace: GoldTrace) -> bool:
        seen.append(trace)
        return not validator.findings(trace)

    phases = DomainPrompts(library, "m", ScenarioOracle(0, CREATED_AT), proves)
    assert len(phases.examples) == EXAMPLES
    assert len({setting.intent for _, setting in phases.examples}) == EXAMPLES
    assert all(any(trace is each for each in seen) for trace, _ in phases.examples)
    assert DomainPrompts(library, "m", ScenarioOracle(0, CREATED_AT), lambda _: False).examples == []


def test_notes_change_the_prompt_and_its_version(library: Domain) -> None:
    """What was learnt about a domain stands in its prompt, and traces tell the two prompts apart."""
    plain = prompts.system_text("graph", library, [], [])
    noted = prompts.system_text("graph", library, [], ["Loans are found by title and state."])
    assert "- Loans are found by title and state." in noted
    assert prompts.version_of("graph", plain) != prompts.version_of("graph", noted)


def test_a_malformed_prompt_is_refused(tmp_path: Path) -> None:
    """The error names file and key."""
    (tmp_path / "graph.yaml").write_text("version: 0\nsystem: x\n")
    with pytest.raises(CatalogueError, match=r"graph\.yaml: version: Input should be greater than or equal to 1"):
        prompts.prompt_of("graph", tmp_path)


def test_every_tool_rule_and_field_is_told(library: Domain) -> None:
    """A prompt names all that a plan or a goal may name."""
    text = prompts.system_text("graph", library, [], [])
    names = [*library.file.tools, *library.file.policy.rules, *library.file.entities]
    names += [name for tool in library.file.tools.values() for name in tool.parameters]
    assert [name for name in names if name not in text] == []
