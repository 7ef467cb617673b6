"""Judging traces: nothing is called valid because a generator says so."""

from gatling_sid.validators.trace_validator import TraceValidator

__all__ = ["TraceValidator"]
