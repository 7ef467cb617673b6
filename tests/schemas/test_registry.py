"""The catalogue as a whole: domains by any spelling of their name, handed out as copies, refused when bad."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.errors import CatalogueError, UnknownDomainError, UnknownToolError
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.catalogue import DomainFile
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.alternatives import alternatives_of
from gatling_sid.schemas.registry import CATALOGUE, file_problems
from gatling_sid.schemas.versions import version_of
from gatling_sid.schemas.yaml_loading import load_yaml, parse_yaml
from tests.support.domain_sample import sampled_domains

SOURCE = Path(__file__).parent.parent / "catalogue" / "library.yaml"
TEXT = SOURCE.read_text(encoding="utf-8")


def registry_of(folder: Path, **files: str) -> DomainRegistry:
    """A catalogue of these files."""
    for slug, text in files.items():
        (folder / f"{slug}.yaml").write_text(text, encoding="utf-8")
    return DomainRegistry(folder)


def edited(**changes: Any) -> str:
    """The library's file with some top-level keys changed, or removed where None."""
    content = {key: value for key, value in {**load_yaml(SOURCE), **changes}.items() if value is not None}
    return yaml.safe_dump(content, sort_keys=False)


@pytest.fixture
def names(tmp_path: Path) -> DomainRegistry:
    """A catalogue of which only names are ever read."""
    (tmp_path / "notes.txt").write_text("no domain")
    return registry_of(
        tmp_path,
        retail="name: Retail\n",
        ai_ml_operations='name: "AI/ML Operations"\n',
        e_commerce="name: E-commerce\n",
    )


def test_names_and_slugs(names: DomainRegistry) -> None:
    """Display names and config names are listed, each sorted."""
    assert names.get_all_domains() == ["AI/ML Operations", "E-commerce", "Retail"]
    assert names.slugs() == ["ai_ml_operations", "e_commerce", "retail"]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("AI/ML Operations", True),
        ("ai_ml_operations", True),
        ("ai/ml operations", True),
        (" Retail ", True),
        ("E-COMMERCE", True),
        ("ecommerce", False),
        ("retail.yaml", False),
        ("notes", False),
        ("../retail", False),
        ("", False),
    ],
)
def test_knows(names: DomainRegistry, name: str, known: bool) -> None:
    """A domain is known by display name or slug, in any case, and by nothing else."""
    assert names.has_domain(name) is known


@pytest.mark.parametrize("name", ["Library", "library", " LIBRARY "])
def test_a_domain_is_loaded_once(registry: DomainRegistry, library: Domain, name: str) -> None:
    """Whatever its spelling, a name leads to the one domain."""
    assert registry.domain(name) is library
    assert (library.name, library.slug) == ("Library", "library")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Retale", "no domain named 'Retale'; did you mean 'Retail'?"),
        ("ecommerce", "no domain named 'ecommerce'; did you mean 'E-commerce'?"),
        ("ai operations", "no domain named 'ai operations'; did you mean 'AI/ML Operations'?"),
        ("Zoology", "no domain named 'Zoology'; known are AI/ML Operations, E-commerce, Retail"),
    ],
)
def test_unknown_domains(names: DomainRegistry, name: str, text: str) -> None:
    """An unknown domain is an error that suggests the nearest name, whatever is asked of it."""
    for method in (names.domain, names.get_schemas_for_domain, names.get_policy_for_domain):
        with pytest.raises(UnknownDomainError) as caught:
            method(name)
        assert str(caught.value) == text


def test_tools(registry: DomainRegistry) -> None:
    """A tool is found by its full id; another id is an error that suggests the nearest."""
    assert registry.tool("library.get_loan").model_dump() == {
        "tool_id": "library.get_loan",
        "domain": "Library",
        "name": "get_loan",
        "description": "One loan.",
        "parameters": [
            {
                "name": "loan_id", "type": "string", "description": "Its number.", "required": True, "default": None,
                "constraints": {"minLength": 1},
            }
        ],
        "returns": {
            "type": "object",
            "properties": {
                **{name: {"type": ["string", "null"]} for name in ("loan_id", "title", "due_on", "state")},
                "renewals": {"type": ["integer", "null"]},
                "member_email": {"type": ["string", "null"]},
            },
        },
        "sensitivity": "internal",
        "requires_auth": True,
    }  # fmt: skip
    with pytest.raises(
        UnknownToolError, match=r"^no tool named 'library\.get_lone'; did you mean 'library\.get_loan'\?$"
    ):
        registry.tool("library.get_lone")
    for tool_id in ("libary.get_loan", "get_loan", "", "library"):
        with pytest.raises(UnknownToolError, match=f"^no tool named '{tool_id}'; "):
            registry.tool(tool_id)


def test_a_tool_says_whom_it_writes_to(registry: DomainRegistry) -> None:
    """The published recipient of a tool that writes to an addressee alone names the fields that hold the address."""
    recipient = registry.tool("library.mail_member").parameters[0]
    assert (recipient.name, recipient.description) == (
        "recipient",
        "Address. Only member_email of the loan it is about.",
    )


def test_schemas_are_in_the_order_of_the_file(registry: DomainRegistry) -> None:
    """Every tool of the file is published, under its full id."""
    ids = [schema.tool_id for schema in registry.get_schemas_for_domain("Library")]
    assert ids == [f"library.{name}" for name in load_yaml(SOURCE)["tools"]]


def test_what_is_handed_out_is_a_copy() -> None:
    """Editing a policy or a schema that was asked for changes nothing for the next call."""
    registry, fresh = DomainRegistry(SOURCE.parent), DomainRegistry(SOURCE.parent)
    policy, schemas = registry.get_policy_for_domain("Library"), registry.get_schemas_for_domain("Library")
    policy.rules.append("Everything goes.")
    policy.constraints[0].parameters["max_rows"] = 10**6
    policy.scope_limits["max_results"] = 10**6
    schemas[0].parameters[1].constraints["maximum"] = 10**6
    schemas[0].returns.clear()
    schemas.clear()
    assert registry.get_policy_for_domain("Library") == fresh.get_policy_for_domain("Library")
    assert registry.get_schemas_for_domain("Library") == fresh.get_schemas_for_domain("Library")


def test_a_tool_asked_for_by_id_is_a_copy() -> None:
    """Editing one tool's schema changes nothing for the next call."""
    registry = DomainRegistry(SOURCE.parent)
    registry.tool("library.get_loan").parameters.clear()
    assert registry.tool("library.get_loan") == DomainRegistry(SOURCE.parent).tool("library.get_loan")


FORMS = "needs exactly one of sequence, pool, template, prose, choice, integer, money, days_ago, days_ahead, days_after, time, minutes_after, ref, copy, chance, value, email, fraction_of, by, if_past"  # noqa: E501
TIERS = "Input should be 'public', 'internal', 'confidential' or 'restricted'"
KEYS_OF_FIELDS = (
    "type",
    "sensitivity",
    "trust",
    "stated_in",
    "lures",
    "populate",
    "currency",
    "words",
    "called",
    "said",
)
PRICE = {"type": "money", "populate": {"money": [5, 80]}}


def with_price(**changes: Any) -> str:
    """The library's file with another field `price` of books."""
    entities = load_yaml(SOURCE)["entities"]
    entities["book"]["fields"]["price"] = {**PRICE, **changes}
    return edited(entities=entities)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: a domain file begins with `name: Display Name`"),
        ("- name: Library", "line 1: a domain file begins with `name: Display Name`"),
        ("name: Library\nname: Zoo", "line 2: 'name' appears twice in the same mapping; remove one"),
        (f"{TEXT}\nrole: red", "role: Extra inputs are not permitted; did you mean 'roles'?"),
        (edited(tools=None), "tools: Field required"),
        (edited(description=["a"]), "description: Input should be a valid string"),
        (
            with_price(word={}),
            "entities.book.fields.price.word: Extra inputs are not permitted; did you mean 'words'?",
        ),
        (
            with_price(binding="red"),
            f"entities.book.fields.price.binding: Extra inputs are not permitted; known are {', '.join(sorted(KEYS_OF_FIELDS))}",
        ),
        (
            with_price(populate={"money": [1, 2], "rund": 5}),
            "entities.book.fields.price.populate.rund: Extra inputs are not permitted; did you mean 'round'?",
        ),
        (with_price(populate={"money": [1, 2], "chance": 1}), f"entities.book.fields.price.populate: {FORMS}"),
        (with_price(populate={"monkey": [1, 2]}), f"entities.book.fields.price.populate: {FORMS}"),
        (with_price(populate=5), f"entities.book.fields.price.populate: {FORMS}"),
        (
            with_price(populate={"days_ago": [1, 9_999_999]}),
            "entities.book.fields.price.populate.days_ago.1: Input should be less than or equal to 36500",
        ),
        (
            with_price(populate={"sequence": "B-{:099999999d}"}),
            "entities.book.fields.price.populate.sequence: 'B-{:099999999d}' needs one number such as {:04d}, of at most 12 digits",
        ),
        (
            with_price(populate={"time": ["8:00", "17:30"]}),
            "entities.book.fields.price.populate.time.0: '8:00' is not a time such as 09:30",
        ),
        (with_price(sensitivity="secret"), f"entities.book.fields.price.sensitivity: {TIERS}"),
    ],
    ids=lambda value: value[-60:],
)
def test_bad_files(tmp_path: Path, text: str, problem: str) -> None:
    """What is not a domain file is refused, naming file and key."""
    with pytest.raises(CatalogueError) as caught:
        registry_of(tmp_path, library=text).domain("library")
    assert str(caught.value) == f"library.yaml: {problem}"


def test_all_errors_of_form_are_listed(tmp_path: Path) -> None:
    """An author sees every key that is wrong, not only the first; a file without problems has none."""
    path = tmp_path / "library.yaml"
    path.write_text(with_price(colour="red", type="gold").replace("count: 40", "count: many", 1), encoding="utf-8")
    assert [where for where, _ in file_problems(path)] == [
        "entities.member.count",
        "entities.book.fields.price.type",
        "entities.book.fields.price.colour",
    ]
    path.write_text("- Library", encoding="utf-8")
    assert file_problems(path) == [("line 1", "a domain file is a mapping")]
    path.write_text(TEXT, encoding="utf-8")
    assert file_problems(path) == []


def test_a_key_of_a_scenario_is_suggested(tmp_path: Path) -> None:
    """A key is compared with those of the kind of draw or goal that its neighbours belong to."""
    scenarios = json.loads(json.dumps(load_yaml(SOURCE)["scenarios"]))
    scenarios["renew"]["draw"]["loan"]["were"] = {}
    scenarios["renew"]["goal"]["show"] = []
    path = tmp_path / "library.yaml"
    path.write_text(edited(scenarios=scenarios), encoding="utf-8")
    assert file_problems(path) == [
        ("scenarios.renew.draw.loan.were", "Extra inputs are not permitted; did you mean 'where'?"),
        ("scenarios.renew.goal.show", "Extra inputs are not permitted; did you mean 'shows'?"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("count: 40", "count: '40'", "entities.member.count"),
        ("count: 40", "count: true", "entities.member.count"),
        ("weight: 2", "weight: 2.0", "scenarios.renew.weight"),
        ("unique: true", "unique: 'yes'", "entities.member.fields.first_name.populate.unique"),
        ("sometimes: true", "sometimes: 1", "policy.rules.open_first.sometimes"),
    ],
)
def test_types_are_not_guessed(tmp_path: Path, old: str, new: str, where: str) -> None:
    """A value of another type is refused, not converted: quoted, `yes` is a word."""
    with pytest.raises(CatalogueError, match=f"^library.yaml: {where}"):
        registry_of(tmp_path, library=TEXT.replace(old, new, 1)).domain("Library")


@pytest.mark.parametrize(
    "text", ["", "description: x\nname: Library", "name:", "names: Library", "# a comment\nname: A"]
)
def test_a_file_begins_with_its_name(tmp_path: Path, text: str) -> None:
    """A file whose first line does not name its domain is refused when names are listed."""
    with pytest.raises(CatalogueError) as caught:
        registry_of(tmp_path, library=text).get_all_domains()
    assert str(caught.value) == "library.yaml: line 1: a domain file begins with `name: Display Name`"


@pytest.mark.parametrize(
    ("slug", "first"),
    [("library", "name: Library  # a small one"), ("library", "name: 'Library' "), ("zoo", "name: Library")],
)
def test_every_listed_name_leads_to_its_domain(tmp_path: Path, slug: str, first: str) -> None:
    """Names that are listed are those that can be asked for; a file that is called otherwise is refused."""
    try:
        registry = registry_of(tmp_path, **{slug: TEXT.replace("name: Library", first, 1)})
        names = registry.get_all_domains()
    except CatalogueError:
        return
    assert {name: registry.domain(name).name for name in names} == {"Library": "Library"}


def test_the_version_is_that_of_the_content(tmp_path: Path, library: Domain) -> None:
    """Comments, layout and pools that nothing uses change no version."""
    content = yaml.safe_load(TEXT)
    same = {
        "comment": f"{TEXT}# more\n",
        "layout": "name: Library\n"
        + yaml.safe_dump({k: v for k, v in content.items() if k != "name"}, sort_keys=False),
    }
    assert all(text != TEXT for text in same.values())
    for number, text in enumerate(same.values()):
        (folder := tmp_path / str(number)).mkdir()
        assert registry_of(folder, library=text).domain("library").version == library.version
    assert version_of(library.file, {**library.pools, "planets": ["Mars"]}, None, None) == library.version


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda file, _: file["entities"]["member"].update(count=file["entities"]["member"]["count"] + 1), "world"),
        (lambda file, _: next(iter(file["tools"].values())).update(description="It does something."), "world"),
        (lambda _, pools: pools.update(family_names=[*pools["family_names"], "Zyx"]), "world"),
        (lambda file, _: file["policy"].update(description="Another one."), "policy"),
        (lambda file, _: file["voice"]["closings"].append("So long."), "scenarios"),
        (lambda file, _: file.update(organisation="Another library."), "scenarios"),
        (lambda file, _: next(iter(file["scenarios"].values()))["phrasings"].reverse(), "scenarios"),
    ],
)
def test_a_version_tells_which_part_changed(library: Domain, edit: Callable[[Any, Any], None], part: str) -> None:
    """World, policy and scenarios have a digest each; an edit of one changes no other."""
    file, pools = yaml.safe_load(TEXT), dict(library.pools)
    edit(file, pools)
    other = version_of(DomainFile.model_validate_json(json.dumps(file)), pools, None, None)
    assert library.version.changed_parts(str(other)) == [part]


def test_no_version_of_another_form_is_the_same(library: Domain) -> None:
    """What is no version at all differs in every part."""
    assert library.version.changed_parts("a1b2c3") == ["world", "policy", "scenarios"]


def test_the_catalogue_that_ships() -> None:
    """Without a folder, the registry is of the domains that ship, each found by its display name."""
    registry = DomainRegistry()
    names = registry.get_all_domains()
    assert "Finance" in names
    assert len(set(names)) == len(names) == len(registry.slugs())
    assert [name for name in names if not registry.has_domain(name)] == []


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        (
            ("draw", "new_date"),
            {"days_from_today": [40, 10]},
            "draw.new_date.days_from_today: the range 40 to 10 is empty",
        ),
        (("draw", "new_date"), {"number": [9, 2]}, "draw.new_date.number: the range 9 to 2 is empty"),
        (("draw", "new_date"), {"choose": []}, "draw.new_date.choose: List should have at least 1 item"),
        (("draw", "new_date"), {"amount": [1, 2], "step": 0}, "draw.new_date.step: Input should be greater than 0"),
        (("draw", "new_date"), {"days_from_today": [0, 99_999_999]}, "Input should be less than or equal to 36500"),
        (("slots", "title"), {"a": "b"}, "slots.title"),
        (("roles",), [], "roles: List should have at least 1 item"),
    ],
)
def test_shapes_that_nothing_can_be_drawn_from(
    tmp_path: Path, place: tuple[str, ...], value: Any, problem: str
) -> None:
    """What could only fail when it is drawn is refused when it is loaded, with its key."""
    scenarios = json.loads(json.dumps(load_yaml(SOURCE)["scenarios"]))
    part = scenarios["renew"]
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    registry = registry_of(tmp_path, library=edited(scenarios=scenarios))
    with pytest.raises(CatalogueError, match=r"scenarios\.renew\.") as caught:
        registry.domain("library")
    assert problem in str(caught.value)


def test_a_folder_without_domains_is_named(tmp_path: Path) -> None:
    """The message names a mistyped folder, not an unknown domain."""
    with pytest.raises(
        CatalogueError, match=r"nowhere: has no domain files; name a folder with files such as hr\.yaml$"
    ):
        DomainRegistry(tmp_path / "nowhere").domain("library")


def test_no_two_domains_have_the_same_request_for_what_no_tool_does() -> None:
    """No two requests of a release are the same, and these are said in the words of the file alone."""
    sections = [
        parse_yaml(match[0], path.name)["unserved"]
        for path in sorted(CATALOGUE.rglob("*.yaml"))
        if (match := re.search(r"^unserved:.*?(?=^\w|\Z)", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
    ]
    requests = (request for section in sections for request in section.values())
    said = [text.casefold() for each in requests for verbs in each["says"] for text in alternatives_of(verbs)]
    assert len(sections) >= len(DomainRegistry().slugs())
    assert sorted(said) == sorted(set(said))


@pytest.mark.parametrize("slug", sampled_domains())
def test_columns_are_what_people_may_ask_for(slug: str) -> None:
    """No tool of a shipped domain returns a fact that only a text of the row states."""
    domain = DomainRegistry().domain(slug)
    offered, stated = 0, 0
    for name, entity in domain.file.entities.items():
        facts = {field for field, spec in entity.fields.items() if spec.stated_in is not None}
        stated += len(facts)
        for tool in (each for each in domain.file.tools.values() if each.entity == name):
            selected = [each for each in tool.parameters.values() if each.does == "select"]
            columns = {c for each in selected for c in domain.json_type(tool, each)[1]["items"]["enum"]}
            assert columns & facts == set()
            offered += len(columns)
    assert offered
    assert stated


def test_descriptions_name_the_fields_that_policies_guard() -> None:
    """Whoever reads the schemas alone can tell which fields a ceiling concerns."""
    schemas = {each.name: each.description for each in DomainRegistry().get_schemas_for_domain("IoT Management")}
    assert schemas["list_devices"].endswith("Confidential: ip_address. Restricted: network_key.")
