"""The glossary and the code agree: its terms are used; the words it replaces are no names and stand in no text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("gatling_sid", "builder", "dataset_card", "scripts")
FOLDERS = (*PACKAGES, "tests", "benchmarks")
GLOSSARY = (ROOT / "docs/GLOSSARY.md").read_text(encoding="utf-8")
TERMS = sorted(
    {term for line in GLOSSARY.splitlines() if line.startswith("| ") for term in re.findall(r"\*\*(.+?)\*\*", line)}
)
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
"""A word within a name: `cache_warmup` and `CacheWarmup` have two, `LLMRequest` has LLM and Request."""
NAMES_IN_TESTS = {"case"}
"""Banned names that tests may use: a case of a parametrised test is called so everywhere."""
WORDS_IN_TEXTS = {"asking"}
"""Banned parts of names that texts may use: as a verb, the word is plain English ("asking for notes")."""


class Name(NamedTuple):
    """A name that the code gives to something, and where."""

    text: str
    place: str
    is_function: bool = False


def listed_words(introduction: str) -> set[str]:
    """The words of the list in the glossary that begins so."""
    line = next(line for line in GLOSSARY.splitlines() if line.startswith(introduction))
    return set(line.partition(": ")[2].rstrip(".").split(", "))


BANNED_PARTS = listed_words("No name of a module,")
BANNED_NAMES = listed_words("No name is one of these words")
BANNED_FUNCTIONS = listed_words("No function is called")


def parts_of(name: str) -> list[str]:
    """The words a name is made of, in lower case."""
    return [part.lower() for part in PART.findall(name)]


def names_in(tree: ast.AST, module: str) -> Iterator[Name]:
    """Every name that a module gives: to itself, classes, functions, parameters, attributes, variables, imports."""
    yield Name(module.rpartition("/")[2].removesuffix(".py"), module)
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield Name(name, f"{module}:{node.lineno}", is_function=True)
            case ast.ClassDef(name=name) | ast.arg(arg=name) | ast.alias(asname=str(name)):
                yield Name(name, f"{module}:{node.lineno}")
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield Name(name, f"{module}:{node.lineno}")


def is_banned(name: Name) -> bool:
    """Whether a name is in one of the glossary's lists of words that name nothing."""
    words = BANNED_NAMES | BANNED_FUNCTIONS if name.is_function else BANNED_NAMES
    return name.text.strip("_").lower() in words or not BANNED_PARTS.isdisjoint(parts_of(name.text))


def banned(names: Iterable[Name]) -> list[str]:
    """The names that use a word of the glossary's lists, with their places."""
    return [f"{name.place}: {name.text}" for name in names if is_banned(name)]


def docstrings_in(tree: ast.AST) -> Iterator[ast.Constant]:
    """The docstrings of a module, its classes and functions, and the strings that stand below a constant."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as text):
                yield text


def strings_in(tree: ast.AST) -> Iterator[ast.Constant]:
    """All string literals of a module: docstrings, messages, and the fixed parts of f-strings."""
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def texts_with_banned_words(texts: Iterable[ast.Constant], module: str) -> list[str]:
    """The banned words that stand whole in texts, in whatever letter case, with the places of the texts."""
    return [
        f"{module}:{text.lineno}: {word}"
        for text in texts
        for word in re.findall(r"[a-z]+", str(text.value).lower())
        if word in BANNED_PARTS - WORDS_IN_TEXTS
    ]


def modules_in(folder: str) -> Iterator[tuple[str, ast.AST]]:
    """Path and syntax tree of every Python file in a folder, except this one, which quotes the words."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path != Path(__file__):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_bytes())


@cache
def words_of_the_code() -> str:
    """The words of all Python files, names taken apart, in lower case and between single spaces."""
    texts = (path.read_text(encoding="utf-8") for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return " ".join(part for text in texts for part in parts_of(text))


@pytest.mark.parametrize("term", TERMS)
def test_every_term_is_used(term: str) -> None:
    """A term in bold stands in the code, in a name or in words, in the singular or the plural."""
    words = " ".join(parts_of(term)).replace("warm up", "warmup")
    assert re.search(rf"\b{words}s?\b", words_of_the_code())


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_uses_a_replaced_word(folder: str) -> None:
    """Names, wherever code or tests give them, have none of the words that the glossary lists at its end."""
    allowed = frozenset() if folder in PACKAGES else NAMES_IN_TESTS
    names = (name for module, tree in modules_in(folder) for name in names_in(tree, module))
    assert banned(name for name in names if name.text not in allowed) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_text_uses_a_replaced_word(folder: str) -> None:
    """No docstring has a word that is banned from names; outside tests, no other text has one either."""
    texts_of = strings_in if folder in PACKAGES else docstrings_in
    assert [
        each for module, tree in modules_in(folder) for each in texts_with_banned_words(texts_of(tree), module)
    ] == []


def test_banned_words_in_texts_are_found() -> None:
    """A banned word is seen in docstrings, messages and f-strings, in any letter case; longer words are other words."""
    code = '''
"""Told in a docstring."""
LIMIT = 3
"""Spare text below a constant."""
message = "a foretold sceneryman on a scene"
other = f"{message} was mended"
'''
    tree = ast.parse(code)
    found = [each.rpartition(": ")[2] for each in texts_with_banned_words(strings_in(tree), "some.py")]
    assert sorted(found) == ["mended", "scene", "spare", "told"]
    found = [each.rpartition(": ")[2] for each in texts_with_banned_words(docstrings_in(tree), "some.py")]
    assert sorted(found) == ["spare", "told"]


def test_names_are_found_wherever_they_are_given() -> None:
    """A replaced word is seen in each kind of name, as a part or whole; a longer word that holds it is another word."""
    code = """
import os as gazetteer
class SpareWorld:
    scenes: int
def told(asking, *dealt, **spins):
    self.warmth = settings = 1
    for case in (setting := 1, cases): pass
    with sceneryman as foretold: pass
async def opened(): pass
def judged(): judged = sceneryman
"""
    found = [each.rpartition(": ")[2] for each in banned(names_in(ast.parse(code), "some/mended.py"))]
    expected = "mended gazetteer SpareWorld scenes told asking dealt spins warmth case setting opened judged"
    assert sorted(found) == sorted(expected.split())
