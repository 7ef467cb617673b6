"""Noun phrases: nouns, conditions and orders compose to what people say, word for word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatling_sid.schemas.language.alternatives import alternatives_of
from gatling_sid.schemas.language.noun_phrases import (
    NounPhrases,
    Superlative,
    Words,
    noun_phrases,
    phrase_of,
    superlative_of,
    values_in,
)
from gatling_sid.schemas.language.phrasing import Slot

INVOICE = {"invoice": "invoices"}
NEWEST = Superlative(Slot("n", None), None, "newest")
SENT_LAST = superlative_of("~ sent last", "n", "order")
DEAREST = Superlative(Slot("n", None), Slot("order", "dearest"), "")
PHRASES = (
    "{overdue} ~", "~ {past due}", "~ from {}", "{} ~", "{}'s ~", "my ~", "~ assigned to me", "{}", "~ of {} or more",
    "~ that <is|are> {still open}", "~ whose owner <was|were> {late}", "~ who <reports|report> to me",
)  # fmt: skip


def text_of(words: Words) -> str:
    """The words as text; a slot for any wording becomes its name in angle brackets."""
    return "".join(each if isinstance(each, str) else each.wording or f"<{each.name}>" for each in words)


def composed(
    *conditions: list[str],
    plural: bool = True,
    superlatives: tuple[Superlative, ...] = (),
    nouns: dict[str, str] = INVOICE,
) -> NounPhrases:
    """The noun phrases for conditions, each given by its phrases; the value of the first is called a, then b and c."""
    phrases = [
        [phrase_of(text, name, plural=plural) for text in each] for name, each in zip("abc", conditions, strict=False)
    ]
    return noun_phrases(nouns, phrases, plural=plural, superlatives=superlatives)


@pytest.mark.parametrize(
    ("phrases", "singular", "plural"),
    [
        ([], "the invoice", "the invoices"),
        (["{overdue} ~"], "the overdue invoice", "the overdue invoices"),
        (["{} ~"], "the <a> invoice", "the <a> invoices"),
        (["~ from {}"], "the invoice from <a>", "the invoices from <a>"),
        (["~ of {} or more"], "the invoice of <a> or more", "the invoices of <a> or more"),
        (["{}'s ~"], "<a>'s invoice", "<a>'s invoices"),
        (["my ~"], "my invoice", "my invoices"),
        (["~ assigned to me"], "the invoice assigned to me", "the invoices assigned to me"),
        (["~ that <is|are> {still open}"], "the invoice that is still open", "the invoices that are still open"),
        (["~ that <was|were> {sent} to {}"], "the invoice that was sent to <a>", "the invoices that were sent to <a>"),
        (["{overdue} ~", "~ from {}"], "the overdue invoice from <b>", "the overdue invoices from <b>"),
        (["~ from {}", "{overdue} ~"], "the overdue invoice from <a>", "the overdue invoices from <a>"),
        (["{overdue} ~", "{}'s ~"], "<b>'s overdue invoice", "<b>'s overdue invoices"),
        (["~ from {}", "my ~"], "my invoice from <a>", "my invoices from <a>"),
        (["{} ~", "{open} ~"], "the open <a> invoice", "the open <a> invoices"),
        (
            ["~ that <has|have> been {paid}", "{overdue} ~", "my ~"],
            "my overdue invoice that has been paid", "my overdue invoices that have been paid",
        ),
        (["{}", "~ from {}"], "<a> from <b>", "<a> from <b>"),
        (["~ at the {} desk", "{}"], "<b> at the <a> desk", "<b> at the <a> desk"),
    ],
)  # fmt: skip
def test_phrases_compose(phrases: list[str], singular: str, plural: str) -> None:
    """Possessives come first, then fixed adjectives, then open ones."""
    conditions = [[each] for each in phrases]
    assert text_of(composed(*conditions, plural=False).definite[0]) == singular
    assert text_of(composed(*conditions).definite[0]) == plural


@pytest.mark.parametrize(
    ("phrases", "superlative", "text"),
    [
        ([], NEWEST, "the <n> newest invoices"),
        (["{overdue} ~", "~ from {}"], NEWEST, "the <n> newest overdue invoices from <b>"),
        (["my ~"], DEAREST, "my <n> dearest invoices"),
        (["my {incoming} ~", "{overdue} ~"], DEAREST, "my <n> dearest incoming overdue invoices"),
        (["{}'s own ~"], NEWEST, "<a>'s <n> newest own invoices"),
        (["my patients' unread ~"], NEWEST, "my patients' <n> newest unread invoices"),
        (["my ~", "{overdue} ~"], SENT_LAST, "my <n> overdue invoices sent last"),
        (["{}'s ~", "{overdue} ~"], NEWEST, "<a>'s <n> newest overdue invoices"),
        (["~ that <is|are> {still open}"], DEAREST, "the <n> dearest invoices that are still open"),
    ],
)
def test_superlatives(phrases: list[str], superlative: Superlative, text: str) -> None:
    """Number and order stand after the article or the possessive and before every adjective; nothing is bare."""
    found = composed(*([each] for each in phrases), superlatives=(superlative,))
    assert [text_of(each) for each in found.definite] == [text]
    assert found.bare == ()


def test_one_thing_stands_after_the_noun() -> None:
    """Beside words after the noun, only superlatives before it can stand; a compact noun phrase has no others."""
    found = composed(["~ from {}", "{}'s ~"], superlatives=(NEWEST, SENT_LAST))
    assert [text_of(each) for each in found.definite] == [
        "the <n> newest invoices from <a>",
        "<a>'s <n> invoices sent last",
    ]
    assert [text_of(each) for each in found.compact] == ["<a>'s <n> newest invoices"]
    assert composed(["~ from {}"], superlatives=(SENT_LAST,)) == NounPhrases((), ())
    found = composed(["{overdue} ~"], superlatives=(NEWEST, SENT_LAST))
    assert [text_of(each) for each in found.definite] == ["the <n> overdue invoices sent last"], (
        "one adjective is enough"
    )


@pytest.mark.parametrize(
    ("phrases", "bare"),
    [(["{overdue} ~"], ["overdue invoices"]), (["my ~"], []), (["{}'s ~"], []), (["{}"], [])],
)
def test_bare_plurals(phrases: list[str], bare: list[str]) -> None:
    """Rows have a bare plural unless a possessive or a name makes them definite; a single row has none."""
    assert [text_of(each) for each in composed(phrases).bare] == bare
    assert composed(phrases, plural=False).bare == ()


@pytest.mark.parametrize(
    "phrases",
    [
        ["{}'s ~", "my ~"],
        ["{}", "{junior} ~"],
        ["{}", "~ that <is|are> {still open}"],
        ["~ from {}", "~ that <is|are> {still open}"],
    ],
)
def test_what_does_not_go_together_is_left_out(phrases: list[str]) -> None:
    """Two possessives, two phrases after a noun, or a name with an adjective or a clause give no noun phrase."""
    assert composed(*([each] for each in phrases)) == NounPhrases((), ())


@pytest.mark.parametrize(
    ("conditions", "compact"),
    [
        ([["~ from {}", "{}'s ~"], ["{overdue} ~"]], ["<a>'s overdue invoices"]),
        ([["~ from {}"], ["{overdue} ~"]], []),
        ([["{}"]], ["<a>"]),
        ([["{}"], ["~ from {}"]], []),
    ],
)
def test_compact_ones_end_with_the_noun(conditions: list[list[str]], compact: list[str]) -> None:
    """A compact noun phrase has nothing after the noun, so no words after it can be misread as a part of it."""
    assert [text_of(each) for each in composed(*conditions).compact] == compact


def test_nouns_and_phrases_take_turns() -> None:
    """Phrases and nouns take turns, with "all the" now and then; at most one phrase stands after a noun, none comes twice."""
    found = composed(
        ["{overdue} ~", "~ {past due}", "{late} ~"], ["~ from {}", "{} ~"], nouns={**INVOICE, "bill": "bills"}
    )
    texts = [text_of(each) for each in found.definite]
    assert not any("past due from" in each for each in texts)
    assert len({*texts}) == len(texts) >= 6
    assert any(each.startswith("all the ") for each in texts)
    assert {noun for noun in ("invoices", "bills") if any(noun in each for each in texts)} == {"invoices", "bills"}


@given(st.lists(st.sampled_from(PHRASES), min_size=1, max_size=3, unique=True), st.booleans(), st.booleans())
def test_noun_phrases_state_every_condition(phrases: list[str], plural: bool, is_first_few: bool) -> None:
    """Whatever is composed has the value of every condition, one noun that agrees, single blanks, and no notation."""
    found = composed(
        *([each] for each in phrases), plural=plural, superlatives=(NEWEST,) if plural and is_first_few else ()
    )
    for words in (*found.definite, *found.bare):
        text = text_of(words)
        slots = {each.name for each in words if isinstance(each, Slot)}
        assert {name for name, each in zip("abc", phrases, strict=False) if "{" in each} <= slots
        assert not set("~{}|") & set(text)
        assert "  " not in text
        assert text == text.strip()
        assert "{}" in phrases or text.split().count("invoices" if plural else "invoice") == 1


@pytest.mark.parametrize("text", ["~ of ~", "~ that <is are>", "~ <is|are", "is|are> ~"])
def test_phrases_that_are_not_well_formed(text: str) -> None:
    """A phrase has at most one noun, and both forms of a verb in angle brackets."""
    with pytest.raises(ValueError, match=r"needs at most one ~, and <singular\|plural> where a verb agrees"):
        phrase_of(text, "a", plural=True)


def test_values_that_a_phrase_fixes() -> None:
    """The words in braces state a value; empty braces take any wording."""
    assert values_in("~ that <is|are> {still open}") == ["still open"]
    assert values_in("{}'s ~ from {}") == []


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("my ~", ("my ~",)),
        ("~ [from|of] {}", ("~ from {}", "~ of {}")),
        ("[late|overdue] ~[ by now|]", ("late ~ by now", "late ~", "overdue ~ by now", "overdue ~")),
    ],
)
def test_alternatives_of_phrases(text: str, texts: tuple[str, ...]) -> None:
    """Alternatives in brackets stand for as many phrases."""
    assert alternatives_of(text) == texts
