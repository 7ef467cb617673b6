"""The oracles: `ScenarioOracle`, and `OracleAgent`, which asks Claude; they are imported at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatling_sid.agent import OracleAgent
    from gatling_sid.oracle.embedded.oracle import ScenarioOracle

__all__ = ["OracleAgent", "ScenarioOracle"]


def __getattr__(name: str) -> Any:
    """Imports a class when it is first used: importing the API's client takes a second that others should not wait."""
    match name:
        case "OracleAgent":
            from gatling_sid.agent import OracleAgent  # noqa: PLC0415

            return OracleAgent
        case "ScenarioOracle":
            from gatling_sid.oracle.embedded.oracle import ScenarioOracle  # noqa: PLC0415

            return ScenarioOracle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
