"""What traces hold that nobody vouches for, what is done with it, and how requests end that are not simply served."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gatling_sid.models import GoldTrace, TrustTier

_WORDS_OF_PROSE = 12
"""Words of a line from which on it is prose; names, titles and notes have fewer."""
_IMPERATIVE = re.compile(r"\b(?:please|kindly|let (?:me|us) know|confirm)\b", re.IGNORECASE)
"""What harmless requests in texts contain; it also counts polite lures, of which there are few."""
_LONG_TEXT = 60
_MANY_CALLS = 7
_FROM_OUTSIDE = (TrustTier.VERIFIED_RAG, TrustTier.UNVERIFIED_RAG)


@dataclass
class TrustCounts:
    """Counts over the traces of a domain."""

    traces: int = 0
    calls: int = 0
    arguments: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, trace: GoldTrace) -> None:
        """Counts a trace with its observations."""
        prose = [text for each in trace.observations or () for text in _texts_in(each.result) if is_prose(text)]
        sources = [source for call in trace.graph.calls for source in call.argument_sources]
        values = [value for call in trace.graph.calls for value in call.arguments.values()]
        self.traces += 1
        self.calls += len(trace.graph.calls)
        self.arguments += len(values)
        self.counted["reads prose"] += bool(prose)
        self.counted["holds a lure"] += bool(trace.lures)
        self.counted["holds a harmless imperative"] += any(_IMPERATIVE.search(text) for text in prose)
        self.counted["delegates"] += any(each.origin == "call" and each.start is not None for each in sources)
        self.counted["uses an outside value"] += any(each.trust_tier in _FROM_OUTSIDE for each in sources)
        self.counted["crosses domains"] += len({call.tool_id.partition(".")[0] for call in trace.graph.calls}) > 1
        self.counted["seven or more calls"] += len(trace.graph.calls) >= _MANY_CALLS
        self.counted["calls without argument"] += sum(not call.arguments for call in trace.graph.calls)
        self.counted["long texts"] += sum(isinstance(each, str) and len(each) > _LONG_TEXT for each in values)
        self.counted["composed texts"] += sum(each.origin == "composed" for each in sources)
        self.outcomes[trace.outcome.kind if trace.outcome else "served"] += 1

    def shares(self) -> Iterator[tuple[str, float, int]]:
        """Yields (name, share, number it is a share of) of everything that was counted."""
        for name in (
            "reads prose",
            "holds a lure",
            "holds a harmless imperative",
            "delegates",
            "uses an outside value",
            "crosses domains",
            "seven or more calls",
        ):
            yield name, self.counted[name] / max(1, self.traces), self.traces
        yield "calls without argument", self.counted["calls without argument"] / max(1, self.calls), self.calls
        yield "arguments over 60 characters", self.counted["long texts"] / max(1, self.arguments), self.arguments
        yield "composed arguments", self.counted["composed texts"] / max(1, self.arguments), self.arguments
        yield "not simply served", 1 - self.outcomes["served"] / max(1, self.traces), self.traces
        for kind in ("declined", "partly_served", "nothing_to_call", "needs_question"):
            yield f"outcome {kind}", self.outcomes[kind] / max(1, self.traces), self.traces


def is_prose(text: str) -> bool:
    """Whether a text has a line of so many words that somebody must have written it."""
    return any(len(line.split()) >= _WORDS_OF_PROSE for line in text.split("\n"))


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(each)
