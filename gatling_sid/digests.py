"""Digests of policies, and of what a judge reads of a trace; equal digests mean equal content."""

from __future__ import annotations

import json
import marshal
from hashlib import blake2b
from operator import attrgetter

from gatling_sid.models import Constraint, GoldTrace, SystemPolicy

MARSHAL_VERSION = 2
"""The last version of marshal's format that always writes equal content as equal bytes; later ones mark shared objects."""
_policy_values = attrgetter(*(name for name in SystemPolicy.model_fields if name != "constraints"))
_constraint_values = attrgetter(*Constraint.model_fields)


def policy_bytes(policy: SystemPolicy) -> bytes:
    """All content of a policy as bytes, in which 5, 5.0 and True differ.

    Raises:
        ValueError: the policy holds an object that is not plain data.

    """
    return marshal.dumps((_policy_values(policy), list(map(_constraint_values, policy.constraints))), MARSHAL_VERSION)


def digest_for_judgement(trace: GoldTrace) -> str:
    """128 bits, in hex, over what Claude reads to judge a trace: text, principal, policy, goal, calls and outcome.

    Ids, times, scopes and provenance are left out, since other checks compute them again.
    """
    content = {
        "text": trace.request.text,
        "intent": trace.request.intent_category,
        "principal": trace.request.principal.model_dump(mode="json") if trace.request.principal else None,
        "policy": trace.policy.model_dump(mode="json"),
        "goal": trace.goal.model_dump(mode="json") if trace.goal else None,
        "outcome": trace.outcome.model_dump(mode="json") if trace.outcome else None,
        "calls": [
            {"id": call.call_id, "tool": call.tool_id, "arguments": call.arguments, "after": sorted(call.dependencies)}
            for call in trace.graph.calls
        ],
    }
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
