"""Content in short: what ties a verdict to the words, goal and plan it was given on, and a policy to what it said."""

from __future__ import annotations

import json
import marshal
from hashlib import blake2b
from operator import attrgetter

from gatling_sid.models import Constraint, GoldTrace, SystemPolicy

MARSHAL = 2
"""The last version of marshal's format that writes equal content as equal bytes, whatever objects are shared."""
_POLICY = attrgetter(*(name for name in SystemPolicy.model_fields if name != "constraints"))
_CONSTRAINT = attrgetter(*Constraint.model_fields)


def policy_bytes(policy: SystemPolicy) -> bytes:
    """All that a policy says, by type: 5, 5.0 and True are three things. Raises ValueError for what is no plain value."""
    return marshal.dumps((_POLICY(policy), list(map(_CONSTRAINT, policy.constraints))), MARSHAL)


def judged_digest(trace: GoldTrace) -> str:
    """128 bits, in hex, over what a judge of a trace reads: words, person, policy, goal and calls.

    Ids, times, scopes and provenance are left out: other checks work them out again.
    """
    content = {
        "text": trace.request.text,
        "intent": trace.request.intent_category,
        "principal": trace.request.principal.model_dump(mode="json") if trace.request.principal else None,
        "policy": trace.policy.model_dump(mode="json"),
        "goal": trace.goal.model_dump(mode="json") if trace.goal else None,
        "calls": [
            {"id": call.call_id, "tool": call.tool_id, "arguments": call.arguments, "after": sorted(call.dependencies)}
            for call in trace.graph.calls
        ],
    }
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
