"""Kinds of tampering by group and name: functions that change a gold trace; `tampering.yaml` has the right verdicts."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from gatling_sid.models import GoldTrace
from gatling_sid.seeding import stream
from tests.validators.tampering.coordinates import COORDINATES
from tests.validators.tampering.enlarged import ENLARGED
from tests.validators.tampering.forms import FORMS
from tests.validators.tampering.intact import INTACT
from tests.validators.tampering.needless_calls import NEEDLESS_CALLS
from tests.validators.tampering.outside import OUTSIDE, observe_again
from tests.validators.tampering.over_reading import OVER_READING
from tests.validators.tampering.provenance import PROVENANCE
from tests.validators.tampering.reduced import REDUCED
from tests.validators.tampering.rules import RULES
from tests.validators.tampering.scopes import SCOPES
from tests.validators.tampering.waiting import WAITING
from tests.validators.tampering.words import WORDS

Tampering = Callable[[GoldTrace, random.Random], GoldTrace | None]
"""Changes the trace it is given, a copy that nothing else uses, and returns it; None if it does not apply to it."""

GROUPS: Mapping[str, Mapping[str, Tampering]] = {
    "words": WORDS,
    "enlarged": ENLARGED,
    "reduced": REDUCED,
    "over_reading": OVER_READING,
    "needless_calls": NEEDLESS_CALLS,
    "waiting": WAITING,
    "scopes": SCOPES,
    "policy": RULES,
    "coordinates": COORDINATES,
    "provenance": PROVENANCE,
    "outside": OUTSIDE,
    "forms": FORMS,
    "intact": INTACT,
}
KINDS: Mapping[str, Tampering] = {name: kind for group in GROUPS.values() for name, kind in group.items()}


def tamper(name: str, trace: str) -> GoldTrace | None:
    """The trace that a kind makes of one given as JSON, always the same; None if the kind does not apply.

    Observations, lures and tiers follow from the changed plan, unless the kind is about them. Other kinds apply to traces
    with calls only.
    """
    copy = GoldTrace.model_validate_json(trace)
    if name not in OUTSIDE and not copy.graph.calls:
        return None
    changed = KINDS[name](copy, stream("tampering", name, trace))
    return changed if changed is None or name in OUTSIDE else observe_again(changed)
