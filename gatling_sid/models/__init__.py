"""GoldTrace and its parts: the models that all other packages exchange."""

from gatling_sid.models.base import construct_trusted, replace_fields
from gatling_sid.models.tiers import SensitivityTier, TrustTier
from gatling_sid.models.tools import ToolParameter, ToolSchema
from gatling_sid.models.trace import (
    EMBEDDED_ORACLE,
    INTENTS,
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
    "EMBEDDED_ORACLE",
    "INTENTS",
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
