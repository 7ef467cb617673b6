"""References: one notation by which plans point at values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatling_sid.schemas.references import (
    ALL_ELEMENTS,
    MissingPathError,
    Reference,
    follow,
    parse_reference,
    reference_in,
)

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
STEPS = NAMES | st.integers(0, 999_999) | st.just(ALL_ELEMENTS)
REFERENCES = st.builds(Reference, NAMES, st.lists(STEPS, max_size=5).map(tuple))


@settings(deadline=None)
@given(REFERENCES)
def test_a_reference_reads_back(reference: Reference) -> None:
    """Written and parsed, a reference is itself; written again, its text is the same."""
    parsed = parse_reference(f"${reference}")
    assert parsed == reference
    assert str(parsed) == str(reference) == reference.root + reference.path_text


@settings(deadline=None)
@given(st.text(alphabet="$aé1_.[]* \n-", max_size=12))
def test_text_is_a_reference_or_stays_text(text: str) -> None:
    """Whatever parses is written as it was read, save leading zeros of an index."""
    parsed = parse_reference(text)
    if parsed is not None:
        assert parse_reference(f"${parsed}") == parsed
        assert f"${parsed}".replace("0", "") == text.replace("0", "")
    assert reference_in(text) == parsed


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("$call_1.items[0].invoice_id", Reference("call_1", ("items", 0, "invoice_id"))),
        ("$find.items[*].loan_id", Reference("find", ("items", ALL_ELEMENTS, "loan_id"))),
        ("$principal", Reference("principal", ())),
        ("$rows[3][14]", Reference("rows", (3, 14))),
        *((text, None) for text in (
            "$50", "$50.00", "$1_000", "$", "$$a", "a.b", " $a", "$a ", "$a\n", "$a.", "$a..b", "$a.0", "$a[]", "$a[-1]",
            "$a[x]", "$a[1", "$a[1234567]", "$a b", "$a[**]", "$é", "$a.é", "$a[٣]", "cost: $a", "",
        )),
    ],
)  # fmt: skip
def test_notation(text: str, reference: Reference | None) -> None:
    """A reference is a `$`, a name and steps, and nothing around them; everything else is text."""
    assert parse_reference(text) == reference


@pytest.mark.parametrize("value", [None, 5, 2.5, True, ["$a"], {"$a": "$b"}, "a", "$50", b"$a"])
def test_other_values_are_no_references(value: object) -> None:
    """Only a string as a whole can be a reference."""
    assert reference_in(value) is None


@settings(deadline=None)
@given(st.lists(NAMES | st.integers(0, 3), max_size=6), st.integers())
def test_follow_leads_to_what_is_there(path: list[str | int], leaf: int) -> None:
    """A path built along a value leads to its leaf; one step further, to nothing."""
    value: Any = leaf
    for step in reversed(path):
        value = [None] * step + [value] if isinstance(step, int) else {step: value}
    assert follow(tuple(path), value) == leaf
    for more in ("x", 0):
        with pytest.raises(MissingPathError, match=f"^there is no {more!r}$"):
            follow((*path, more), value)


LOANS = {
    "items": [{"id": "L1", "tags": ["a", "b"]}, {"id": "L2", "tags": []}],
    "count": 2,
    "note": "text",
    "none": None,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ((), LOANS),
        (("items", 1, "id"), "L2"),
        (("items", ALL_ELEMENTS, "id"), ["L1", "L2"]),
        (("items", ALL_ELEMENTS), LOANS["items"]),
        (("items", ALL_ELEMENTS, "tags", ALL_ELEMENTS), [["a", "b"], []]),
        (("items", 1, "tags", ALL_ELEMENTS, "x", 5), []),
        (("none",), None),
    ],
)
def test_follow(path: tuple[str | int, ...], found: Any) -> None:
    """Keys, indexes and `[*]` lead to what they name; `[*]` gives a list, one inside another a list of lists."""
    assert follow(path, LOANS) == found


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (("rows",), "there is no 'rows'"),
        (("items", 2), "there is no 2"),
        (("items", "id"), "there is no 'id'"),
        (("count", "x"), "there is no 'x'"),
        (("note", 0), "there is no 0"),
        (("note", "x"), "there is no 'x'"),
        (("none", "x"), "there is no 'x'"),
        ((0,), "there is no 0"),
        (("count", ALL_ELEMENTS), "[*] needs a list"),
        (("note", ALL_ELEMENTS), "[*] needs a list"),
        ((ALL_ELEMENTS,), "[*] needs a list"),
        (("items", ALL_ELEMENTS, "tags", 0), "there is no 0"),
    ],
)
def test_missing_paths(path: tuple[str | int, ...], problem: str) -> None:
    """A path that leads nowhere is refused, naming the step that is missing."""
    with pytest.raises(MissingPathError) as caught:
        follow(path, LOANS)
    assert str(caught.value) == problem
