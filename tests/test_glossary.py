"""The glossary and the code agree: its terms are used, and the words it replaces name nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("gatling_sid", "builder", "dataset_card", "scripts")
GLOSSARY = (ROOT / "docs/GLOSSARY.md").read_text(encoding="utf-8")
TERMS = sorted(
    {term for line in GLOSSARY.splitlines() if line.startswith("| ") for term in re.findall(r"\*\*(.+?)\*\*", line)}
)
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
"""A word within a name: `cache_warmup` and `CacheWarmup` have two, `LLMRequest` has LLM and Request."""


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


def banned(names: Iterator[Name]) -> list[str]:
    """The names that use a word of the glossary's lists, with their places."""
    return [f"{name.place}: {name.text}" for name in names if is_banned(name)]


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


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_uses_a_replaced_word(package: str) -> None:
    """Names of the code, wherever they are given, have none of the words that the glossary lists at its end."""
    paths = sorted((ROOT / package).rglob("*.py"))
    modules = ((path.relative_to(ROOT).as_posix(), ast.parse(path.read_bytes())) for path in paths)
    assert [each for module, tree in modules for each in banned(names_in(tree, module))] == []


def test_names_are_found_wherever_they_are_given() -> None:
    """A replaced word is seen in each kind of name, as a part or whole; a longer word that holds it is another word."""
    code = """
import os as deck
class SpareWorld:
    scenes: int
def told(asking, *dealt, **spins):
    self.warmth = settings = 1
    for case in (setting := 1, cases): pass
    with deckhand as foretold: pass
async def said(): pass
def judged(): judged = deckhand
"""
    found = [each.rpartition(": ")[2] for each in banned(names_in(ast.parse(code), "some/mended.py"))]
    expected = "mended deck SpareWorld scenes told asking dealt spins warmth case setting said judged"
    assert sorted(found) == sorted(expected.split())
