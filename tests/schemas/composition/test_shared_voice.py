"""The shared voice: every text is well formed for its purpose, and no two splits share one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatling_sid.errors import CatalogueError
from gatling_sid.schemas.domain import SPLITS
from gatling_sid.schemas.language.alternatives import alternatives_of
from gatling_sid.schemas.language.phrasing import phrasing_of
from gatling_sid.schemas.language.shared_voice import (
    Register,
    SharedVoice,
    parse_shared_voice,
    part_of_split,
    voice_of_split,
)
from gatling_sid.schemas.language.voice_checks import voice_problems
from gatling_sid.schemas.registry import VOICE

CONTENT = VOICE.read_bytes()
SHARED = parse_shared_voice(CONTENT, VOICE.name)
REGISTERS: tuple[Register, ...] = ("neutral", "casual", "formal")


def lists_of(voice: SharedVoice) -> Iterator[tuple[str, list[str]]]:
    """Yields (key, texts) of every list that is divided among the splits."""

    def walk(key: str, content: Any) -> Iterator[tuple[str, list[str]]]:
        if isinstance(content, list):
            yield key, content
        else:
            for name, each in content.items():
                yield from walk(f"{key}.{name}" if key else name, each)

    yield from ((key, texts) for key, texts in walk("", voice.model_dump()) if key not in ("joins", "durations"))


LISTS = dict(lists_of(SHARED))


@pytest.mark.parametrize("key", LISTS)
def test_texts_are_tidy(key: str) -> None:
    """Whichever alternatives are taken, no text begins or ends with a blank or has two, and each states what it has to."""
    for text in LISTS[key]:
        phrasing = phrasing_of(text)
        assert all(phrasing.always_states(each.name) for each in phrasing.slots()), text
        assert all(each == each.strip() and "  " not in each for each in phrasing.plain_renderings()), text


@pytest.mark.parametrize("key", LISTS)
def test_no_two_texts_of_a_list_read_alike(key: str) -> None:
    """No variant of a text is a variant of another one, also without capitals and full stop, or with "my rows"."""
    found = Counter(
        each.casefold().removesuffix(".").replace("{rows}", "{it}")
        for text in LISTS[key]
        for each in {"".join(p if isinstance(p, str) else p.wording or f"{{{p.name}}}" for p in phrasing_of(text).variant_parts(at))
                     for at in range(phrasing_of(text).variants)}
    )  # fmt: skip
    assert [text for text, times in found.items() if times > 1] == []


@pytest.mark.parametrize(
    "key", [key for key in LISTS if not key.startswith(("patterns", "verbs", "questions", "about", "composed.facts"))]
)
def test_what_stands_around_a_request_is_a_sentence(key: str) -> None:
    """Openings, closings and reasons are plain; a reason begins with a capital letter and ends with a full stop."""
    for text in LISTS[key]:
        assert not set(text) & set("{}[]|")
        if key.startswith("reasons"):
            assert re.fullmatch(r"[A-Z].*[.!?]", text), text


@pytest.mark.parametrize("key", [key for key in LISTS if not key.startswith("composed")])
def test_splits_share_no_text(key: str) -> None:
    """Each text belongs to one split, and each split has some."""
    parts = {split: dict(lists_of(voice_of_split(SHARED, split)))[key] for split in SPLITS}
    assert all(parts.values())
    assert sorted(text for texts in parts.values() for text in texts) == sorted(LISTS[key])
    assert len(parts["train"]) > 2 * len(parts["test"])


def test_joins_belong_to_all() -> None:
    """The few words that join two verb phrases are those of every split."""
    assert all(voice_of_split(SHARED, split).joins == SHARED.joins for split in SPLITS)


@given(st.lists(st.text(max_size=3), max_size=45, unique=True))
def test_lists_are_divided(texts: list[str]) -> None:
    """Three or more texts are divided among the splits without a rest, about one in ten for validation and for test."""
    parts = [list(part_of_split(texts, split)) for split in SPLITS]
    if len(texts) < 3:
        assert parts == [texts] * 3
    else:
        assert sorted(chain.from_iterable(parts)) == sorted(texts)
        assert all(parts)
        assert max(len(parts[1]), len(parts[2])) <= max(1, -(-len(texts) // 10))


def test_a_text_that_is_added_at_the_end_moves_no_other() -> None:
    """Texts keep their split when a long list grows."""
    texts = [str(number) for number in range(25)]
    for split in SPLITS:
        before, after = part_of_split(texts, split), part_of_split([*texts, "25", "26"], split)
        assert list(after)[: len(before)] == list(before)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"joins:", b"joints:", "voice.yaml: joins: Field required"),
        (b"patterns:\n", b"patterns:\n  do_not: {}\n", "voice.yaml: patterns.do_not: Extra inputs are not permitted"),
        (b'"{do}."', b'"{done}."', "voice.yaml: patterns.do: '{done}.' needs {do}"),
        (b'"{do}."', b'"{do} {do}."', "voice.yaml: patterns.do: '{do} {do}.' needs {do}"),
        (b'"Any {rows}?"', b'"Any {it}?"', "voice.yaml: patterns.any: 'Any {it}?' needs {rows}"),
        (b'"by {group}"', b'"by {}"', "voice.yaml: verbs.grouped: 'by {}': unmatched {, }, [, ] or | in 'by {}'"),
        (b'"delete {it}"', b'"delete"', "voice.yaml: verbs.delete: 'delete' needs {it}"),
        (
            b'"find the {measure:maximum} {field} of {it}"',
            b'"find the {field} of {it}"',
            "voice.yaml: verbs.maximum: 'find the {field} of {it}' needs {field} and {it} and {measure}, each once",
        ),
        (
            b'"Ta!"',
            b'"Ta, {it}!"',
            "voice.yaml: closings: 'Ta, {it}!' is not a plain text, without braces, brackets or superfluous blanks",
        ),
        (
            b'"Ta!"',
            b'"[Ta|Thx]!"',
            "voice.yaml: closings: '[Ta|Thx]!' is not a plain text, without braces, brackets or superfluous blanks",
        ),
        (
            b'"Hi!"',
            b'"Hi! "',
            "voice.yaml: openings: 'Hi! ' is not a plain text, without braces, brackets or superfluous blanks",
        ),
        (b'"Hi!"', b'"Hello!"', "voice.yaml: openings: 'Hello!' can be read twice in this list; remove one of them"),
        (b'"{do}."', b'"[Please {do}|Now]."', "voice.yaml: patterns.do: '[Please {do}|Now].' needs {do}"),
        (
            b'"{do}."',
            b'"{do:pay}."',
            "voice.yaml: patterns.do: '{do:pay}.': words stand in braces only after `measure:`, and always there",
        ),
        (
            b'"{do}."',
            b'"[{do}|Please {do}]."',
            "voice.yaml: patterns.do: 'Please {do}.' can be read twice in this list; remove one of them",
        ),
        (b"  show_again: [", b"  show_agian: [", "voice.yaml: verbs.show_again: is missing; add its texts"),
        (b"  longest: [", b"  tallest: [", "voice.yaml: verbs.longest: is missing; add its texts"),
    ],
)
def test_a_voice_of_another_form_is_refused(old: bytes, new: bytes, problem: str) -> None:
    """What is missing or unknown is named with its key."""
    with pytest.raises(CatalogueError) as caught:
        parse_shared_voice(CONTENT.replace(old, new, 1), VOICE.name)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("edit", "key", "problem"),
    [
        (
            lambda voice: voice["verbs"].update(wave=["wave at {it}"]),
            "verbs.wave",
            "is not known; known are average, count,",
        ),
        (lambda voice: voice["verbs"].update(show=[]), "verbs.show", "has no texts; write some"),
        (lambda voice: voice["questions"].pop("count"), "questions.count", "is missing; add its texts"),
        (lambda voice: voice.update(joins=[]), "joins", "has no texts; write some"),
        (
            lambda voice: voice["patterns"]["do"].update(neutral=["{do}."]),
            "patterns.do.neutral",
            "has fewer than 60 texts",
        ),
    ],
)
def test_lists_that_lack_something_are_refused(
    edit: Callable[[dict[str, Any]], object], key: str, problem: str
) -> None:
    """Lists are neither missing nor unknown, empty or too short to be divided among the splits."""
    voice = SHARED.model_dump()
    assert list(voice_problems(voice)) == []
    edit(voice)
    found = dict(voice_problems(voice))
    assert found[key].startswith(problem)


def test_no_other_text_is_a_verb_phrase_in_a_pattern() -> None:
    """What a pattern of `do` makes of a verb phrase is no question and no other pattern, or splits could say the same."""
    composed: dict[str, set[str]] = {}
    patterns = [each for register in REGISTERS for each in SHARED.patterns_of("do", register)]
    for key, listed in SHARED.verbs.items():
        verbs = [f"{each} {{it}}" for each in listed] if key == "show" else listed
        pairs = product(*(chain.from_iterable(map(alternatives_of, texts)) for texts in (patterns, verbs)))
        composed[key] = {plain(pattern.replace("{do}", verb)) for pattern, verb in pairs}
    for key, questions in SHARED.questions.items():
        of_verbs = composed[f"show_{key}" if key.startswith("columns") else key]
        assert [each for text in questions for each in alternatives_of(text) if plain(each) in of_verbs] == []
    for kind in ("need", "any"):
        texts = [
            each
            for register in REGISTERS
            for text in SHARED.patterns_of(kind, register)
            for each in alternatives_of(text)
        ]
        assert [each for each in texts if plain(each.replace("{rows}", "{it}")) in composed["show"]] == []


def plain(text: str) -> str:
    """A text without the marks of its measure, in small letters."""
    return re.sub(r"\{measure:([^{}]*)\}", r"\1", text).casefold()
