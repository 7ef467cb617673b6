"""What a well-formed domain file may still get wrong, one edit at a time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas import DomainRegistry, consistency, scenario_consistency
from gatling_sid.schemas.constraints import KINDS
from gatling_sid.schemas.registry import POOLS
from gatling_sid.schemas.yaml_loading import load_yaml

LIBRARY = load_yaml(Path(__file__).parent.parent / "catalogue" / "library.yaml")
GONE = object()
MEMBER = "card_number, email, fines, first_name, job, member_id, name"
LOAN = "book_id, due_on, lent_on, loan_id, member_email, member_id, renewals, state, title"
ENTITIES, ROLES = "book, loan, member, reminder", "director, librarian"
AXES = "director_tier, lookback, max_rows, targets"
TOOLS = ", ".join(sorted(LIBRARY["tools"]))
RULES = ", ".join(sorted(LIBRARY["policy"]["rules"]))
NAMED_POOLS = ", ".join(sorted([*load_yaml(POOLS), "titles"]))
STATED = "Renew {title}, {state:out}, till {date}"

# Where the file is edited, to what, and what is then said: of which key, which problem.
CASES: list[tuple[str, Any, str, str]] = [
    ("entities.member.key", "number", "", f"no field named 'number'; known are {MEMBER}"),
    ("entities.member.fields.job.words", {"reader": ["reader"], "clerk": ["clerk"]}, "", "no value named 'clerk'; known are director, librarian, reader"),
    ("entities.book.fields.title.populate", {"pool": "tiles"}, "entities.book.fields.title", f"no pool named 'tiles'; known are {NAMED_POOLS}"),
    ("entities.book.fields.book_id.populate", {"template": "{isbn}"}, "entities.book.fields.book_id", f"no pool or earlier field named 'isbn'; known are {NAMED_POOLS}"),
    ("entities.book.fields.price.populate", {"days_after": "bought", "days": [1, 2]}, "entities.book.fields.price", "no earlier field named 'bought'; known are book_id, shelf, title"),
    ("entities.book.fields.price.populate", {"fraction_of": "price", "between": [0, 1]}, "entities.book.fields.price", "no earlier field named 'price'; known are book_id, shelf, title"),
    ("entities.member.fields.email.populate.email", ["nickname"], "entities.member.fields.email", "no earlier field named 'nickname'; known are first_name, member_id, name"),
    ("entities.reminder.fields.loan_id.populate.ref", "reminder", "entities.reminder.fields.loan_id", "no entity above named 'reminder'; known are book, loan, member"),
    ("entities.reminder.fields.loan_id.populate.where", {"age": 1}, "entities.reminder.fields.loan_id", f"no field of loan named 'age'; known are {LOAN}"),
    ("entities.book.fields.price.populate", {"by": "size", "cases": {}}, "entities.book.fields.price", "no earlier field named 'size'; known are book_id, shelf, title"),
    ("entities.book.fields.price.populate", {"by": "shelf", "cases": {"north": {"pool": "x"}}}, "entities.book.fields.price", f"no pool named 'x'; known are {NAMED_POOLS}"),
    ("entities.book.fields.price.populate", {"if_past": "due", "then": None}, "entities.book.fields.price", "no earlier field named 'due'; known are book_id, shelf, title"),
    ("entities.loan.fields.state.populate.otherwise", {"pool": "x"}, "entities.loan.fields.state", f"no pool named 'x'; known are {NAMED_POOLS}"),
    ("entities.loan.fields.due_on.populate", {"copy": "lent_on.title"}, "entities.loan.fields.due_on", "copy needs `reference_field.field`, and 'lent_on' is no earlier field of type ref"),
    ("entities.loan.fields.title.populate.copy", "book_id.name", "entities.loan.fields.title", "no field named 'name'; known are book_id, price, shelf, title"),
    ("tools.get_loan.entity", "lending", "", f"no entity named 'lending'; known are {ENTITIES}"),
    ("tools.get_loan.returns", ["loan_id", "shelf"], "", f"no field of loan named 'shelf'; known are {LOAN}"),
    ("tools.close_loans.sets", {"status": "returned"}, "", f"no field of loan named 'status'; known are {LOAN}"),
    ("tools.delete_loan.requires", {"status": ["returned"]}, "", f"no field of loan named 'status'; known are {LOAN}"),
    ("tools.list_loans.order", "-loaned_on", "", f"no field of loan named 'loaned_on'; known are {LOAN}"),
    ("tools.renew_loan.returns", GONE, "", "a tool that does update must say which fields it returns"),
    ("tools.get_loan.parameters", {}, "", "get needs a parameter that does key"),
    ("tools.close_loans.parameters", {}, "", "update needs a parameter that does key or keys"),
    ("tools.delete_loan.parameters", {}, "", "delete needs a parameter that does key or keys"),
    ("tools.export_loans.parameters", {}, "", "export needs a parameter that does target"),
    ("tools.mail_member.parameters", {}, "", "send needs a parameter that does recipient"),
    ("tools.write_reminder.parameters", {}, "", "create needs a parameter that does set"),
    ("tools.list_loans.parameters.member_id.field", "borrower", "", f"no field of loan named 'borrower'; known are {LOAN}"),
    ("tools.get_loan.parameters.loan_id.required", False, "tools.get_loan.parameters.loan_id", "a parameter that does key must be required"),
    ("tools.export_loans.parameters.target.values", GONE, "tools.export_loans.parameters.target", "a target needs its values, narrowest audience first"),
    ("tools.count_loans.parameters.measure.default", "median", "tools.count_loans.parameters.measure", "the default 'median' is not one of the values"),
    ("tools.list_loans.parameters.most", {"does": "limit", "description": "Most."}, "tools.list_loans.parameters", "2 parameters do limit"),
    ("roles.librarian.entity", "staff", "roles.librarian", f"no entity named 'staff'; known are {ENTITIES}"),
    ("roles.librarian.where", {"title": "librarian"}, "", f"no field of member named 'title'; known are {MEMBER}"),
    ("roles.director.attributes", ["member_id", "age"], "", f"no field of member named 'age'; known are {MEMBER}"),
    ("voice.openings", ["Hi,"] * 12, "", "needs at least 12 different texts, has 1"),
    ("voice.closings.3", "Cheers, {who}.", "voice.closings", "'Cheers, {who}.' must be plain text without slots or surrounding blanks"),
    ("voice.openings.0", "Hi, ", "voice.openings", "'Hi, ' must be plain text without slots or surrounding blanks"),
    ("policy.vary.max_rows", [20], "", "needs two or more values"),
    ("policy.rules.rows.kind", "rows", "", f"no kind of constraint named 'rows'; known are {', '.join(sorted(KINDS))}"),
    ("policy.rules.rows.says", "At most {rows}.", "", f"no axis named 'rows'; known are {AXES}"),
    ("policy.rules.ceiling.with.roles", ["clerk"], "policy.rules.ceiling.with", f"no role named 'clerk'; known are {ROLES}"),
    ("policy.rules.open_first.with.tools", ["extend"], "policy.rules.open_first.with", f"no tool named 'extend'; known are {TOOLS}"),
    ("policy.rules.tell.with.notify", "write", "policy.rules.tell.with", f"no tool named 'write'; known are {TOOLS}"),
    ("policy.rules.open_first.with.entity", "lending", "policy.rules.open_first.with", f"no entity named 'lending'; known are {ENTITIES}"),
    ("policy.rules.open_first.with.fields", ["age"], "policy.rules.open_first.with", f"no field of loan named 'age'; known are {LOAN}"),
    ("policy.rules.tell.with.recipient_field", "age", "policy.rules.tell.with", f"no field of loan named 'age'; known are {LOAN}"),
    ("policy.rules.one", {"says": "x", "kind": "argument_required", "with": {"tools": ["get_loan"], "argument": "id"}}, "policy.rules.one.with", "no parameter of get_loan named 'id'; known are loan_id"),
    ("policy.rules.one", {"says": "x", "kind": "narrowed_by", "with": {"tools": ["get_loan"], "arguments": ["id"]}}, "policy.rules.one.with", "no parameter of get_loan named 'id'; known are loan_id"),
    ("policy.rules.own", {"says": "x", "kind": "not_own", "with": {"entity": "loan", "field": "title", "attribute": "card"}}, "policy.rules.own.with", "no attribute of librarian named 'card'; known are email, member_id, name"),
    ("policy.rules.rows.with.max_rows", "$policy.rows", "policy.rules.rows.with", f"no axis named 'rows'; known are {AXES}"),
    ("policy.rules.rows.with.max_rows", "$request.rows", "policy.rules.rows.with", "$request.rows must be $policy.<axis>"),
    ("policy.rules.rows.with", {"max_rows": 5, "most": 5}, "policy.rules", "constraint 'rows' (row_limit): most: Extra inputs are not permitted"),
    ("policy.rules.rows.with", {}, "policy.rules", "constraint 'rows' (row_limit): max_rows: Field required"),
    ("policy.vary.lookback.2", "long", "policy.rules", "constraint 'history' (time_range): max_days: Input should be a valid integer, unable to parse string as an integer"),
    ("entities.loan.fields.state.words.returned", ["Out"], "loan.state", "'Out' says both 'out' and 'returned'"),
    ("scenarios.remind.phrasings.0", "{title} {text} {state:returned}", "loan.state", "'returned' says both 'overdue' and 'returned'"),
    ("scenarios.renew.roles", ["clerk"], "", f"no role named 'clerk'; known are {ROLES}"),
    ("scenarios.renew.given", {"depth": [1]}, "", f"no axis named 'depth'; known are {AXES}"),
    ("scenarios.renew.given", {"max_rows": [10, 99]}, "scenarios.renew.given.max_rows", "no value named 99; known are 10, 15, 20"),
    ("scenarios.delete_record.phrasings.1", LIBRARY["scenarios"]["delete_record"]["phrasings"][0], "scenarios.delete_record.phrasings", "'Delete the {state:finished} loan of {title}[ for good|].' is also a phrasing of delete_record"),
    ("scenarios.remind.draw.loan.one", "lending", "scenarios.remind.draw.loan", f"no entity named 'lending'; known are {ENTITIES}"),
    ("scenarios.remind.draw.loan.where", {"age": 1}, "scenarios.remind.draw.loan", f"no field of loan named 'age'; known are {LOAN}"),
    ("scenarios.remind.draw.loan.alone_by", ["age"], "scenarios.remind.draw.loan", f"no field of loan named 'age'; known are {LOAN}"),
    ("scenarios.export_overdue.draw.loans.order", "-age", "scenarios.export_overdue.draw.loans", f"no field of loan named 'age'; known are {LOAN}"),
    ("scenarios.remind.draw.loan.where", {"lent_on": {"before": "x"}}, "scenarios.remind.draw.loan", "no condition named 'before'; known are above, at_least, at_most, below, contains, in, is_set, next_days, not, not_in, older_than_days, within_days"),
    ("scenarios.overdue_of_member.draw.loans.where.member_id", "$loans.member_id", "scenarios.overdue_of_member.draw.loans", "no drawn value above named 'loans'; known are member, policy, principal"),
    ("scenarios.busiest_titles.draw.days.at_most", "$policy.depth", "scenarios.busiest_titles.draw.days", f"no axis named 'depth'; known are {AXES}"),
    ("scenarios.remind.slots.title", "$loan.name", "scenarios.remind.slots", f"no field of loan named 'name'; known are {LOAN}"),
    ("scenarios.remind.slots.title", "$principal.age", "scenarios.remind.slots", "no attribute of librarian named 'age'; known are email, member_id, name"),
    ("scenarios.renew.goal.effects.1.when", "inform", "scenarios.renew.goal", f"no rule named 'inform'; known are {RULES}"),
    ("scenarios.renew.goal.effects.0.update", "loans", "scenarios.renew.goal", "no drawn row or rows named 'loans'; known are loan"),
    ("scenarios.renew.goal.effects.1.about", "new_date", "scenarios.renew.goal", "no drawn row or rows named 'new_date'; known are loan"),
    ("scenarios.overdue_of_member.goal.shows.0.rows", "rows", "scenarios.overdue_of_member.goal", "no drawn row or rows named 'rows'; known are loans, member"),
    ("scenarios.overdue_of_member.goal.shows.0.fields", ["age"], "scenarios.overdue_of_member.goal", f"no field of loan named 'age'; known are {LOAN}"),
    ("scenarios.busiest_titles.goal.time_range", "$span", "scenarios.busiest_titles.goal", "no drawn value above named 'span'; known are days, loans, policy, principal, top"),
    ("scenarios.delete_record.goal", {}, "", "a goal needs something to be shown, measured or done"),
    ("scenarios.renew.plan.1.step", "find", "scenarios.renew.plan.find", "this step's name is taken"),
    ("scenarios.renew.plan.0.step", "request", "scenarios.renew.plan.request", "this step's name is taken"),
    ("scenarios.renew.plan.1.when", ["look"], "scenarios.renew.plan.open", f"no rule named 'look'; known are {RULES}"),
    ("scenarios.renew.plan.1.unless", ["look"], "scenarios.renew.plan.open", f"no rule named 'look'; known are {RULES}"),
    ("scenarios.renew.plan.2.after", ["look"], "scenarios.renew.plan.renew", "no earlier step named 'look'; known are find, open"),
    ("scenarios.renew.plan.0.tool", "find", "scenarios.renew.plan.find", f"no tool named 'find'; known are {TOOLS}"),
    ("scenarios.renew.plan.3.arguments.copy", "$renew.member_email", "scenarios.renew.plan.tell.arguments", "no parameter of mail_member named 'copy'; known are loan_id, message, recipient"),
    ("scenarios.renew.plan.2.arguments.due_on", GONE, "scenarios.renew.plan.renew.arguments", "renew_loan requires due_on"),
    ("scenarios.remind.plan.1.arguments.text", "bring it", "scenarios.remind.plan.note.arguments.text", "'bring it' comes from nowhere; use $request, $principal, $policy or an earlier step"),
    ("scenarios.remind.plan.1.arguments.text", "$request.words", "scenarios.remind.plan.note.arguments.text", "no slot named 'words'; known are state, text, title"),
    ("scenarios.remind.plan.1.arguments.text", "$principal.age", "scenarios.remind.plan.note.arguments.text", "no attribute of librarian named 'age'; known are email, member_id, name"),
    ("scenarios.remind.plan.1.arguments.text", "$policy.limit", "scenarios.remind.plan.note.arguments.text", f"no rule named 'limit'; known are {RULES}"),
    ("scenarios.remind.plan.1.arguments.text", "$policy.rows.most", "scenarios.remind.plan.note.arguments.text", "$policy.rows.most must be $policy.<rule>.<parameter>"),
    ("scenarios.remind.plan.1.arguments.text", "$note.text", "scenarios.remind.plan.note.arguments.text", "no earlier step named 'note'; known are find"),
    ("scenarios.overdue_of_member.intent", "export", "scenarios.overdue_of_member.plan", "nothing in it does export"),
    ("scenarios.renew.phrasings", [f"{STATED}."], "", "needs at least 8 phrasings, has 1"),
    ("scenarios.renew.reasons", ["Why not?"] * 4, "", "needs at least 4 reasons, has 1"),
    ("scenarios.renew.phrasings.2", "Renew {title", "scenarios.renew.phrasings", "stray one of { } [ ] | in 'Renew {title'"),
    ("scenarios.renew.phrasings.2", f"{STATED}[ now|] .", "scenarios.renew.phrasings", f"{STATED + '[ now|] .'!r} can become 'Renew {{title}}, out, till {{date}} now .', which has a blank to spare"),
    ("scenarios.renew.phrasings.2", f"{STATED} for {{whom}}.", "scenarios.renew.phrasings", "no slot named 'whom'; known are date, state, title"),
    ("scenarios.renew.phrasings.2", "{title:it}, {state:out}, till {date}.", "scenarios.renew.phrasings", "'{title:it}, {state:out}, till {date}.': slot title varies, so its wording cannot be fixed"),
    ("scenarios.renew.phrasings.2", "{title}[, {state:out},|] till {date}.", "scenarios.renew.phrasings", "'{title}[, {state:out},|] till {date}.' does not always say state"),
]  # fmt: skip


def loading_error(folder: Path, path: str, value: Any) -> CatalogueError:
    """What loading says of the library's file after one edit."""
    content: Any = deepcopy(LIBRARY)
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place = content
    for step in steps:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    (folder / "library.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    with pytest.raises(CatalogueError) as caught:
        DomainRegistry(folder).domain("library")
    return caught.value


@pytest.mark.parametrize(("path", "value", "where", "problem"), CASES, ids=[f"{each[0]}: {each[3][:30]}" for each in CASES])
def test_one_edit_is_refused(tmp_path: Path, path: str, value: Any, where: str, problem: str) -> None:
    """Each edit is refused with the file, the key and the problem."""
    error = loading_error(tmp_path, path, value)
    assert (error.source, error.where, error.problem) == ("library.yaml", where or path, problem)


# Names, values and numbers that lead nowhere: whatever the words, the edit is refused at this key.
DANGLING: list[tuple[str, Any, str]] = [
    ("entities.member.key", "job", "entities.member.key"),
    ("entities.member.fields.fines.populate.money", [0, 60], "entities.member.fields.fines"),
    ("entities.loan.fields.renewals.populate.integer", [3, 0], "entities.loan.fields.renewals"),
    ("entities.member.fields.job.populate.choice", {}, "entities.member.fields.job"),
    ("entities.loan.fields.member_id.populate.ref", "nowhere", "entities.loan.fields.member_id"),
    ("tools.count_loans.parameters.group_by.values", ["nowhere"], "tools.count_loans.parameters.group_by"),
    ("tools.count_loans.parameters.measured_field.values", ["nowhere"], "tools.count_loans.parameters.measured_field"),
    ("tools.count_loans.parameters.measure.values", ["count", "median"], "tools.count_loans.parameters.measure"),
    ("tools.find_members.parameters.fields.values", ["nowhere"], "tools.find_members.parameters.fields"),
    ("tools.close_loans.sets.state", "nowhere", "tools.close_loans.sets"),
    ("tools.delete_loan.requires.state", ["nowhere"], "tools.delete_loan.requires"),
    ("roles.librarian.where.job", "nowhere", "roles.librarian.where"),
    ("voice.openings", [*LIBRARY["voice"]["openings"], "Hi,"], "voice.openings"),
    ("policy.vary.max_rows.0", [], "policy.vary.max_rows"),
    ("policy.rules.rows.with.max_rows", "$policy", "policy.rules.rows.with"),
    ("policy.rules.ceiling.with.roles", [["librarian"]], "policy.rules.ceiling.with"),
    ("policy.rules.renewable.with.allowed", ["nowhere"], "policy.rules.renewable.with"),
    ("scenarios.renew.draw.loan.where.state", "nowhere", "scenarios.renew.draw.loan"),
    ("scenarios.overdue_of_member.slots.state", [], "scenarios.overdue_of_member.slots"),
    ("scenarios.renew.goal.effects.0.set", {"nowhere": "$new_date"}, "scenarios.renew.goal"),
    ("scenarios.remind.goal.effects.0.create", "nowhere", "scenarios.remind.goal"),
    ("scenarios.remind.goal.effects.0.set", {"nowhere": "$text"}, "scenarios.remind.goal"),
    ("scenarios.export_overdue.goal.effects.0.fields", ["nowhere"], "scenarios.export_overdue.goal"),
    ("scenarios.busiest_titles.goal.measures.0.group_by", "nowhere", "scenarios.busiest_titles.goal"),
    ("scenarios.renew.reasons", [*LIBRARY["scenarios"]["renew"]["reasons"], "The branch is shut."], "scenarios.renew.reasons"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "where"), DANGLING, ids=[each[0] for each in DANGLING])
def test_nothing_that_leads_nowhere_is_let_in(tmp_path: Path, path: str, value: Any, where: str) -> None:
    """What cannot be carried out is refused when the file is read, not met later as a crash or as silence."""
    error = loading_error(tmp_path, path, value)
    assert (error.source, error.where) == ("library.yaml", where)


def test_every_check_refuses_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each function that looks for problems finds the one of some case above."""
    finders: dict[tuple[str, str], str] = {}

    def noting(name: str, check: Callable[..., Iterator[tuple[str, str]]]) -> Callable[..., Iterator[tuple[str, str]]]:
        def noted(*parts: Any) -> Iterator[tuple[str, str]]:
            for problem in check(*parts):
                finders.setdefault(problem, name)  # the innermost function is the first to pass it on
                yield problem

        return noted

    modules = (consistency, scenario_consistency)
    checks = {n: f for module in modules for n, f in inspect.getmembers(module, inspect.isgeneratorfunction)}
    checks = {name: check for name, check in checks.items() if name not in ("problems", "unknown")}
    for module in modules:
        for name, check in checks.items():
            monkeypatch.setattr(module, name, noting(name, check), raising=False)
    found = {finders[(e.where, e.problem)] for path, value, *_ in CASES[::2] for e in [loading_error(tmp_path, path, value)]}
    assert found == checks.keys()
