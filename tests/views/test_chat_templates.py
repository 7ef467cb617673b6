"""Chat templates of many families of models render chats with the right calls.

The templates are those that ship in `trl`; `make test` installs it without what it needs to run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jinja2.ext
import jinja2.nodes
import jinja2.parser
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gatling_sid.models import GoldTrace
from gatling_sid.schemas.domain import Domain
from gatling_sid.views import to_messages

FORMS: dict[str, dict[str, Any]] = {
    "deepseek_r1_distill": {"arguments_as_text": True},
    "deepseek_r1_distill_training": {"arguments_as_text": True},
    "deepseekv3": {"arguments_as_text": True},
}
"""The options of `to_messages` for templates that need others than most."""
MOST: dict[str, Any] = {"call_content": ""}
NOT_WITH_NULL = {"glm4moe", "gptoss", "lfm2_2_5", "lfm2_2_5_v2", "qwen3_vl"}
"""Families whose templates read the content of messages with calls as text."""
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
NUMBER_OF_TRACES = 30


class _GenerationBlocks(jinja2.ext.Extension):
    """The blocks with which training templates mark what is learnt; their content is rendered as it is."""

    tags = {"generation"}  # noqa: RUF012 - the form that jinja2 reads

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        """The content of the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def tool_templates() -> list[Path]:
    """The templates in `trl` that know of calls; none if it is not installed."""
    found = find_spec("trl")
    folder = Path(found.origin).parent / "chat_templates" if found and found.origin else None
    every = sorted(folder.glob("*.jinja")) if folder else []
    return [path for path in every if "tool_calls" in path.read_text(encoding="utf-8")]


def refuse(message: str) -> None:
    """What templates call for chats that they do not accept."""
    raise jinja2.TemplateError(message)


def dump(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    """JSON as `transformers` writes it for templates."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


@lru_cache(maxsize=2)
def compiled(template: str) -> jinja2.Template:
    """A template in an environment like that of `transformers`."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlocks, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = dump
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = datetime(2026, 1, 1, tzinfo=UTC).strftime
    return environment.from_string(template)


def render(template: str, chat: dict[str, Any]) -> str:
    """A chat as text."""
    return compiled(template).render(**chat, **TOKENS)


def missing_parts(chat: dict[str, Any], text: str) -> Iterator[str]:
    """The names and arguments of calls that a rendered chat lacks."""
    calls = [call["function"] for message in chat["messages"] for call in message.get("tool_calls", ())]
    for call in calls:
        given = call["arguments"]
        arguments = json.loads(given) if isinstance(given, str) else given
        if arguments and dump(dump(arguments)) in text:
            yield f"{call['name']}: arguments are quoted twice"
        values = [value for each in arguments.values() for value in (each if isinstance(each, list) else [each])]
        parts = [call["name"], *arguments, *(value if isinstance(value, str) else dump(value) for value in values)]
        yield from (part for part in parts if part not in text)
    if "None\n" in text:
        yield "a content that is null was rendered as text"


@pytest.fixture(scope="module")
def chosen(observed: list[GoldTrace]) -> list[GoldTrace]:
    """The traces with the most calls."""
    return sorted(observed, key=lambda trace: len(trace.graph.calls))[-NUMBER_OF_TRACES:]


@pytest.mark.parametrize("path", tool_templates(), ids=lambda path: path.stem)
def test_templates_render_the_right_calls(path: Path, chosen: list[GoldTrace], library: Domain) -> None:
    """Every call is in the rendered text, with its name, the names of its arguments and their values."""
    template, options = path.read_text(encoding="utf-8"), FORMS.get(path.stem, MOST)
    for trace in chosen:
        chat = to_messages(trace, library.schemas, **options)
        assert list(missing_parts(chat, render(template, chat))) == []


@pytest.mark.parametrize("path", tool_templates(), ids=lambda path: path.stem)
def test_most_templates_accept_a_content_that_is_null(path: Path, chosen: list[GoldTrace], library: Domain) -> None:
    """The form without options is rendered by all families but those that need another content, or text."""
    if path.stem.removesuffix("_training") in NOT_WITH_NULL or path.stem in FORMS:
        pytest.skip("needs options")
    template = path.read_text(encoding="utf-8")
    for trace in chosen[-3:]:
        chat = to_messages(trace, library.schemas)
        assert list(missing_parts(chat, render(template, chat))) == []


def test_a_wrong_rendering_is_seen(observed: list[GoldTrace], library: Domain) -> None:
    """The test finds calls that a template drops, arguments that it writes twice as text, and null as text."""
    chat = to_messages(max(observed, key=lambda trace: len(trace.graph.calls)), library.schemas)
    drops = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
    keeps = (
        "{% for m in messages %}{% for call in m.tool_calls or [] %}"
        "{{ call.function.name }} {{ call.function.arguments | tojson }}{% endfor %}{% endfor %}"
    )

    assert "a content that is null was rendered as text" in {*missing_parts(chat, render(drops, chat))}
    assert chat["messages"][2]["tool_calls"][0]["function"]["name"] in {*missing_parts(chat, render("", chat))}
    assert list(missing_parts(chat, render(keeps, chat))) == []
    as_text = to_messages(
        max(observed, key=lambda trace: len(trace.graph.calls)), library.schemas, arguments_as_text=True
    )
    assert any("quoted twice" in each for each in missing_parts(as_text, render(keeps, as_text)))
