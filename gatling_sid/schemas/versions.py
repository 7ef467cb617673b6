"""The version of a domain, by which one sees whether a trace was made with the same content."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.language.shared_voice import SharedVoice
from gatling_sid.schemas.lure_forms import LureForms

ENGINE_VERSION = 11
"""Version of the code that turns a catalogue into traces; raised whenever the same catalogue gives other traces."""
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class DomainVersion(NamedTuple):
    """One digest for each part of a domain that traces depend on, 8 hexadecimal digits each.

    `world` covers the name, entities, tools, roles and the pools they use; `policy` the policy family; `scenarios` what
    is asked, and how the domain and its organisation are described. Comments, layout and unused pools change no digest.
    """

    world: str
    policy: str
    scenarios: str

    def __str__(self) -> str:
        """The three digests as traces carry them in `metadata.catalogue`: `1f0c9a3e-7be2d1aa-9c55e012`."""
        return "-".join(self)

    def changed_parts(self, other: str) -> list[str]:
        """Names of the parts in which another version, given as text, differs; all parts if the text has another form."""
        digests = other.split("-")
        if len(digests) != len(self):
            return list(self._fields)
        return [
            name
            for name, own_digest, other_digest in zip(self._fields, self, digests, strict=True)
            if own_digest != other_digest
        ]


def version_of(
    file: c.DomainFile,
    pools: Mapping[str, Sequence[str]],
    voice: SharedVoice | None,
    lure_forms: LureForms | None,
) -> DomainVersion:
    """The version of a domain file with these pools, its own and the shared ones, by name, and the shared texts it uses."""
    used = {name: list(pools[name]) for name in sorted(set(_pools_used(file, pools))) if name in pools}
    return DomainVersion(
        _digest(
            file,
            {"name", "entities", "tools", "roles", "lures"},
            used,
            *([lure_forms.model_dump_json()] if lure_forms else []),
        ),
        _digest(file, {"policy"}),
        _digest(
            file,
            {"description", "organisation", "parts", "scenarios", "voice", "unserved"},
            *([voice.model_dump_json()] if voice else []),
        ),
    )


def _digest(file: c.DomainFile, sections: set[str], *more: Any) -> str:
    # Defaults are left out, so that a new optional key of the catalogue's format changes no version.
    content = file.model_dump_json(include=sections, exclude_defaults=True)
    return blake2b(repr((ENGINE_VERSION, content, *more)).encode(), digest_size=4).hexdigest()


def _pools_used(file: c.DomainFile, pools: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for entity in file.entities.values():
        names = list(entity.fields)
        for position, field in enumerate(entity.fields.values()):
            found = [*_pools_of(field.populate, earlier_fields=names[:position])]
            yield from found
            yield from _pools_named_in(found, pools)


def _pools_named_in(names: Sequence[str], pools: Mapping[str, Sequence[str]]) -> set[str]:
    """The pools that the texts of these pools name, and so on."""
    known: set[str] = set()
    to_visit = [*names]
    while to_visit:
        name = to_visit.pop()
        if name in pools and name not in known:
            known.add(name)
            to_visit += p.names_in_prose(map(str, pools[name]))
    return known


def _pools_of(populate: Any, earlier_fields: Sequence[str]) -> Iterator[str]:
    """Names of the pools that a declaration draws from; a template takes a field of the row before a pool of that name."""
    match populate:
        case p.PoolFill(pool=str(name)):
            yield name
        case p.TemplateFill(template=text):
            yield from (name for name in _PLACEHOLDER.findall(text) if name not in earlier_fields)
        case p.ProseFill(prose=texts):
            yield from p.names_in_prose(texts)
        case p.ByFieldFill(cases=cases, otherwise=otherwise):
            for each in [*cases.values(), otherwise]:
                yield from _pools_of(each, earlier_fields)
        case p.IfPastFill(then=then, otherwise=otherwise):
            for each in (then, otherwise):
                yield from _pools_of(each, earlier_fields)
