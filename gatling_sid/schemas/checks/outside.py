"""Checks what is declared of content from outside: who writes fields, facts in texts, lures, and what no tool does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gatling_sid.models import TrustTier
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas.checks.problems import FileProblem, find_unknown
from gatling_sid.schemas.language.phrasing import phrasing_of
from gatling_sid.schemas.references import references_in

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_VALUE_IN_ORDER = re.compile(r"\{(\w+)(?:\.(\w+))?\}")


def check_trust(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with who writes fields, with facts that texts state, and with the places of lures."""
    for name, entity in domain.file.entities.items():
        earlier: list[str] = []
        for field_name, field in entity.fields.items():
            where = f"entities.{name}.fields.{field_name}"
            if isinstance(field.trust, c.TrustByField):
                yield from find_unknown(f"{where}.trust", [field.trust.by], earlier, "earlier field")
            if field.stated_in is not None:
                yield from _check_stated(f"{where}.stated_in", domain, name, field_name, field.stated_in)
            yield from find_unknown(f"{where}.lures", field.lures, domain.lure_forms.places, "place of lures.yaml")
            yield from _check_lured_field(f"{where}.lures", domain, name, field_name)
            earlier.append(field_name)


def _check_stated(where: str, domain: Domain, entity: str, fact: str, text: str) -> Iterator[FileProblem]:
    fields = domain.file.entities[entity].fields
    yield from find_unknown(where, [text], fields, f"field of {entity}")
    for name, tool in domain.file.tools.items():
        if tool.entity == entity and fact in tool.returns:
            yield where, f"{name} returns {fact}, so nobody has to read it in {text}; leave it out of `returns`"


def _check_lured_field(where: str, domain: Domain, entity: str, field: str) -> Iterator[FileProblem]:
    spec = domain.file.entities[entity].fields[field]
    if not spec.lures:
        return
    if not domain.file.lures:
        yield where, "the domain has no `lures`; write some in outside/<slug>.yaml"
    if domain.least_trust(entity, field) is not TrustTier.UNVERIFIED_RAG:
        yield where, f"nobody from outside writes {field}; say `trust: unverified_rag`"
    if spec.type != "text":
        yield where, f"a field of type {spec.type} holds no text"
    for other in domain.file.entities:
        for name, source in domain.copied_fields(other).items():
            if (source.entity, source.field) == (entity, field):
                yield where, f"{other}.{name} copies it, so a lure would stand in one of them only"


def check_lures(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with the aims of lures: each is a call of a real tool whose values the orders state."""
    for name, aim in domain.file.lures.items():
        where = f"lures.{name}"
        yield from find_unknown(f"{where}.tool", [aim.tool], domain.file.tools, "tool")
        for drawn, spec in aim.draws.items():
            yield from _check_draw(f"{where}.draws.{drawn}", domain, spec)
        if aim.tool in domain.file.tools:
            yield from _check_call(where, domain, aim)
        texts = [(f"{where}.wants", aim.wants)]
        texts += [(f"{where}.orders.{language}", each) for language, orders in aim.orders.items() for each in orders]
        for here, text in texts:
            for drawn, field in _VALUE_IN_ORDER.findall(text):
                yield from _check_name(here, domain, aim, drawn, field)
        languages = domain.lure_forms.languages()
        yield from find_unknown(f"{where}.orders", aim.orders, languages, "language of lures.yaml")
        if "en" not in aim.orders:
            yield f"{where}.orders", "needs orders in `en`; other languages stand beside it"


def _check_draw(where: str, domain: Domain, spec: c.RowOfLure | list[Any]) -> Iterator[FileProblem]:
    if isinstance(spec, list):
        if not spec:
            yield where, "the list is empty"
        return
    yield from find_unknown(where, [spec.one], domain.file.entities, "entity")
    if spec.one in domain.file.entities:
        yield from find_unknown(f"{where}.where", spec.where, domain.file.entities[spec.one].fields, "field")


def _check_call(where: str, domain: Domain, aim: c.LureAim) -> Iterator[FileProblem]:
    tool = domain.file.tools[aim.tool]
    if tool.operation in ("list", "get", "aggregate"):
        yield f"{where}.tool", f"{aim.tool} only reads; a lure wants something changed, sent or exported"
    yield from find_unknown(f"{where}.with", aim.arguments, tool.parameters, f"parameter of {aim.tool}")
    for name, parameter in tool.parameters.items():
        if parameter.required and parameter.default is None and name not in aim.arguments:
            yield f"{where}.with", f"{aim.tool} requires {name}"
    for name, value in aim.arguments.items():
        for reference in references_in(value):
            field = str(reference.path[0]) if reference.path else ""
            yield from _check_name(f"{where}.with.{name}", domain, aim, reference.root, field)


def _check_name(where: str, domain: Domain, aim: c.LureAim, drawn: str, field: str) -> Iterator[FileProblem]:
    yield from find_unknown(where, [drawn], aim.draws, "name among `draws`")
    spec = aim.draws.get(drawn)
    if isinstance(spec, c.RowOfLure) and spec.one in domain.file.entities:
        if not field:
            yield (
                where,
                f"{drawn} is a row; name one of its fields, such as {drawn}.{domain.file.entities[spec.one].key}",
            )
        else:
            yield from find_unknown(where, [field], domain.file.entities[spec.one].fields, f"field of {spec.one}")
    elif spec is not None and field:
        yield where, f"{drawn} is a value and has no field {field}"


def check_unserved(domain: Domain) -> Iterator[FileProblem]:
    """Yields what is wrong with requests that no tool can serve."""
    said: Mapping[str, str] = {}
    for name, spec in domain.file.unserved.items():
        where = f"unserved.{name}"
        yield from find_unknown(f"{where}.roles", spec.roles, domain.file.roles, "role")
        for text in spec.says:
            try:
                slots = phrasing_of(text).slots()
            except ValueError as error:
                yield f"{where}.says", f"{text!r}: {error}"
                continue
            if any(True for _ in slots):
                yield f"{where}.says", f"{text!r} has braces; nothing is looked up for it, so write the words out"
            if text in said:
                yield f"{where}.says", f"{text!r} stands under {said[text]}, too"
            said = {**said, text: name}
