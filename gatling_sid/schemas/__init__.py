"""The catalogue: domains declared in YAML, loaded strictly."""

from gatling_sid.schemas.registry import DomainRegistry

__all__ = ["DomainRegistry"]
