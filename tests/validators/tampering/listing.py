"""The kinds in `tampering.yaml`: the group of each, what it does, and the right verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gatling_sid.schemas.yaml_loading import load_yaml


class Kind(NamedTuple):
    """One kind of tampering; `verdict` is `refused` or, for a `reason`, `accepted`."""

    name: str
    group: str
    description: str
    verdict: str
    reason: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the trace is still gold afterwards."""
        return self.verdict == "accepted"


_FILE = Path(__file__).parent.parent / "tampering.yaml"
LISTED: Mapping[str, Kind] = {
    name: Kind(name, group, **entry) for group, kinds in load_yaml(_FILE).items() for name, entry in kinds.items()
}
