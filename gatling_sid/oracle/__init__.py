"""Oracles: `ScenarioOracle`, embedded, and `OracleAgent`, Claude; each is imported when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatling_sid.agent import OracleAgent
    from gatling_sid.oracle.embedded.oracle import ScenarioOracle

__all__ = ["OracleAgent", "ScenarioOracle"]


def __getattr__(name: str) -> Any:
    """Imports late: the API's client takes a second to import, which the embedded oracle does not need."""
    match name:
        case "OracleAgent":
            from gatling_sid.agent import OracleAgent  # noqa: PLC0415

            return OracleAgent
        case "ScenarioOracle":
            from gatling_sid.oracle.embedded.oracle import ScenarioOracle  # noqa: PLC0415

            return ScenarioOracle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
