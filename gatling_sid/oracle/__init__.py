"""Oracles: `ScenarioOracle`, embedded, and `OracleAgent`, Claude; each is imported when it is first named."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatling_sid.oracle.agent import OracleAgent
    from gatling_sid.oracle.scenario import ScenarioOracle

__all__ = ["OracleAgent", "ScenarioOracle"]
_WHERE = {"OracleAgent": "gatling_sid.oracle.agent", "ScenarioOracle": "gatling_sid.oracle.scenario"}


def __getattr__(name: str) -> Any:
    """The embedded path never pays for the API's client, which takes a second to import."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
