"""Is a row where it belongs, and does it say of itself what is so: what only whoever has the manifest can see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from builder.pieces import RowRange
from gatling_sid.models import Finding, GoldTrace, Verdict
from gatling_sid.schemas import DomainRegistry

CHECK = "place"
"""The name under which these findings are told."""


def claim_finding(trace: GoldTrace, verdict: Verdict) -> Iterator[Finding]:
    """A row that says it is validated was proven."""
    if trace.validated and verdict.skipped:
        why = "; ".join(dict.fromkeys(verdict.skipped))
        yield Finding(CHECK, "validated_is_proven", f"it says that it is validated, which cannot be proven: {why}")


class PlacementChecker:
    """Holds the rows of a piece, one after the other, against the place they are in."""

    def __init__(self, place: RowRange, registry: DomainRegistry) -> None:
        """The first row is yet to come."""
        self.place = place
        self.next = place.first
        """The index of the row that comes next or, where rows may be left out, the least that it can have."""
        settings, known = place.settings, registry.has_domain(place.domain)
        self._said: dict[str, Any] = {
            "domain": registry.domain(place.domain).name if known else None,
            "catalogue": settings.catalogue.get(place.domain),
            "seed": settings.seed,
            "oracle": settings.oracle.partition("/")[0],
            "created_at": datetime.fromisoformat(settings.created_at),
        }

    def findings(self, trace: GoldTrace) -> Iterator[Finding]:
        """Every way in which the next row is not the one that belongs here."""
        if not trace.validated:
            yield Finding(CHECK, "row_says_validated", "it does not say that it is validated")
        yield from self._in_order(trace.trace_id)
        for what, name in (("request", trace.request.request_id), ("graph", trace.graph.graph_id)):
            if name != f"{trace.trace_id}_{what}":
                yield Finding(CHECK, "ids_belong_together", f"its {what} is named {name!r}")
        for what, value in self._claims(trace).items():
            wanted = self._said[what]
            if value != wanted or type(value) is not type(wanted):
                message = f"its {what} is {value}; the manifest says {wanted}"
                yield Finding(CHECK, "row_is_of_the_run", message)

    def _in_order(self, trace_id: str) -> Iterator[Finding]:
        place, wanted = self.place, self.next
        index = wanted if trace_id == self._id(wanted) else index_of(trace_id, place)
        fits = index is not None and (index == wanted if place.is_dense else wanted <= index < place.end)
        if not fits:
            than = "" if place.is_dense else " or one after it"
            yield Finding(CHECK, "row_is_in_place", f"{self._id(wanted)}{than} belongs here")
        self.next = wanted + 1 if place.is_dense else index + 1 if fits and index is not None else wanted

    def _id(self, index: int) -> str:
        return f"{self.place.domain}_{self.place.split}_{index:08d}"

    @staticmethod
    def _claims(trace: GoldTrace) -> dict[str, Any]:
        claims = {name: trace.metadata.get(name) for name in ("catalogue", "seed", "oracle")}
        return {**claims, "domain": trace.request.domain, "created_at": trace.created_at}


def index_of(trace_id: str, place: RowRange) -> int | None:
    """The index in an id of the place's domain and split, or None."""
    match = re.fullmatch(rf"{re.escape(place.domain)}_{place.split}_(\d{{8,11}})", trace_id, re.ASCII)
    index = int(match[1]) if match else None
    return index if match and match[1] == f"{index:08d}" else None
