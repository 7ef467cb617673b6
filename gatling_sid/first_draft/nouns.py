"""What is known about an entity of a draft: its nouns, and which of its fields serve which purpose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from gatling_sid.models import SensitivityTier
from gatling_sid.schemas import catalogue as c
from gatling_sid.schemas import population as p
from gatling_sid.schemas.language.nouns import plural_of
from gatling_sid.schemas.language.wording import plain_words

NUMBERS = ("money", "integer", "number")
_NAMES = ("name", "title", "subject", "label")
_ENDING = re.compile(r"_(?:id|on|at)$")


class DraftEntity:
    """An entity of a draft, with the fields that tools and phrases are made of."""

    def __init__(self, slug: str, spec: c.Entity, staff: str) -> None:
        """Takes the entity as the author declared it; `staff` is the entity of the people who ask."""
        self.slug, self.spec, self._staff = slug, spec, staff
        self.noun, self.plural = next(iter(spec.noun.items()), (plain_words(slug), plural_of(plain_words(slug))))
        self.many = plural_of(slug)
        self._words = self._name_fields()

    @property
    def is_staff(self) -> bool:
        """Whether its rows are the people who ask."""
        return self.slug == self._staff

    def words(self, field: str) -> str:
        """What people call a field; no two fields of the entity are called the same."""
        return self._words[field]

    def _name_fields(self) -> dict[str, str]:
        fields = self.spec.fields
        named = {name: field.called[0] for name, field in fields.items() if field.called}
        taken = {words.casefold() for field in fields.values() for words in field.called}
        for name, field in fields.items():
            if name not in named:
                words = f"{self.noun} number" if name == self.spec.key else plain_words(_ENDING.sub("", name))
                words += " date" if field.type == "date" and "date" not in words.split() else ""
                named[name] = plain_words(name) if words.casefold() in taken else words
                taken.add(named[name].casefold())
        return named

    @cached_property
    def columns(self) -> list[str]:
        """The fields that people ask to see; keys, references and what other fields are made of are none of them."""
        fills = [fill for name in self.spec.fields for fill in self._fills(name)]
        made_of = {
            each for fill in fills if isinstance(fill, (p.TemplateFill, p.EmailFill)) for each in p.fields_read(fill)
        }
        return [n for n, f in self.spec.fields.items() if f.type not in ("id", "ref") and n not in made_of]

    def is_open(self, field: str) -> bool:
        """Whether everybody may see a field, so that tools show it and requests speak of it."""
        return self.spec.fields[field].sensitivity.rank <= SensitivityTier.INTERNAL.rank

    @cached_property
    def name_field(self) -> str | None:
        """The field by which people single out a row, beside its key."""
        texts = [
            n
            for n, f in self.spec.fields.items()
            if f.type in ("text", "person") and not self._is_copy(n) and self.is_open(n)
        ]
        declared = [each for each in texts if each in _NAMES]
        unique = [each for each in texts if any(getattr(fill, "unique", False) for fill in self._fills(each))]
        return next(iter((*declared, *unique)), None)

    def of_type(self, *types: str) -> list[str]:
        """The open fields of some types, in the order of the file; the key is none of them."""
        fields = self.spec.fields.items()
        return [n for n, f in fields if f.type in types and self.is_open(n) and n != self.spec.key]

    @cached_property
    def references(self) -> dict[str, str]:
        """The entities that the reference fields point to, by field."""
        found = {name: self._fills(name) for name, field in self.spec.fields.items() if field.type == "ref"}
        return {n: fill.ref for n, fills in found.items() for fill in fills if isinstance(fill, p.ReferenceFill)}

    @cached_property
    def owner(self) -> str | None:
        """The field that refers to the colleague to whom a row belongs."""
        return next((field for field, entity in self.references.items() if entity == self._staff), None)

    @cached_property
    def address(self) -> str | None:
        """The field with the address of the person whom a row concerns; nobody writes to the colleague who has it."""
        fills = {name: self._fills(name) for name in self.of_type("email")}
        of_owner = (f"{self.owner}.",) if self.owner else ()
        others = [
            n
            for n, f in fills.items()
            if not any(isinstance(e, p.CopyFill) and e.copy_of.startswith(of_owner) for e in f)
        ]
        return next(iter(others), None) if not self.is_staff else None

    def is_settable(self, field: str) -> bool:
        """Whether a tool may change a field: it is filled by itself, and has values that can be drawn."""
        spec = self.spec.fields[field]
        is_choice = spec.type == "choice" and len(self.choices(field)) > 1
        return (
            not self.is_staff and not self._is_copy(field) and (is_choice or spec.type in ("money", "integer", "date"))
        )

    def choices(self, field: str) -> list[str]:
        """The values of a choice field."""
        values: dict[str, None] = {}
        for fill in self._fills(field):
            if isinstance(fill, p.ChoiceFill):
                values |= dict.fromkeys(fill.choice)
            elif isinstance(fill, p.PoolFill) and isinstance(fill.pool, list):
                values |= dict.fromkeys(str(each) for each in fill.pool if each is not None)
        return list(values)

    def range_of(self, field: str) -> tuple[float, float]:
        """The lowest and the highest number of a field, as far as the file tells."""
        ends = [end for fill in self._fills(field) for end in _ends(fill)]
        return (min(ends), max(ends)) if ends else (1, 100)

    def days_of(self, field: str) -> tuple[bool, bool]:
        """Whether the days of a date lie before today, and whether they lie after it."""
        fills = self._fills(field)
        return (
            any(isinstance(each, (p.DaysAgoFill, p.DaysAfterFill)) for each in fills),
            any(isinstance(each, (p.DaysAheadFill, p.DaysAfterFill)) for each in fills),
        )

    def _is_copy(self, field: str) -> bool:
        return any(isinstance(each, p.CopyFill) for each in self._fills(field))

    def _fills(self, field: str) -> list[Any]:
        return list(p.simple_fills(self.spec.fields[field].populate))


def _ends(fill: Any) -> Iterator[float]:
    match fill:
        case p.MoneyFill(money=ends) | p.IntegerFill(integer=ends):
            yield from ends
