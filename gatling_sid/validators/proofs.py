"""Proving a plan once: further wordings of it need only their words judged.

Sound because the rules are split by what they read: those of a `worded` check read the request's text, sources and
provenance, all others read only parts that two wordings share *as the same objects*. Nothing is looked up by a name
or an id that could be mistaken; a trace that shares less than all of it is proven in full.
"""

from __future__ import annotations

from itertools import starmap

from gatling_sid.models import GoldTrace, ToolCall, TrustTier
from gatling_sid.validators.case import Case
from gatling_sid.validators.checks import CHECKS, Finding, findings
from gatling_sid.validators.trace_validator import TraceValidator

_KEPT = 1024
_WORLD = ("catalogue", "seed", "world", "today")


class ProvenPlans:
    """A validator for a stream of traces that nobody else holds; remembers the plans it found gold."""

    def __init__(self, validator: TraceValidator) -> None:
        """Remembers nothing yet."""
        self.validator = validator
        self._proven: dict[int, GoldTrace] = {}

    def is_proven(self, trace: GoldTrace) -> bool:
        """Whether nothing was left unjudged, so that a trace without findings is proven gold."""
        return self.validator.is_proven(trace)

    def findings(self, trace: GoldTrace) -> list[Finding]:
        """What `TraceValidator.findings` gives, in less time for another wording of a plan found gold before."""
        proven = self._proven.get(id(trace.goal))
        if proven is not None and is_rewording(trace, proven):
            case = Case(trace, self.validator.registry)
            return [each for name, check in CHECKS.items() if check.worded for each in findings(case, name)]
        found = self.validator.findings(trace)
        if not found:
            if len(self._proven) >= _KEPT:
                self._proven.clear()
            self._proven[id(trace.goal)] = trace
        return found


def is_rewording(trace: GoldTrace, proven: GoldTrace) -> bool:
    """Whether the two share everything but their words, identity and time."""
    one, other = trace.request, proven.request
    return (
        trace.goal is proven.goal
        and trace.policy is proven.policy
        and one.principal is other.principal
        and one.expected_scope is other.expected_scope
        and one.domain == other.domain
        and one.intent_category == other.intent_category
        and all(trace.metadata.get(key) == proven.metadata.get(key) for key in _WORLD)
        and trace.graph.execution_order is proven.graph.execution_order
        and len(trace.graph.calls) == len(proven.graph.calls)
        and all(starmap(_same_call, zip(trace.graph.calls, proven.graph.calls, strict=True)))
    )


def _sources(call: ToolCall) -> list[tuple[str, str, str | None]]:
    """Where arguments come from, without the places in the request's text."""
    return [(each.argument, each.origin, each.reference) for each in call.argument_sources]


def _rule_quoted(call: ToolCall) -> str | None:
    pointer = call.provenance
    return pointer.content_snippet if pointer is not None and pointer.source_type is TrustTier.SYSTEM else None


def _same_call(call: ToolCall, other: ToolCall) -> bool:
    return (
        call.arguments is other.arguments
        and call.dependencies is other.dependencies
        and call.scope is other.scope
        and call.call_id == other.call_id
        and call.tool_id == other.tool_id
        and _rule_quoted(call) == _rule_quoted(other)
        and _sources(call) == _sources(other)
    )
