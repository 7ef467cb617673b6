"""Rows of a run whose oracle may leave some out come in order, each once, and within their shard."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from builder.pieces import RowRange
from builder.placement import PlacementChecker, index_of
from builder.shards import RunSettings
from gatling_sid.models import GoldTrace
from gatling_sid.schemas import DomainRegistry

AUTHORS = {"scenario": "scenario", "claude": "claude/claude-haiku-5-5"}


def place(author: str, gold: list[GoldTrace]) -> RowRange:
    """The row range of rows 10 to 19 of a split."""
    versions = {"library": str(gold[0].metadata["catalogue"])}
    at = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    return RowRange(
        "library", "train", 10, 20, RunSettings(1, AUTHORS[author], at, 10, {"library": {"train": 30}}, versions)
    )


@pytest.mark.parametrize(
    ("author", "indices", "wrong"),
    [
        ("scenario", [10, 11, 12], []),
        ("scenario", [10, 12, 11, 13], [12, 11]),
        ("scenario", [10, 10, 12], [10]),
        ("scenario", [10, 29, 12], [29]),
        ("claude", [10, 12, 19], []),
        ("claude", [12, 11, 13], [11]),
        ("claude", [12, 12, 13], [12]),
        ("claude", [9, 20, 10], [9, 20]),
    ],
)
def test_rows_stand_where_they_belong(
    author: str, indices: list[int], wrong: list[int], gold: list[GoldTrace], registry: DomainRegistry
) -> None:
    """Of the embedded oracle each place has its one row; another may leave rows out, but neither turn back nor repeat."""
    rows = PlacementChecker(place(author, gold), registry)
    found = []
    for index in indices:
        name = f"library_train_{index:08d}"
        request = gold[0].request.model_copy(update={"request_id": f"{name}_request"})
        graph = gold[0].graph.model_copy(update={"graph_id": f"{name}_graph"})
        metadata = {**gold[0].metadata, "oracle": author}
        trace = gold[0].model_copy(
            update={"trace_id": name, "request": request, "graph": graph, "metadata": metadata, "validated": True}
        )
        found += [(index, each.rule) for each in rows.findings(trace)]

    assert found == [(index, "row_is_in_place") for index in wrong]


@pytest.mark.parametrize(
    ("trace_id", "index"),
    [
        ("library_train_00000012", 12),
        ("library_train_123456789", 123456789),
        ("library_train_12", None),
        ("library_train_000000012", None),
        ("library_test_00000012", None),
        ("Library_train_00000012", None),
        ("library_train_0000001²", None),
        ("library_train_00000012 ", None),
    ],
)
def test_an_id_is_written_in_one_way(trace_id: str, index: int | None, gold: list[GoldTrace]) -> None:
    """Eight digits, or as many as it takes; of this domain and split, and nothing around it."""
    assert index_of(trace_id, place("scenario", gold)) == index
