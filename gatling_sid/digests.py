"""Short digests of content: what ties a verdict to the words, goal and plan it was given on."""

from __future__ import annotations

import json
from hashlib import blake2b

from gatling_sid.models import GoldTrace


def digest_judged(trace: GoldTrace) -> str:
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
