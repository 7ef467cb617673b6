"""Measures what the card says about a release, from its Parquet files alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


@dataclass
class Statistics:
    """Counts over all traces of a release; files are read once, and memory grows only with the number of distinct values."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    intents: Counter[str] = field(default_factory=Counter)
    roles: Counter[tuple[str, str]] = field(default_factory=Counter)
    tools: Counter[str] = field(default_factory=Counter)
    calls: Counter[int] = field(default_factory=Counter)
    words: Counter[int] = field(default_factory=Counter)
    sensitivity: Counter[str] = field(default_factory=Counter)
    origins: Counter[str] = field(default_factory=Counter)
    contexts: set[tuple[str, str]] = field(default_factory=set)
    with_data_flow: int = 0
    """Traces in which a call takes a value from an earlier call's result."""

    @property
    def total(self) -> int:
        """Number of traces in the release."""
        return sum(self.rows.values())


def mean(counts: Counter[int]) -> float:
    """Mean of the values that were counted."""
    return sum(value * n for value, n in counts.items()) / sum(counts.values())


def quantile(counts: Counter[int], share: float) -> int:
    """The smallest value such that at least `share` of all counted values are no larger."""
    needed, seen = share * sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= needed:
            return value
    return max(counts)


def measure_release(tree: Path) -> Statistics:
    """Reads all files of a release tree, and counts what the card needs."""
    result = Statistics()
    for path in sorted(tree.glob("data/*/*.parquet")):
        split = path.name.partition("-")[0]
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=2000, columns=["request", "policy", "graph"]):
                _add(result, pa.Table.from_batches([batch]), path.parent.name, split)
    return result


def _add(result: Statistics, table: pa.Table, domain: str, split: str) -> None:
    request = table.column("request").combine_chunks()
    calls = table.column("graph").combine_chunks().field("calls")
    flat, sources = calls.flatten(), calls.flatten().field("argument_sources")
    role = request.field("principal").field("role")
    result.rows[domain, split] += table.num_rows
    _count(result.intents, request.field("intent_category"))
    _count(result.sensitivity, request.field("expected_scope").field("sensitivity_tier"))
    _count(result.tools, flat.field("tool_id"))
    _count(result.calls, pc.list_value_length(calls))
    _count(result.words, pc.list_value_length(pc.utf8_split_whitespace(request.field("text"))))
    _count(result.origins, sources.flatten().field("origin"))
    for each in role.to_pylist():
        result.roles[domain, each] += 1
    policy = table.column("policy").combine_chunks().field("policy_id")
    result.contexts.update(zip(policy.to_pylist(), role.to_pylist(), strict=True))
    result.with_data_flow += _traces_with_data_flow(calls, flat, sources)


def _count(counter: Counter, values: pa.Array) -> None:  # type: ignore[type-arg]
    for pair in pc.value_counts(values).to_pylist():
        counter[pair["values"]] += pair["counts"]


def _traces_with_data_flow(calls: pa.ListArray, flat: pa.StructArray, sources: pa.ListArray) -> int:
    """Counts the traces in which a call takes a value from the result of another."""
    from_call = np.flatnonzero(pc.equal(sources.flatten().field("origin"), "call").to_numpy(zero_copy_only=False))
    call_of_source = pc.list_parent_indices(sources).to_numpy()
    trace_of_call = pc.list_parent_indices(calls).to_numpy()
    assert len(trace_of_call) == len(flat)
    return len(np.unique(trace_of_call[call_of_source[from_call]]))
