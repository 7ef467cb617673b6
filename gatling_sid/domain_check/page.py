"""A section about a domain for readers who look for their field: who asks, what there is, measures, and one trace."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import shorten

from gatling_sid.domain_check.sample import Sample, draw_sample
from gatling_sid.domain_check.sizes import sizes_of
from gatling_sid.models import GoldTrace, ToolCall
from gatling_sid.quality.aims import Measured
from gatling_sid.schemas.domain import Domain
from gatling_sid.seeding import stream

_TRACES = 240
_MEASURES = (
    "calls per trace", "reads prose", "holds a lure", "delegates", "crosses domains", "not simply served",
    "plan breaks another policy",
)  # fmt: skip
_SHOWN_CALLS = range(3, 6)
"""Calls of the trace that is shown: enough to see data flow, few enough to read."""
_VALUE_LENGTH = 70


def render_page(domain: Domain, *, seed: int) -> str:
    """The section in Markdown, ending with a line break; the same for the same domain and seed."""
    sample = draw_sample(domain, _TRACES, seed=seed)
    return "\n".join(_lines(domain, sample, seed)) + "\n"


def _lines(domain: Domain, sample: Sample, seed: int) -> Iterator[str]:
    file, sizes = domain.file, sizes_of(domain)
    yield f"## {domain.name}\n"
    yield f"{file.description} Organisation: {file.organisation}.\n"
    for name, role in file.roles.items():
        yield f"* **{name.replace('_', ' ')}**: {role.description}"
    also = f" and {sizes.borrowed} of other domains" if sizes.borrowed else ""
    yield (
        f"\n{sizes.entities} entities, {sizes.tools} tools{also}, {sizes.rules} rules, {sizes.parts} parts; "
        f"`{domain.slug}`.\n"
    )
    yield f"Of {len(sample.judged)} traces: {'; '.join(map(_in_words, _measures(sample)))}.\n"
    yield from _trace_lines(_chosen(domain, sample, seed))


def _measures(sample: Sample) -> Iterator[Measured]:
    by_name = {each.name: each for each in sample.counts.measure()}
    yield from (by_name[name] for name in _MEASURES if name in by_name)


def _in_words(measured: Measured) -> str:
    if measured.name == "calls per trace":
        return f"{measured.value:.1f} calls each"
    return f"{measured.name} {measured.value:.0%}"


def _chosen(domain: Domain, sample: Sample, seed: int) -> GoldTrace:
    """One of the gold traces, if possible one with several calls."""
    gold = [each.trace for each in sample.judged if not each.findings]
    fitting = [trace for trace in gold if len(trace.graph.calls) in _SHOWN_CALLS] or gold
    return stream(seed, domain.slug, "page").choice(fitting)


def _trace_lines(trace: GoldTrace) -> Iterator[str]:
    principal = trace.request.principal
    role = principal.role.replace("_", " ") if principal is not None else "somebody"
    yield from (f"> {line}" for line in trace.request.text.splitlines())
    yield f">\n> *{role}, {trace.request.intent_category}*\n"
    for at, call in enumerate(trace.graph.calls, 1):
        yield f"{at}. {_call(call)}"
    if trace.outcome is not None and trace.outcome.kind != "served":
        yield f"\n*{trace.outcome.kind.replace('_', ' ')}: {trace.outcome.reason}*"
    if not trace.graph.calls:
        yield "*no call*"


def _call(call: ToolCall) -> str:
    given = (f"{name}={shorten(str(value), _VALUE_LENGTH, placeholder=' …')}" for name, value in call.arguments.items())
    return f"`{call.tool_id}({', '.join(given)})`"
