"""Measures of how varied request texts are, and how much they look like requests that people write.

Most values depend on the number of texts, so each is compared only with values over as many texts. A masked text lacks
what differs between two requests of the same pattern: argument values, names, numbers, dates and quotations.
"""

from __future__ import annotations

import math
import re
import statistics
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gatling_sid.quality.near_copies import near_copy_share

FEW, SOME, MANY, ALL = 500, 2_000, 10_000, 80_000
"""Sizes of the samples of texts; 80,000 is what each of 50 domains has in a dataset of four million."""

FUNCTION_WORDS = frozenset(
    """
    'd 'll 'm 're 's 've a about above across after again against all also am an and any are aren't as at be because
    been before being below between both but by can can't could couldn't dear did didn't do does doesn't doing don't
    done down during each else few find for from further get gets give got had has have having he hello help her here
    hey hi him his how i i'd i'll i'm i've if in into is isn't it it's its just know let let's lets like list make may
    me might more most must my n't need needs no nor not of off ok okay on once only or other our out over own per
    please same see shall she should shouldn't show so some such sure tell than thank thanks that that's the their them
    then there these they they're this those through to too under until up us use using very via want wants was we we're
    were what what's when where which while who whom whose why will with within without won't would wouldn't you you're
    your
    """.split()  # noqa: SIM905 (a list of strings would be hard to read)
)
"""Words that make the skeleton of a text; all others are its content."""

_TOKEN = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*|\d+(?:[.,:]\d+)*|[^\W\d_]+|\S")
_MONTH = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|"
    "nov(?:ember)?|dec(?:ember)?"
)
_WEEKDAY = "(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?s?"
_NAME = r"[A-Z][\w'’&-]*"
_MASKS = [
    (re.compile(pattern), marker)
    for pattern, marker in (
        (r"https?://\S+|www\.\S+", " <url> "),
        (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", " <email> "),
        (
            r"""“[^”]{1,200}”|`[^`]{1,200}`|‘[^’]{1,200}’|"[^"]{1,200}"|(?<![A-Za-z])'[^']{1,200}'(?![A-Za-z])""",
            " <x> ",
        ),
        (r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?Z?)?\b", " <x> "),
        (r"(?:[A-Za-z]:)?(?:[\\/~][\w.\-]+){2,}", " <path> "),
        (
            r"(?i)\b[\w-]+\.(?:txt|csv|pdf|docx?|xlsx?|json|png|jpe?g|mp[34]|wav|py|html?|md|zip|log|pptx?)\b",
            " <file> ",
        ),
        (r"#?\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z_])[\w-]+\b", " <x> "),  # ids
        (r"[$€£¥]?\d+(?:[.,:/]\d+)*%?", " <x> "),
        (rf"(?i)\b(?:{_MONTH}|{_WEEKDAY})\b\.?", " <x> "),
        # Names: words with a capital that begin neither the text nor a sentence.
        (
            rf"(?<![.!?]\s)(?<!^)(?<!^\W)\b(?!I\b|I['’]){_NAME}(?:\s+(?:(?:of|de|the|and|&)\s+)?{_NAME})*",
            " <x> ",
        ),
    )
]
"""What is masked, in this order, and the marker that replaces it."""

_CAN_YOU = re.compile(r"\b(?:can|could) you\b", re.IGNORECASE)
_I_NEED = re.compile(r"\bi (?:need|want|would like)\b|\bi['’]d like\b", re.IGNORECASE)
_SPACED_DASH = re.compile(r"\s[-–—]\s")

MARKS: Mapping[str, Callable[[str], bool]] = {
    "question mark": lambda text: "?" in text,
    "can you, could you": lambda text: bool(_CAN_YOU.search(text)),
    "I need, want, 'd like": lambda text: bool(_I_NEED.search(text)),
    "colon": lambda text: ":" in text,
    "spaced dash": lambda text: bool(_SPACED_DASH.search(text)),
    "all lower case": str.islower,
}
"""Marks that tell generated requests from those of real users."""
MEASURES_OF_EACH_TEXT = frozenset(
    {*MARKS, "opening, reason or closing", "tokens, mean", "tokens, standard deviation", "seven tokens or fewer"}
)
"""Measures that look at each text by itself, so that few texts have about the values that many have."""

_SKELETON_LENGTH, _LEAST_FUNCTION_WORDS, _LEAST_OTHERS = 8, 3, 5
_SMOOTHING = 0.1
"""Matches that are counted where no n-gram of a length matches."""


class Text(NamedTuple):
    """A request's text, plain and masked, and whether it has an opening, a reason or a closing."""

    text: str
    masked: str
    is_framed: bool


class TextValue(NamedTuple):
    """The value of a measure over the beginning of a sample, which has up to `size` texts."""

    name: str
    size: int
    value: float


def text_values(texts: Sequence[Text]) -> Iterator[TextValue]:
    """Yields the values of all measures of texts that are in no particular order; each name ends with the size."""
    for size, values_of in ((FEW, _values_of_few), (SOME, _values_of_some), (MANY, _values_of_many)):
        for name, value in values_of(texts[:size]):
            yield TextValue(f"{name} at {size:,}", size, value)
    if len(texts) > MANY:
        yield TextValue(f"ndm_char5 at {ALL:,}", ALL, near_copy_share([each.masked for each in texts[:ALL]]))


def _values_of_few(texts: Sequence[Text]) -> Iterator[tuple[str, float]]:
    tokens = [tokens_of(each.text) for each in texts]
    yield "self_bleu4", self_bleu(tokens)
    yield "self_bleu4 masked", self_bleu([each.masked.split() for each in texts])
    yield "distinct_2", distinct_share(tokens, 2)
    yield "distinct_3", distinct_share(tokens, 3)
    yield "open3_eff", effective_openings(tokens)


def _values_of_some(texts: Sequence[Text]) -> Iterator[tuple[str, float]]:
    tokens = [tokens_of(each.text) for each in texts]
    yield "skel8_frac", skeleton_share(each.masked for each in texts)
    yield "cr_zlib", compression_ratio(each.text for each in texts)
    yield "dup_template", repeated_share([each.masked for each in texts])
    yield "open3_eff", effective_openings(tokens)
    lengths = [len(each) for each in tokens]
    low, high = np.percentile(lengths, (5, 95))
    yield "tokens, mean", statistics.fmean(lengths)
    yield "tokens, standard deviation", statistics.pstdev(lengths)
    yield "tokens, 5th percentile", float(low)
    yield "tokens, 95th percentile", float(high)
    yield "seven tokens or fewer", share(length <= 7 for length in lengths)


def _values_of_many(texts: Sequence[Text]) -> Iterator[tuple[str, float]]:
    yield "nd_char5", near_copy_share([" ".join(each.text.lower().split()) for each in texts])
    yield "ndm_char5", near_copy_share([each.masked for each in texts])
    yield "dup_template", repeated_share([each.masked for each in texts])
    yield "open3_eff", effective_openings(tokens_of(each.text) for each in texts)
    for name, has_mark in MARKS.items():
        yield name, share(has_mark(each.text) for each in texts)
    yield "opening, reason or closing", share(each.is_framed for each in texts)


# --- the measures ----------------------------------------------------------------------------------------------


def tokens_of(text: str) -> list[str]:
    """The words, numbers and punctuation marks of a text, in lower case."""
    return _TOKEN.findall(text.lower())


def mask(text: str, values: Iterable[str] = ()) -> str:
    """The text in lower case, with markers for these values, longest first, and for names, numbers, dates, quotations."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, " <x> ")
    for pattern, marker in _MASKS:
        text = pattern.sub(marker, text)
    text = re.sub(r"(?:<x>[\s,]*)+", " <x> ", text.lower())
    return " ".join(re.sub(r"[^\w<>' ]+", " ", text).split())


def share(values: Iterable[object]) -> float:
    """The share of values that are true; 0.0 if there are none."""
    flags = [bool(each) for each in values]
    return sum(flags) / len(flags) if flags else 0.0


def distinct_share(token_lists: Iterable[Sequence[str]], length: int) -> float:
    """The number of different n-grams of a length, divided by the number of all."""
    counts = Counter(gram for tokens in token_lists for gram in _grams(tokens, length))
    return len(counts) / counts.total()


def _grams(tokens: Sequence[str], length: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[at : at + length]) for at in range(len(tokens) - length + 1)]


def self_bleu(token_lists: Sequence[Sequence[str]]) -> float:
    """The mean BLEU-4 of each text with all other texts as its references; lower is more varied."""
    precisions = [_precisions(token_lists, length) for length in (1, 2, 3, 4)]
    lengths = Counter(map(len, token_lists))
    total = 0.0
    for at, tokens in enumerate(token_lists):
        if precisions[0][at] > 0:
            logarithms = [math.log(each[at]) for each in precisions]
            total += math.exp(sum(logarithms) / 4) * _brevity_penalty(len(tokens), lengths)
    return total / len(token_lists)


def _precisions(token_lists: Sequence[Sequence[str]], length: int) -> list[float]:
    """For each text, the share of its n-grams of a length that another text has, as often as that one has them."""
    counts = [Counter(_grams(tokens, length)) for tokens in token_lists]
    most, second_most = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for each in counts:
        for gram, times in each.items():
            if times > most[gram]:
                most[gram], second_most[gram] = times, most[gram]
            elif times > second_most[gram]:
                second_most[gram] = times
    precisions = []
    for each in counts:
        # The most in any other text: if no text has more than this one, it is the second most.
        matches = sum(
            min(times, most[gram] if times < most[gram] else second_most[gram]) for gram, times in each.items()
        )
        smoothed = matches or (0 if length == 1 else _SMOOTHING)
        precisions.append(smoothed / max(1, each.total()))
    return precisions


def _brevity_penalty(length: int, lengths: Counter[int]) -> float:
    """Below 1 if the length of the other text that is nearest in length is greater."""
    others = [each for each, count in lengths.items() if each != length or count > 1]
    nearest = min(others, key=lambda each: (abs(each - length), each), default=length)
    return 1.0 if length > nearest else math.exp(1 - nearest / max(1, length))


def skeleton_share(masked_texts: Iterable[str]) -> float:
    """The share of 8-word skeletons, among all with three or more function words, that stand in five other texts or more."""
    skeletons_by_text = []
    for text in masked_texts:
        grams = _grams(_skeleton(text), _SKELETON_LENGTH)
        skeletons_by_text.append(
            [gram for gram in grams if _SKELETON_LENGTH - gram.count("_") >= _LEAST_FUNCTION_WORDS]
        )
    texts_with = Counter(gram for skeletons in skeletons_by_text for gram in set(skeletons))
    return share(texts_with[gram] > _LEAST_OTHERS for skeletons in skeletons_by_text for gram in skeletons)


def _skeleton(masked: str) -> list[str]:
    """The function words of a text, with one underscore for each run of other words."""
    skeleton: list[str] = []
    for word in masked.split():
        part = word if word in FUNCTION_WORDS else "_"
        if part != "_" or skeleton[-1:] != ["_"]:
            skeleton.append(part)
    return skeleton


def compression_ratio(texts: Iterable[str]) -> float:
    """How many times smaller zlib makes all texts together; lower is more varied."""
    data = "\n".join(texts).encode()
    return len(data) / len(zlib.compress(data, 9))


def effective_openings(token_lists: Iterable[Sequence[str]]) -> float:
    """How many equally frequent openings of three tokens would be as varied: the exponential of their entropy."""
    counts = Counter(tuple(tokens[:3]) for tokens in token_lists)
    total = counts.total()
    return math.exp(-sum(count / total * math.log(count / total) for count in counts.values()))


def repeated_share(masked_texts: Sequence[str]) -> float:
    """The share of texts that are equal to an earlier one once values and names are masked."""
    return 1 - len(set(masked_texts)) / len(masked_texts)
