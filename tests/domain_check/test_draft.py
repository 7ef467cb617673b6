"""A domain file as far as it goes: broken parts are left out, and every problem is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gatling_sid.domain_check.draft import DraftFile, read_draft
from gatling_sid.schemas import DomainRegistry
from gatling_sid.schemas.yaml_loading import load_yaml
from tests.conftest import CATALOGUE

WORKSHOP = CATALOGUE / "workshop.yaml"


def draft_of(folder: Path, content: dict[str, Any]) -> DraftFile:
    """The draft that a file with this content is."""
    (folder / "workshop.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return read_draft(folder / "workshop.yaml", DomainRegistry(folder))


def test_a_file_without_problems_is_used_whole(tmp_path: Path) -> None:
    """Nothing is left out of a file that loads."""
    draft = draft_of(tmp_path, load_yaml(WORKSHOP))
    assert draft.domain is not None
    assert (draft.problems, draft.left_out) == ([], [])


def test_broken_parts_are_left_out(tmp_path: Path) -> None:
    """Parts that lack the form, and parts that name what does not exist, are both named; the others remain."""
    content = load_yaml(WORKSHOP)
    content["parts"]["reprice"]["weight"] = "heavy"
    content["parts"]["see_repairs"]["columns"] = ["colour"]
    draft = draft_of(tmp_path, content)
    assert draft.domain is not None
    assert draft.left_out == ["parts.reprice", "parts.see_repairs"]
    assert set(draft.domain.file.parts) == set(content["parts"]) - {"reprice", "see_repairs"}
    assert [where for where, _ in draft.problems] == ["parts.reprice.weight", "parts.see_repairs.columns"]


def test_broken_lures_and_unserved_requests_are_left_out(tmp_path: Path) -> None:
    """A lure that names what does not exist keeps nobody from trying the rest, and the world is populated without it."""
    content = load_yaml(WORKSHOP)
    content["lures"] = {"take": {"tool": "take_all", "wants": "All is taken", "orders": {"en": ["Take it all"]}}}
    content["unserved"] = {
        "print": {"roles": ["nobody"], "intent": "retrieve", "says": ["a", "b", "c"], "reason": "none"}
    }
    draft = draft_of(tmp_path, content)
    assert draft.domain is not None
    assert draft.left_out == ["lures.take", "unserved.print"]
    assert draft.domain.scenarios_of("train-0")


def test_tasks_are_drawn_although_words_are_missing(tmp_path: Path) -> None:
    """A rule that does not state its limit yet is a problem, but keeps nobody from trying the parts there are."""
    content = load_yaml(WORKSHOP)
    content["policy"]["rules"]["rows"]["says"] = "Not too many records a call."
    draft = draft_of(tmp_path, content)
    assert draft.domain is not None
    assert [where for where, _ in draft.problems] == ["policy.rules.rows.says"]
    assert draft.left_out == []


def test_a_broken_tool_leaves_nothing_to_draw(tmp_path: Path) -> None:
    """Without its tools a domain cannot be tried; the problem is named."""
    content = load_yaml(WORKSHOP)
    content["tools"]["list_repairs"]["entity"] = "repairs"
    draft = draft_of(tmp_path, content)
    assert draft.domain is None
    assert "tools.list_repairs.entity" in [where for where, _ in draft.problems]
