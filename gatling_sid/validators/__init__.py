"""Judges traces from their content alone; what their generator claims does not count."""

from gatling_sid.validators.trace_validator import TraceValidator

__all__ = ["TraceValidator"]
