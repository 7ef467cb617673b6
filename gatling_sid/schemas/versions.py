"""The version of a domain: what tells whether a trace was made with this very content."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Any, NamedTuple

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p

ENGINE_VERSION = 3
"""Version of the code that turns a catalogue into traces; raised whenever the same catalogue gives other traces."""
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class DomainVersion(NamedTuple):
    """One digest for each part of a domain that traces depend on, 8 hexadecimal digits each.

    `world` covers entities, tools, roles and the pools they use; `policy` the policy family; `scenarios` the scenarios and
    what people say around requests. Comments, layout, descriptions of the domain and unused pools are in none.
    """

    world: str
    policy: str
    scenarios: str

    def __str__(self) -> str:
        """The three digests as traces carry them in `metadata.catalogue`: `1f0c9a3e-7be2d1aa-9c55e012`."""
        return "-".join(self)

    def changed_parts(self, other: str) -> list[str]:
        """Names of the parts in which another version, written as text, differs; all if it is not of this form."""
        digests = other.split("-")
        if len(digests) != len(self):
            return list(self._fields)
        return [name for name, mine, theirs in zip(self._fields, self, digests, strict=True) if mine != theirs]


def version_of(file: c.DomainFile, pools: Mapping[str, Sequence[str]]) -> DomainVersion:
    """The version of a domain file with these pools, its own and the shared ones, by name."""
    used = {name: list(pools[name]) for name in sorted(set(_pools_used(file))) if name in pools}
    return DomainVersion(
        _digest(file, {"name", "entities", "tools", "roles"}, used),
        _digest(file, {"policy"}),
        _digest(file, {"scenarios", "voice"}),
    )


def _digest(file: c.DomainFile, sections: set[str], *more: Any) -> str:
    # Defaults are left out, so that a new optional word of the catalogue's form changes no version.
    content = file.model_dump_json(include=sections, exclude_defaults=True)
    return blake2b(repr((ENGINE_VERSION, content, *more)).encode(), digest_size=4).hexdigest()


def _pools_used(file: c.DomainFile) -> Iterator[str]:
    fields = chain.from_iterable(entity.fields.values() for entity in file.entities.values())
    return chain.from_iterable(_pools_of(field.populate) for field in fields)


def _pools_of(populate: Any) -> Iterator[str]:
    """Names of the pools that a declaration draws from; a template's placeholders may also be fields."""
    match populate:
        case p.PoolFill(pool=str(name)):
            yield name
        case p.TemplateFill(template=text):
            yield from _PLACEHOLDER.findall(text)
        case p.ByFieldFill(cases=cases, otherwise=otherwise):
            yield from chain.from_iterable(map(_pools_of, [*cases.values(), otherwise]))
        case p.IfPastFill(then=then, otherwise=otherwise):
            yield from chain(_pools_of(then), _pools_of(otherwise))
