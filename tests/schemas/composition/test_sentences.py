"""Sentences of composed tasks: patterns, pronouns and capital letters, with a voice of one text for each purpose."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatling_sid.schemas.composition.openers import FEWEST_PHRASINGS
from gatling_sid.schemas.composition.sentences import _PARTICLE, _UNFIT_FOR_PRONOUN, TaskPhrasings
from gatling_sid.schemas.composition.shape_types import Group, Shape, Target, Use
from gatling_sid.schemas.composition.table import ScenarioTable
from gatling_sid.schemas.composition.tasks import build_task
from gatling_sid.schemas.domain import SPLITS, Domain
from gatling_sid.schemas.language.phrasing import Phrasing, Slot
from gatling_sid.schemas.language.shared_voice import ByRegister, SharedVoice, voice_of_split
from tests.support.repairs import BY_KEY, DONE, MINE, NAME, WAITING, filtered, searched


def by_register(neutral: str, casual: str, formal: str) -> dict[str, list[str]]:
    """One text for each register."""
    return {"neutral": [neutral], "casual": [casual], "formal": [formal]}


NOTHING = {**by_register("x", "x", "x"), "morning": ["x"], "afternoon": ["x"], "evening": ["x"]}
VOICE = SharedVoice.model_validate({
    "patterns": {
        "do": by_register("Could you please {do}?", "{do}, ok?", "Kindly {do}."),
        "need": by_register("Could I see {it}?", "need {it}", "May I see {it}?"),
        "any": by_register("Are there any {rows}?", "any {rows}?", "Do we have any {rows}?"),
        "then": ["Then {do}."],
    },
    "joins": [" and then ", " and "],
    "durations": ["time"],
    "about_session": ["What's my {attribute}?"],
    "composed": {"heads": ["For your information:"], "facts": ["{field} {value}"], "tails": ["Bye."]},
    "verbs": {
        "show": ["list"],
        "show_again": ["look at {it}"],
        "show_columns_of_one": ["tell me the {columns} of {it}"],
        "show_columns_of_many": ["give me the {columns} of {it}"],
        "sum": ["{measure:add up} the {field} of {it}"],
        "count": ["{measure:count} {it}"],
        "grouped": ["by {group}"],
        "export": ["write {it} to the {target}"],
        "export_columns": ["put the {columns} of {it} on the {target}"],
        "delete": ["delete {it}"],
    },
    "questions": {
        "columns_of_one": ["what is the {columns} of {it}?"],
        "columns_of_many": ["what is the {columns} of each of {it}?"],
        "sum": ["what is the {measure:total} {field} of {it}?"],
        "count": ["{measure:how many} {rows} are there?"],
    },
    "openings": NOTHING,
    "closings": by_register("x", "x", "x"),
    "reasons": {"read": [], "change": [], "any": []},
})  # fmt: skip
DO = ("Could you please {}?", "{}, ok?", "Kindly {}.")
"""The patterns of a verb phrase, by register; the last two are so bare that they take the shortest noun phrases alone."""


def variants(phrasing: Phrasing) -> set[str]:
    """Every variant of a phrasing; a slot for any wording becomes its name in angle brackets."""
    return {
        "".join(
            each if isinstance(each, str) else each.wording or f"<{each.name}>" for each in phrasing.variant_parts(at)
        )
        for at in range(phrasing.variants)
    }


def texts(
    domain: Domain, *groups: tuple[Target, Use | list[Use]], split: str = "train", voice: SharedVoice = VOICE
) -> set[str]:
    """All that is composed for a manager's task with these groups in the small voice, or in another one.

    What is drawn at random depends on the name of the domain; with forty names, every choice occurs.
    """
    composed = tuple(Group(target, tuple(uses) if isinstance(uses, list) else (uses,)) for target, uses in groups)
    found_texts: set[str] = set()
    for number in range(40):
        other = Domain(f"{domain.slug}_{number}", domain.file, domain.pools, domain.voice)
        phrasings = TaskPhrasings(build_task(other, Shape("manager", composed, (), str(composed))), other, voice, split)
        found_texts |= {text for at in range(len(phrasings)) for text in variants(phrasings[at])}
    return found_texts


def capital(text: str) -> str:
    """The text with a capital letter at its start."""
    return text[:1].upper() + text[1:]


def done(shortest: str, *others: str) -> set[str]:
    """The sentences with these verb phrases in each register, the bare ones only with the shortest."""
    return {capital(pattern.format(shortest)) for pattern in DO} | {DO[0].format(each) for each in others}


STARTED = Use("set_status", (), (("status", "started"),))
PERSON = Target("person", "list_people", (), is_many=False)
KEYS = ("repair <a_key>", "repair number <a_key>")


def test_a_verb_phrase_of_a_part(workshop: Domain) -> None:
    """The part's own words stand in the patterns of each register, with each noun phrase."""
    assert texts(workshop, (BY_KEY, STARTED)) == done(*(f"mark {key} as begun" for key in KEYS))


def test_something_to_see(workshop: Domain) -> None:
    """Rows that are listed are asked for by verbs, by nouns, or by a question whether there are any."""
    many = ("the waiting repairs", "all the waiting repairs")
    found_texts = texts(workshop, (searched(WAITING, is_many=True), Use("see_repairs")))
    assert done(*(f"list {each}" for each in many)) < found_texts
    assert {f"Could I see {each}?" for each in many} < found_texts
    assert "Are there any waiting repairs?" in found_texts
    assert "Are there any repair jobs that are still waiting?" in found_texts
    assert not any("any the" in each or "any all" in each for each in found_texts)


def test_a_question_for_columns(workshop: Domain) -> None:
    """Columns of a row are asked for in a question or with a verb phrase; a question begins with a capital letter."""
    found_texts = texts(workshop, (BY_KEY, Use("open_repair", ("price",))))
    questions = {f"What is the <a1_columns> of {KEYS[0]}?"}  # the one question is as short as can be
    verb_phrases = done(*(f"tell me the <a1_columns> of {key}" for key in KEYS))
    assert found_texts == questions | verb_phrases, "nobody needs one row with its price"
    assert not any("their" in each for each in found_texts)


def test_a_name_makes_of_and_for_the_same(workshop: Domain) -> None:
    """The wage of Ada and the wage for Ada are "Ada's wage": such texts are one, whatever their alternatives."""
    questions = {"columns_of_one": ["I'd like the {columns} of {it}[, please|].", "I'd like the {columns} for {it}."]}
    voice = VOICE.model_copy(update={"questions": {**VOICE.questions, **questions}})
    named = PERSON._replace(conditions=(NAME._replace(field="name"),))
    shape = Shape("manager", (Group(named, (Use("see_person", ("wage",)),)),), (), "wage")
    phrasings = TaskPhrasings(build_task(workshop, shape), workshop, voice, "train")
    composed = [text for phrasing in phrasings for text in sorted(variants(phrasing))]
    assert len({*composed}) == len(composed)


def test_all_is_not_said_twice(workshop: Domain) -> None:
    """After "each of", the rows are not "all the rows"."""
    found_texts = texts(workshop, (searched(WAITING, is_many=True), Use("see_repairs", ("price",))))
    assert "What is the <a1_columns> of each of the waiting repairs?" in found_texts
    assert not any("each of all" in each for each in found_texts)


def test_measures(workshop: Domain) -> None:
    """A measure is a question or a verb phrase, with what it is grouped by before the question mark."""
    grouped = Use("count_repairs", (), (("measure", "count"), ("group_by", "bicycle")))
    found_texts = texts(workshop, (filtered(WAITING), grouped))
    assert "How many waiting repairs are there, by <a1_group_by>?" in found_texts
    assert "Could you please count the waiting repairs by <a1_group_by>?" in found_texts
    summed = Use("figures", (), (("measure", "sum"), ("measured_field", "price")))
    found_texts = texts(workshop, (filtered(MINE), summed))
    assert "What is the total <a1_measured_field> of my repairs?" in found_texts
    assert "Kindly add up the <a1_measured_field> of my repairs." in found_texts


@pytest.mark.parametrize(
    ("uses", "split", "joined", "following"),
    [
        (
            [STARTED, Use("note_down")], "train",
            'mark {} as begun and then add "<a2_text>" as a note on it', 'add "<a2_text>" as a note on it',
        ),
        (
            [STARTED, Use("reprice")], "train",
            "mark {} as begun and then set its price to <a2_price>", "set its price to <a2_price>",
        ),
        (
            [STARTED, Use("open_repair", ("price",))], "train",
            "mark {} as begun and then tell me its <a2_columns>", "tell me its <a2_columns>",
        ),
        (
            [Use("note_down"), Use("set_status", (), (("status", "done"),))], "validation",
            'put a note on {}: "<a1_text>" and then tick it off as ready', "tick it off as ready",
        ),
        (
            [Use("note_down"), Use("move_pick_up")], "test",
            'write "<a1_text>" on {} and then put it off until <a2_ready_on>', "put it off until <a2_ready_on>",
        ),
    ],
)  # fmt: skip
def test_what_was_named_is_a_pronoun(
    workshop: Domain, uses: list[Use], split: str, joined: str, following: str
) -> None:
    """After its first mention a row is "it", what is of it is "its", and a verb's particle stands after the pronoun."""
    first = joined.partition(" and then ")[0].format(KEYS[0])
    patterns = [
        each for each in DO if not (first.endswith('"') and each.endswith("ok?"))
    ]  # nothing follows a quotation
    found_texts = texts(workshop, (BY_KEY, uses), split=split)
    assert {capital(pattern.format(joined.format(KEYS[0]))) for pattern in patterns} < found_texts
    assert f"Could you please {first}? Then {following}." in found_texts
    assert all(each.count("<a_key>") == 1 for each in found_texts)


def test_what_is_of_a_row_may_have_an_of_of_its_own(workshop: Domain) -> None:
    """What was named is not said to be "of it": "the date of pick-up of it" is "its date of pick-up"."""
    says = [f"{verb} {{ready_on}} as the date of pick-up of {{it}}" for verb in ("set", "enter", "put down")]
    parts = {
        **workshop.file.parts,
        "move_pick_up": workshop.file.parts["move_pick_up"].model_copy(update={"says": says}),
    }
    edited = Domain("edited", workshop.file.model_copy(update={"parts": parts}), workshop.pools, workshop.voice)
    found_texts = texts(edited, (BY_KEY, [STARTED, Use("move_pick_up")]))

    assert any("<a2_ready_on> as its date of pick-up" in each for each in found_texts)
    assert not any("of it" in each for each in found_texts)


def test_nothing_follows_a_quotation(workshop: Domain) -> None:
    """A verb phrase that ends with a quoted text stands at the end of its sentence, without "please" or "ok?"."""
    for uses in ([Use("note_down")], [STARTED, Use("note_down")]):
        found_texts = texts(workshop, (BY_KEY, uses), split="validation")
        assert any(each.endswith(('>".', '>"?')) for each in found_texts)
        assert not any('>", ok?' in each for each in found_texts), found_texts


def test_rows_and_people_are_them(workshop: Domain) -> None:
    """Several rows are "them" and have "their" columns, and so has one person."""
    listed = searched(WAITING, is_many=True)
    found_texts = texts(workshop, (listed, [Use("see_repairs"), Use("export_repairs", ("price",))]))
    assert "Could you please list the waiting repairs and put their <a2_columns> on the <a2_target>?" in found_texts
    found_texts = texts(workshop, (listed, [Use("see_repairs"), Use("drop_repairs")]))
    assert "Could you please list the waiting repairs and then delete them?" in found_texts
    named = PERSON._replace(conditions=(NAME._replace(field="name"),))
    found_texts = texts(workshop, (named, [Use("see_person", ("email",)), Use("see_person", ("wage",))]))
    assert "Kindly tell me <a_name>'s <a1_columns> and tell me their <a2_columns>." in found_texts


def test_one_of_several_people_is_named_again(workshop: Domain) -> None:
    """If a second wish may have named somebody else, one person is not "them" but has the name again, or the noun."""
    uses = [Use("see_person", ("email",)), Use("see_person", ("wage",))]
    named = PERSON._replace(conditions=(NAME._replace(field="name"),))
    repairs = (searched(DONE, is_many=True), Use("drop_repairs"))
    by_name = texts(workshop, (named, uses), repairs)
    assert any("<a_name>'s <a1_columns>. Then tell me <a_name>'s <a2_columns>." in text for text in by_name)
    by_key = texts(workshop, (PERSON._replace(by_key=True, search=None), uses), repairs)
    assert any("Then tell me the colleague's <a2_columns>." in text for text in by_key)
    assert not any("their" in text for text in by_name | by_key)


def test_measured_rows_are_named_again(workshop: Domain) -> None:
    """After a figure, "them" could be the figures and "those" the largest ones, so the rows are "all those repairs"."""
    counted = Use("count_repairs", (), (("measure", "count"),))
    found_texts = texts(workshop, (searched(WAITING, is_many=True), [counted, Use("see_repairs")]))
    assert "Could you please count the waiting repairs and then look at all those repairs?" in found_texts
    assert not any("them" in each for each in found_texts)


def with_patterns(**patterns: tuple[str, ...]) -> SharedVoice:
    """The small voice with other patterns of some kinds, in each register."""
    changed = {kind: ByRegister(neutral=[*each], casual=[*each], formal=[*each]) for kind, each in patterns.items()}
    return VOICE.model_copy(update={"patterns": VOICE.patterns.model_copy(update=changed)})


def test_nobody_thanks_before_the_last_wish(workshop: Domain) -> None:
    """A first sentence that thanks stands alone."""
    voice = with_patterns(do=("{do}, thanks.", "{do}."))
    assert any("thanks" in text for text in texts(workshop, (BY_KEY, STARTED), voice=voice))
    both = texts(workshop, (BY_KEY, [STARTED, Use("note_down")]), voice=voice)
    assert both
    assert not any("thanks" in text for text in both)


def test_unrelated_wishes_follow_with_also(workshop: Domain) -> None:
    """Between two groups stands no "then" if there is another link; within a group it may."""
    patterns = VOICE.patterns.model_copy(update={"then": ["Then {do}.", "Also {do}."]})
    voice = VOICE.model_copy(update={"patterns": patterns})
    other = texts(workshop, (BY_KEY, STARTED), (searched(DONE, is_many=True), Use("drop_repairs")), voice=voice)
    assert any("also" in text.casefold() for text in other)
    assert not any("then" in text.casefold() for text in other)
    assert any("Then" in text for text in texts(workshop, (BY_KEY, [STARTED, Use("note_down")]), voice=voice))


def test_each_group_is_named(workshop: Domain) -> None:
    """The rows of a second group have a noun phrase of their own, also if pronouns stand for the first ones before."""
    found_texts = texts(
        workshop,
        (BY_KEY, [STARTED, Use("note_down")]),
        (searched(DONE, is_many=True), Use("drop_repairs")),
    )
    assert (
        'Could you please mark repair <a_key> as begun? Then add "<a2_text>" as a note on it. Then delete the finished repairs.'
        in found_texts
    )


def test_sentences_begin_with_capitals(workshop: Domain) -> None:
    """A capital letter stands at the start of every sentence, also if a verb phrase stands there, and nowhere else."""
    found_texts = texts(workshop, (BY_KEY, [STARTED, Use("note_down")]))
    assert 'Mark repair <a_key> as begun, ok? Then add "<a2_text>" as a note on it.' in found_texts
    assert all(re.fullmatch(r"[A-Z][^A-Z?.]*([?.] [A-Z][^A-Z?.]*)*[?.]?", each) for each in found_texts)


# --- the shared voice with a whole world ---------------------------------------------------------------------------


def scenarios_of(domain: Domain, split: str) -> ScenarioTable:
    """The scenarios of the first world of a split."""
    return domain.scenarios_of(f"{split}-0")


@st.composite
def a_phrasing(draw: Any, domain: Domain) -> tuple[str, str, int]:
    """The name of a task of the first world of a split, the split, and a random number."""
    split = draw(st.sampled_from(SPLITS))
    return draw(st.sampled_from(sorted(scenarios_of(domain, split).shapes))), split, draw(st.integers(0, 10**6))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_composed_texts_are_well_formed(workshop: Domain, data: st.DataObject) -> None:
    """Every variant states every slot that the plan takes, begins with a capital letter, and has no trace of notation."""
    name, split, number = data.draw(a_phrasing(workshop))
    scenarios = scenarios_of(workshop, split)
    phrasings = scenarios.phrasings(name)
    phrasing = phrasings[number % len(phrasings)]
    parts = phrasing.variant_parts(number % phrasing.variants)
    text = "".join(each if isinstance(each, str) else each.wording or "Nine" for each in parts)
    assert {each.name for each in parts if isinstance(each, Slot)} >= {*scenarios[name].slots}
    assert re.search(r"[{}\[\]|~<>\x02]|  | [.,?!]|\.\.|,,", text) is None
    assert re.fullmatch(r"\W?[A-Z0-9].*", text), text
    assert re.search(r"[.?!] [a-z]", text) is None, text


@pytest.mark.parametrize("split", SPLITS)
def test_no_two_phrasings_of_a_task_are_the_same(workshop: Domain, split: str) -> None:
    """The variants of all phrasings of a task in a split are different texts."""
    scenarios = scenarios_of(workshop, split)
    for name in list(scenarios.shapes)[::23]:
        phrasings = scenarios.phrasings(name)
        composed = [text for at in range(len(phrasings)) for text in sorted(variants(phrasings[at]))]
        assert len(phrasings) >= FEWEST_PHRASINGS
        assert len({*composed}) == len(composed) == sum(phrasings[at].variants for at in range(len(phrasings)))


def test_splits_share_no_first_sentence(workshop: Domain) -> None:
    """A task begins with other words in each split: patterns and verb phrases are divided among them."""
    scenarios = scenarios_of(workshop, "train")
    for name in list(scenarios.shapes)[::11]:
        phrasings = [
            TaskPhrasings(scenarios.task(name), workshop, voice_of_split(workshop.voice, split), split)
            for split in SPLITS
        ]
        openers = [{(each.pattern, each.verb) for each in map(of._openers.at, range(len(of)))} for of in phrasings]
        assert not any(openers[at] & openers[other] for at, other in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("turn down {it} for now", "turn {it} down for now"),
        ("[close|shut] down {it}", "[close|shut] {it} down"),
        ("pass on {it} to them", "pass {it} on to them"),
        ("sign off on {it}", "sign off on {it}"),
        ("follow up on {it}", "follow up on {it}"),
    ],
)
def test_the_particle_of_a_verb_stands_after_a_pronoun(text: str, expected: str) -> None:
    """Nobody says "turn down them"."""
    assert _PARTICLE.sub(r"\1 {it} \2", text) == expected


@pytest.mark.parametrize(
    "text", ["get me {it}", "{status:turn down} {it}", "[open|pull up] {it}", "[give me|show me] {it}"]
)
def test_some_texts_take_no_pronoun(text: str) -> None:
    """Where the particle cannot be moved, another text is taken."""
    assert _UNFIT_FOR_PRONOUN.search(text)
    assert not _UNFIT_FOR_PRONOUN.search("[open|see] {it}")
