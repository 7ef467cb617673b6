"""Prompts are data: versioned, byte-identical, long enough to be cached, with gold examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from anthropic import transform_schema

from gatling_sid.errors import CatalogueError
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.claude.plans.answers import ANSWERS
from gatling_sid.oracle.claude.prompts import system_prompts as prompts
from gatling_sid.oracle.claude.prompts.answer_schemas import answer_schema
from gatling_sid.oracle.claude.prompts.phases import EXAMPLES_PER_PROMPT, DomainPrompts
from gatling_sid.oracle.embedded.oracle import ScenarioOracle
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator
from tests.conftest import CREATED_AT
from tests.support.commands import code_line, environment, output_of
from tests.support.domain_sample import sampled_domains

LEAST_TOKENS, MOST_CHARACTERS_PER_TOKEN = 512, 6


@pytest.mark.parametrize("slug", sampled_domains())
def test_prefixes_are_long_enough_to_be_cached(slug: str) -> None:
    """Every prompt of every domain is longer than the smallest prefix that the API caches, and completely filled."""
    validator = TraceValidator()
    domain = validator.registry.domain(slug)
    phases = DomainPrompts(domain, "m", ScenarioOracle(0, CREATED_AT), lambda trace: not validator.findings(trace))
    for text in phases.system_prompts.values():
        assert len(text) > LEAST_TOKENS * MOST_CHARACTERS_PER_TOKEN
        assert "{{" not in text


def test_prefixes_are_the_same_to_the_byte_in_every_process() -> None:
    """Two processes with different hash seeds give the same prompt; otherwise nothing would be read from the cache."""
    code = (
        "from datetime import datetime, UTC\n"
        "from hashlib import sha256\n"
        "from gatling_sid.oracle.claude.prompts.phases import DomainPrompts\n"
        "from gatling_sid.oracle.embedded.oracle import ScenarioOracle\n"
        "from gatling_sid.validators import TraceValidator\n"
        "v = TraceValidator()\n"
        "o = ScenarioOracle(0, datetime(2026, 1, 1, tzinfo=UTC))\n"
        "p = DomainPrompts(v.registry.domain('hr'), 'm', o, lambda t: not v.findings(t))\n"
        "print(sha256(repr(sorted(p.system_prompts.items())).encode()).hexdigest())\n"
    )
    digests = {output_of(code_line(code), env=environment(PYTHONHASHSEED=seed, SID_SECRET=seed)) for seed in ("1", "2")}
    assert len(digests) == 1


def test_examples_are_proven_and_of_several_intents(library: Domain, validator: TraceValidator) -> None:
    """Only traces that the judge accepts become examples, and the examples show different intents."""
    seen: list[GoldTrace] = []

    def is_gold(trace: GoldTrace) -> bool:
        seen.append(trace)
        return not validator.findings(trace)

    phases = DomainPrompts(library, "m", ScenarioOracle(0, CREATED_AT), is_gold)
    assert len(phases.examples) == EXAMPLES_PER_PROMPT
    assert len({context.intent for _, context in phases.examples}) == EXAMPLES_PER_PROMPT
    assert all(any(trace is each for each in seen) for trace, _ in phases.examples)
    assert DomainPrompts(library, "m", ScenarioOracle(0, CREATED_AT), lambda _: False).examples == []


def test_notes_change_the_prompt_and_its_version(library: Domain) -> None:
    """Notes are in the prompt, and prompts with other notes have other versions."""
    plain = prompts.system_text("graph", library, [], [])
    noted = prompts.system_text("graph", library, [], ["Loans are found by title and state."])
    assert "- Loans are found by title and state." in noted
    assert prompts.prompt_version("graph", plain) != prompts.prompt_version("graph", noted)


def test_a_malformed_prompt_is_refused(tmp_path: Path) -> None:
    """The error names the file and the key."""
    (tmp_path / "graph.yaml").write_text("version: 0\nsystem: x\n")
    with pytest.raises(CatalogueError, match=r"graph\.yaml: version: Input should be greater than or equal to 1"):
        prompts.prompt_of("graph", tmp_path)


def test_every_tool_rule_and_field_is_in_the_prompt(library: Domain) -> None:
    """A prompt names all that a plan or a goal may name."""
    text = prompts.system_text("graph", library, [], [])
    names = [*library.file.tools, *library.file.policy.rules, *library.file.entities]
    names += [name for tool in library.file.tools.values() for name in tool.parameters]
    assert [name for name in names if name not in text] == []


def domain_with_description(library: Domain, description: str) -> Domain:
    """The domain with other words about its organisation."""
    file = library.file.model_copy(update={"description": description})
    return Domain(library.slug, file, library.pools, library.voice)


def test_text_of_the_catalogue_is_never_a_template(library: Domain) -> None:
    """Braces and @words@ of a description are in the prompt unchanged."""
    description = "We write to @policy@ and @about@, {{ about }}, {% if %}, {# note #}, {slot} & <b>."
    for phase in prompts.PHASES:
        assert description in prompts.system_text(phase, domain_with_description(library, description), [], [])


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ("{{ about }} {{ abuot }}", r"graph\.yaml: system: no variable 'abuot'; the variables are about, entities, "),
        ("one\n{{ about }", r"graph\.yaml: system: line 2 of the template: unexpected '}'"),
        ("{% if about %}", r"graph\.yaml: system: line 1 of the template: Unexpected end of template"),
        ("{{ about | shout }}", r"graph\.yaml: system: line 1 of the template: No filter named 'shout'"),
        ("{{ [about] | random }}", r"graph\.yaml: system: line 1 of the template: No filter named 'random'"),
        ("{{ lipsum() }}", r"graph\.yaml: system: no variable 'lipsum'"),
        ("{% include 'x' %}", r"graph\.yaml: system: the template cannot be filled: no loader"),
        ("{{ about() }}", r"graph\.yaml: system: the template cannot be filled: 'str' object is not callable"),
        ("{{ 1 / 0 }}", r"graph\.yaml: system: the template cannot be filled: division by zero"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(tmp_path: Path, system: str, message: str) -> None:
    """The error names the file, and the variable or the line that is wrong."""
    (tmp_path / "graph.yaml").write_text(f"version: 1\nsystem: {json.dumps(system)}\n")
    with pytest.raises(CatalogueError, match=message):
        prompts.prompt_of("graph", tmp_path)


def test_a_template_may_leave_variables_unused(tmp_path: Path) -> None:
    """Single braces in a template are text."""
    (tmp_path / "graph.yaml").write_text("version: 1\nsystem: 'Say {slot} of {\"a\": {}}.'\n")
    assert prompts.prompt_of("graph", tmp_path).system == 'Say {slot} of {"a": {}}.'


@pytest.mark.parametrize("phase", ANSWERS)
def test_the_schemas_that_are_sent_are_those_of_the_classes(phase: str) -> None:
    """Names and descriptions of classes may differ, since the file keeps those of responses already paid for."""
    assert _structure(answer_schema(phase)) == _structure(transform_schema(ANSWERS[phase]))


def _structure(schema: dict[str, Any]) -> object:
    """A schema without names of classes: references are replaced by what they refer to."""
    definitions = schema.get("$defs", {})

    def reduced(node: Any) -> Any:
        if isinstance(node, list):
            return [reduced(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return reduced(definitions[node["$ref"].rpartition("/")[2]])
        dropped = {"title", "$defs", "description"} if "properties" in node else {"title"}
        kept = {key: value for key, value in node.items() if key not in dropped or isinstance(value, dict)}
        return {key: reduced(value) for key, value in kept.items() if key != "$defs"}

    return reduced(schema)
