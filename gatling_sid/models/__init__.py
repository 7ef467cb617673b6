"""GoldTrace and its parts: the records that all other packages exchange."""

from gatling_sid.models.records import construct_trusted, replace_fields
from gatling_sid.models.tiers import SensitivityTier, TrustTier
from gatling_sid.models.tools import ToolParameter, ToolSchema
from gatling_sid.models.trace import (
    INTENTS,
    SCENARIO,
    ArgumentSource,
    Constraint,
    Effect,
    Goal,
    GoldTrace,
    MeasuredValue,
    Measurement,
    Principal,
    ProvenancePointer,
    ScopeMetadata,
    Showing,
    SystemPolicy,
    ToolCall,
    ToolCallGraph,
    UserRequest,
    topological_order,
)
from gatling_sid.models.verdict import Finding, Verdict

__all__ = [
    "INTENTS",
    "SCENARIO",
    "ArgumentSource",
    "Constraint",
    "Effect",
    "Finding",
    "Goal",
    "GoldTrace",
    "MeasuredValue",
    "Measurement",
    "Principal",
    "ProvenancePointer",
    "ScopeMetadata",
    "SensitivityTier",
    "Showing",
    "SystemPolicy",
    "ToolCall",
    "ToolCallGraph",
    "ToolParameter",
    "ToolSchema",
    "TrustTier",
    "UserRequest",
    "Verdict",
    "construct_trusted",
    "replace_fields",
    "topological_order",
]
