"""The content of a domain file: `<slug>.yaml`, and what `outside/<slug>.yaml` beside it continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas.catalogue import CONTINUED
from gatling_sid.schemas.yaml_loading import parse_yaml_bytes, read_bytes


def continuation_of(path: Path) -> Path:
    """Where a domain file may be continued; most of what stands there is what outsiders write."""
    return path.parent / "outside" / path.name


def read_domain_bytes(path: Path) -> tuple[bytes, bytes]:
    """The bytes of a domain file and of its continuation, empty if it has none. Raises CatalogueError."""
    continuation = continuation_of(path)
    return read_bytes(path), read_bytes(continuation) if continuation.exists() else b""


def parse_domain(file: bytes, continuation: bytes, slug: str) -> Any:
    """The content of a domain file with its continuation.

    Raises:
        CatalogueError: one of them is not YAML, or the continuation has a key that it may not have, or has twice.

    """
    content, name = parse_yaml_bytes(file, f"{slug}.yaml"), f"outside/{slug}.yaml"
    more = parse_yaml_bytes(continuation, name) if continuation else {}
    if not isinstance(content, dict) or not more:
        return content
    if not isinstance(more, dict) or not more.keys() <= {*CONTINUED}:
        raise CatalogueError(name, "", f"is a mapping that has only the keys {', '.join(CONTINUED)}")
    for section, entries in more.items():
        known = content.get(section) or {}
        if not isinstance(entries, dict) or not isinstance(known, dict):
            raise CatalogueError(name, section, "is a mapping")
        for key in entries.keys() & known.keys():
            raise CatalogueError(name, f"{section}.{key}", f"stands in {slug}.yaml, too; remove one of them")
    return content | {section: (content.get(section) or {}) | entries for section, entries in more.items()}


def read_domain_content(path: Path) -> Any:
    """The content of a domain file with its continuation. Raises CatalogueError if it cannot be read."""
    return parse_domain(*read_domain_bytes(path), path.stem)


def copy_continuation(path: Path, copy: Path) -> None:
    """Copies the continuation of a domain file, if it has one, beside a copy of the file."""
    if continuation_of(path).exists():
        continuation_of(copy).parent.mkdir(exist_ok=True)
        continuation_of(copy).write_bytes(continuation_of(path).read_bytes())
