"""Checks that need the manifest: whether a row is in its place, and whether its metadata agrees with the run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from builder.pieces import RowRange
from gatling_sid.models import Finding, GoldTrace, Verdict
from gatling_sid.schemas import DomainRegistry

PLACEMENT_CHECK = "place"
"""The name of the check in these findings."""


def claim_finding(trace: GoldTrace, verdict: Verdict) -> Iterator[Finding]:
    """Yields a finding if a row says that it is validated, but some check could not be applied to it."""
    if trace.validated and verdict.skipped:
        why = "; ".join(dict.fromkeys(verdict.skipped))
        yield Finding(
            PLACEMENT_CHECK, "validated_is_proven", f"it says that it is validated, which cannot be proven: {why}"
        )


class PlacementChecker:
    """Compares the rows of a piece, in order, with the rows that the manifest expects there."""

    def __init__(self, row_range: RowRange, registry: DomainRegistry) -> None:
        """Begins with the first row of the range."""
        self.row_range = row_range
        self.next_index = row_range.first
        """The index of the next row or, where rows may be left out, the lowest that it can have."""
        settings, is_known = row_range.settings, registry.has_domain(row_range.domain)
        self._expected: dict[str, Any] = {
            "domain": registry.domain(row_range.domain).name if is_known else None,
            "catalogue": settings.catalogue.get(row_range.domain),
            "seed": settings.seed,
            "oracle": settings.oracle.partition("/")[0],
            "created_at": datetime.fromisoformat(settings.created_at),
        }

    def findings(self, trace: GoldTrace) -> Iterator[Finding]:
        """Yields every way in which the next row differs from the one that belongs here."""
        if not trace.validated:
            yield Finding(PLACEMENT_CHECK, "row_says_validated", "it does not say that it is validated")
        yield from self._order_findings(trace.trace_id)
        for what, name in (("request", trace.request.request_id), ("graph", trace.graph.graph_id)):
            if name != f"{trace.trace_id}_{what}":
                yield Finding(PLACEMENT_CHECK, "ids_belong_together", f"its {what} is named {name!r}")
        for what, value in self._claims(trace).items():
            expected = self._expected[what]
            if value != expected or type(value) is not type(expected):
                message = f"its {what} is {value}; the manifest says {expected}"
                yield Finding(PLACEMENT_CHECK, "row_is_of_the_run", message)

    def _order_findings(self, trace_id: str) -> Iterator[Finding]:
        rows, expected = self.row_range, self.next_index
        index = expected if trace_id == self._id(expected) else index_of(trace_id, rows)
        fits = index is not None and (index == expected if rows.is_dense else expected <= index < rows.end)
        if not fits:
            or_later = "" if rows.is_dense else " or one after it"
            yield Finding(PLACEMENT_CHECK, "row_is_in_place", f"{self._id(expected)}{or_later} belongs here")
        self.next_index = expected + 1 if rows.is_dense else index + 1 if fits and index is not None else expected

    def _id(self, index: int) -> str:
        return f"{self.row_range.domain}_{self.row_range.split}_{index:08d}"

    @staticmethod
    def _claims(trace: GoldTrace) -> dict[str, Any]:
        claims = {name: trace.metadata.get(name) for name in ("catalogue", "seed", "oracle")}
        return {**claims, "domain": trace.request.domain, "created_at": trace.created_at}


def index_of(trace_id: str, row_range: RowRange) -> int | None:
    """The index in a trace's id, or None if the id is not of this domain and split."""
    match = re.fullmatch(rf"{re.escape(row_range.domain)}_{row_range.split}_(\d{{8,11}})", trace_id, re.ASCII)
    index = int(match[1]) if match else None
    return index if match and match[1] == f"{index:08d}" else None
