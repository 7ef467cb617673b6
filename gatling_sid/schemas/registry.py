"""The catalogue as a whole: lists the domains, and loads each when it is first needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from gatling_sid.errors import CatalogueError, UnknownDomainError, UnknownToolError
from gatling_sid.instance_or_class_method import InstanceOrClassMethod
from gatling_sid.models import SystemPolicy, ToolSchema
from gatling_sid.schemas.borrowing import LenderFile, borrowing_problems, sections_of_lender, with_borrowed_tools
from gatling_sid.schemas.catalogue import DomainFile
from gatling_sid.schemas.checks.domain_checks import domain_problems
from gatling_sid.schemas.checks.problems import FileProblem
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.domain_content import parse_domain, read_domain_bytes, read_domain_content
from gatling_sid.schemas.form_errors import form_problems
from gatling_sid.schemas.language.alternatives import expanded
from gatling_sid.schemas.language.shared_voice import parse_shared_voice
from gatling_sid.schemas.lure_forms import parse_lure_forms
from gatling_sid.schemas.yaml_loading import parse_yaml_bytes, read_bytes

CATALOGUE = Path(__file__).parent / "domains"
POOLS = Path(__file__).parent / "pools.yaml"
VOICE = Path(__file__).parent / "voice.yaml"
LURES = Path(__file__).parent / "lures.yaml"


class _SharedFiles(NamedTuple):
    """The files that all domains use, as bytes."""

    pools: bytes
    voice: bytes
    lures: bytes


class _Lender(NamedTuple):
    """A domain of which another one borrows tools, as the bytes of its file."""

    slug: str
    file: bytes


class DomainRegistry:
    """The domains of a catalogue folder (by default the one that ships), found by display name or slug.

    The three `get_…` methods work on the class too: `DomainRegistry.get_policy_for_domain("Finance")`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Lists the files of `folder`; each is read when it is first needed."""
        self._folder = folder or CATALOGUE
        self._files = {path.stem: path for path in sorted(self._folder.glob("*.yaml"))}
        self._domains: dict[str, Domain] = {}
        self._slugs: dict[str, str] = {}

    @classmethod
    def of_domain(cls, domain: Domain) -> DomainRegistry:
        """A registry of one domain, as it is, for trying the draft of a file that does not load yet."""
        registry = cls(Path(domain.slug))
        registry._files = {domain.slug: Path(f"{domain.slug}.yaml")}
        registry._names = {domain.slug: domain.name}
        registry._domains = {domain.slug: domain}
        return registry

    @cached_property
    def _names(self) -> dict[str, str]:
        """The display name of each domain, by slug; no two domains can be meant by the same name."""
        names = {slug: _display_name(path) for slug, path in self._files.items()}
        for slug in names:
            _refuse_shared_name(slug, names)
        return names

    @InstanceOrClassMethod
    def get_all_domains(self) -> list[str]:
        """The display names of all domains, sorted."""
        return sorted(self._names.values())

    def slugs(self) -> list[str]:
        """The slugs of all domains, sorted; the slug of Cloud Infrastructure is `cloud_infrastructure`."""
        return list(self._files)

    @InstanceOrClassMethod
    def get_schemas_for_domain(self, domain: str) -> list[ToolSchema]:
        """The tools of a domain. Raises UnknownDomainError."""
        return [schema.model_copy(deep=True) for schema in self.domain(domain).schemas]

    @InstanceOrClassMethod
    def get_policy_for_domain(self, domain: str) -> SystemPolicy:
        """The default member of a domain's policy family. Raises UnknownDomainError."""
        return self.domain(domain).family.default_policy.model_copy(deep=True)

    def domain(self, name: str) -> Domain:
        """The domain that has this display name or slug.

        Raises:
            UnknownDomainError: no domain has this name; suggests the most similar name, or lists all names.
            CatalogueError: its file is not acceptable.

        """
        slug = self.slug_of(name)
        if slug not in self._domains:
            self.check_name(slug)
            self._domains[slug] = load_domain(self._files[slug])
        return self._domains[slug]

    def check_name(self, slug: str) -> None:
        """Raises CatalogueError, which names both files, if another domain could be meant by the name of this one."""
        others = {each: _display_name_or_slug(path) for each, path in self._files.items() if each != slug}
        _refuse_shared_name(slug, {slug: _display_name(self._files[slug]), **others})

    def slug_of(self, name: str) -> str:
        """The slug of the domain with this display name or slug; its file is not loaded.

        Raises:
            UnknownDomainError: no domain has this name; suggests the most similar name, or lists all names.
            CatalogueError: there are no domains at all.

        """
        if not self._files:
            raise CatalogueError(str(self._folder), "", "has no domain files; name a folder with files such as hr.yaml")
        slug = self._slug(name)
        if slug is None:
            raise UnknownDomainError(name, self._names.values())
        return slug

    def digest_on_disk(self, slug: str) -> str:
        """The version of a domain by the present content of its files, even if it was loaded before they changed.

        Raises:
            CatalogueError: a file cannot be read.

        """
        return load_domain(self._folder / f"{slug}.yaml").digest

    def has_domain(self, name: str) -> bool:
        """Whether there is a domain with this display name or slug."""
        return self._slug(name) is not None

    def _slug(self, name: str) -> str | None:
        if name not in self._slugs:
            plain = _plain(name)
            if plain not in self._files:
                plain = next((slug for slug, display in self._names.items() if plain == _plain(display)), "")
            if not plain:
                return None
            self._slugs[name] = plain
        return self._slugs[name]

    def tool(self, tool_id: str) -> ToolSchema:
        """The tool that has this full id. Raises UnknownToolError."""
        slug = tool_id.partition(".")[0]
        found = [t for t in self.domain(slug).schemas if t.tool_id == tool_id] if self.has_domain(slug) else []
        if not found:
            known = self.domain(slug).tools if self.has_domain(slug) else [f"{each}.…" for each in self._files]
            raise UnknownToolError(tool_id, known)
        return found[0].model_copy(deep=True)


def _plain(name: str) -> str:
    return re.sub(r"[ /_-]+", "_", name.strip().casefold())


def _display_name(path: Path) -> str:
    """The `name:` of a domain file, which must be its first line, so that the rest need not be read."""
    try:
        with path.open(encoding="utf-8") as file:
            first = yaml.safe_load(file.readline())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        first = None
    if not isinstance(first, dict) or not isinstance(first.get("name"), str):
        raise CatalogueError(path.name, "line 1", "a domain file begins with `name: Display Name`")
    return str(first["name"])


def _display_name_or_slug(path: Path) -> str:
    """The display name of a domain file or, where it has none yet, the slug, so that its neighbours can be used."""
    try:
        return _display_name(path)
    except CatalogueError:
        return path.stem


def _refuse_shared_name(slug: str, names: Mapping[str, str]) -> None:
    """Raises CatalogueError if the name or slug of a domain is, written plainly, that of another one, too."""
    for other, name in names.items():
        if other != slug and not {slug, _plain(names[slug])}.isdisjoint({other, _plain(name)}):
            problem = (
                f"{names[slug]!r} could also mean {other}.yaml, whose name is {name!r}; give one of them another name"
            )
            raise CatalogueError(f"{slug}.yaml", "name", problem)


@lru_cache(maxsize=1)
def _pools_of(content: bytes) -> dict[str, list[str]]:
    return {str(name): expanded(map(str, values)) for name, values in parse_yaml_bytes(content, POOLS.name).items()}


def load_domain(path: Path) -> Domain:
    """Reads and checks one domain file; the same bytes give the same `Domain` object.

    Raises:
        CatalogueError: names the file and the key of the first thing that is wrong.

    """
    file, continuation = read_domain_bytes(path)
    lenders = _read_lenders(_content_of(path.stem, file, continuation), path.parent)
    return _domain_of(path.stem, file, continuation, lenders, _read_shared_files())


def _read_shared_files() -> _SharedFiles:
    return _SharedFiles(read_bytes(POOLS), read_bytes(VOICE), read_bytes(LURES))


@lru_cache(maxsize=256)
def _content_of(slug: str, file: bytes, continuation: bytes) -> Any:
    """The content of these bytes, which nobody may change."""
    return parse_domain(file, continuation, slug)


def _read_lenders(content: object, folder: Path) -> tuple[_Lender, ...]:
    """The files of the domains of which this one borrows, in its own folder or else in the catalogue that ships."""
    borrows = content.get("borrows") if isinstance(content, dict) else None
    paths = [folder / f"{slug}.yaml" for slug in borrows] if isinstance(borrows, dict) else []
    found = [path if path.exists() else CATALOGUE / path.name for path in paths]
    return tuple(_Lender(path.stem, read_bytes(path)) for path in found if path.exists())


@lru_cache(maxsize=64)
def _file_of(lender: _Lender) -> LenderFile:
    """What is read of a lender's file. Raises CatalogueError if it has not the form of a domain file."""
    content = parse_yaml_bytes(sections_of_lender(lender.file), f"{lender.slug}.yaml")
    try:
        return LenderFile.model_validate_json(json.dumps(content))
    except ValidationError as error:
        where, problem = form_problems(error, LenderFile, content)[0]
        raise CatalogueError(f"{lender.slug}.yaml", where, problem) from None


@lru_cache(maxsize=256)
def _domain_of(
    slug: str, file: bytes, continuation: bytes, lenders: tuple[_Lender, ...], shared: _SharedFiles
) -> Domain:
    """The domain that these bytes describe; memoised by the bytes, so an edited file gives another `Domain`."""
    found = _domain_with(slug, _content_of(slug, file, continuation), lenders, shared)
    problems = domain_problems(found) if isinstance(found, Domain) else found
    for where, problem in problems:
        raise CatalogueError(f"{slug}.yaml", where, problem)
    assert isinstance(found, Domain)
    return found


def read_domain_file(path: Path) -> DomainFile:
    """The content of a domain file, whose form is right but which is not checked further.

    Raises:
        CatalogueError: the file cannot be read, or has not the form of a domain file.

    """
    content = read_domain_content(path)
    try:
        return DomainFile.model_validate_json(json.dumps(content))
    except ValidationError as error:
        where, problem = form_problems(error, DomainFile, content)[0]
        raise CatalogueError(path.name, where, problem) from None


def file_problems(path: Path) -> list[FileProblem]:
    """All problems of a domain file: those of its form or, if it has none, those of its content.

    Raises:
        CatalogueError: the file cannot be read, or is not YAML.

    """
    found = domain_of_content(path.stem, _content_of(path.stem, *read_domain_bytes(path)), path.parent)
    return list(domain_problems(found)) if isinstance(found, Domain) else found


def domain_of_content(slug: str, content: object, folder: Path = CATALOGUE) -> Domain | list[FileProblem]:
    """The domain that the content of a file in `folder` describes, unchecked, or what is wrong with its form."""
    return _domain_with(slug, content, _read_lenders(content, folder), _read_shared_files())


def _domain_with(
    slug: str, content: object, lenders: Iterable[_Lender], shared: _SharedFiles
) -> Domain | list[FileProblem]:
    if not isinstance(content, dict):
        return [("line 1", "a domain file is a mapping")]
    try:
        file = DomainFile.model_validate_json(json.dumps(content))
    except ValidationError as error:
        return form_problems(error, DomainFile, content)
    files = {each.slug: _file_of(each) for each in lenders}
    problems = list(borrowing_problems(file, files))
    if problems:
        return problems
    voice, lure_forms = parse_shared_voice(shared.voice, VOICE.name), parse_lure_forms(shared.lures, LURES.name)
    lender_names = {slug: each.name for slug, each in files.items()}
    return Domain(slug, with_borrowed_tools(file, files), _pools_of(shared.pools), voice, lure_forms, lender_names)
