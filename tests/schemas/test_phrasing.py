"""The notation of phrasings: slots, own wordings, alternatives."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.phrasing import Phrasing, Slot


def rendered(phrasing: Phrasing) -> list[str]:
    """Every variant as text, slots in braces."""
    return [
        "".join(
            part if isinstance(part, str) else f"{{{part.name}:{part.wording}}}"
            for part in phrasing.variant_parts(variant_index)
        )
        for variant_index in range(phrasing.variants)
    ]


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("Plain.", ["Plain."]),
        ("", [""]),
        ("Show {who}.", ["Show {who:None}."]),
        ("[Show|List] it", ["Show it", "List it"]),
        ("it[ now|]", ["it now", "it"]),
        ("[a|b][c|d]", ["ac", "bc", "ad", "bd"]),
        ("[{who}|they]{state:past due}", ["{who:None}{state:past due}", "they{state:past due}"]),
        ("[a|b|c] {x_1}", ["a {x_1:None}", "b {x_1:None}", "c {x_1:None}"]),
    ],
)
def test_notation(text: str, texts: list[str]) -> None:
    """Each variant takes one alternative of every bracket, the first bracket changing fastest."""
    assert rendered(Phrasing(text)) == texts


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[only one]", "[only one] needs two or more alternatives that differ"),
        ("[]", "[] needs two or more alternatives that differ"),
        ("say [a|b|a]", "[a|b|a] needs two or more alternatives that differ"),
        ("a ] b", "unmatched {, }, [, ] or | in 'a ] b'"),
        ("[a|[b|c]]", "unmatched {, }, [, ] or | in '[a|'"),
        ("a | b", "unmatched {, }, [, ] or | in 'a | b'"),
        ("{Who} asks", "unmatched {, }, [, ] or | in '{Who} asks'"),
        ("{who asks", "unmatched {, }, [, ] or | in '{who asks'"),
        ("{}", "unmatched {, }, [, ] or | in '{}'"),
        ("{who:}", "unmatched {, }, [, ] or | in '{who:}'"),
        ("{who:a|b}", "unmatched {, }, [, ] or | in '{who:a|b}'"),
        ("{1st}", "unmatched {, }, [, ] or | in '{1st}'"),
    ],
)
def test_broken_notation_is_refused(text: str, problem: str) -> None:
    """Brackets and braces that do not match, and alternatives that repeat, are refused with the text at fault."""
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        Phrasing(text)


WORDS = st.text("abc", min_size=1, max_size=3)
GROUPS = st.lists(st.lists(WORDS, min_size=1, max_size=4, unique=True), min_size=1, max_size=4)


@settings(deadline=None)
@given(GROUPS)
def test_variants_count_the_texts(groups: list[list[str]]) -> None:
    """A phrasing of words that stand apart makes as many different texts as it has variants."""
    phrasing = Phrasing(" ".join(f"[{'|'.join(each)}]" if len(each) > 1 else each[0] for each in groups))
    texts = rendered(phrasing)
    assert phrasing.variants == len(texts) == len(set(texts))


@pytest.mark.parametrize("text", ["[a|ab][b|]", "Show it[ now|][ now|]."])
def test_variants_are_all_different(text: str) -> None:
    """A phrasing with two variants that are the same text is refused, or counts those that differ."""
    try:
        phrasing = Phrasing(text)
    except ValueError:
        return
    assert phrasing.variants == len(set(rendered(phrasing)))


def test_variants_of_a_catalogue(library: Domain) -> None:
    """No phrasing of a domain has two variants that are the same text."""
    for scenario in library.file.scenarios.values():
        for text in scenario.phrasings:
            assert len(set(rendered(Phrasing(text)))) == Phrasing(text).variants >= 1


def test_slots_are_those_of_every_alternative() -> None:
    """Slots are listed wherever they stand, with their wording."""
    phrasing = Phrasing("[{a}|{b:be it}] and {a}")
    assert list(phrasing.slots()) == [Slot("a", None), Slot("b", "be it"), Slot("a", None)]


@pytest.mark.parametrize(
    ("text", "always"),
    [
        ("{a} now", True),
        ("[{a}|say {a:x}] now", True),
        ("[{a}|not] now", False),
        ("[{a}|not] now {a}", True),
        ("[{a}|x][y|{a}]", False),
        ("now", False),
    ],
)
def test_always_says(text: str, always: bool) -> None:
    """A slot is always said only if some place says it in each of its alternatives."""
    assert Phrasing(text).always_states("a") is always
