"""Judges traces by their content alone and does not trust what their oracle claims."""

from gatling_sid.validators.trace_validator import TraceValidator

__all__ = ["TraceValidator"]
