"""Names and docstrings: no public name means two things, and every public docstring is a sentence."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import FILES, dotted, parsed

SHARED_NAMES = {
    "arguments": "every command has its own command line",
    "main": "every command has its own",
}
"""Names that several modules may define, and why."""
FEWEST_WORDS = 5
COMPLETE_DOCSTRINGS = frozenset({"Closes the connections.", "Plain values for a JSON file."})
"""Shorter docstrings that say all there is to say."""

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public_names(tree: ast.Module) -> Iterator[str]:
    """Names of the classes, functions and constants that a module defines at its top level; imports are none."""
    for node in tree.body:
        if isinstance(node, Definition):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def names_defined_twice(modules: dict[str, ast.Module]) -> dict[str, list[str]]:
    """The modules that define a name, for every name that several define and that is not in `SHARED_NAMES`."""
    places: dict[str, list[str]] = {}
    for module, tree in modules.items():
        for name in sorted(set(public_names(tree)) - SHARED_NAMES.keys()):
            places.setdefault(name, []).append(module)
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def short_docstrings(tree: ast.AST, owner: str = "") -> Iterator[str]:
    """Public classes, functions and methods whose docstring is missing or has too few words; nested functions are private.

    A magic method, `__init__` among them, may go without.
    """
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, Definition) or (node.name.startswith("_") and not node.name.startswith("__")):
            continue
        name, text = f"{owner}{node.name}", ast.get_docstring(node)
        is_magic = node.name.startswith("__")
        if text is None and not is_magic:
            yield f"{name} has no docstring"
        elif text is not None and len(text.split()) < FEWEST_WORDS and text not in COMPLETE_DOCSTRINGS:
            yield f"{name}: {text}"
        if isinstance(node, ast.ClassDef):
            yield from short_docstrings(node, f"{name}.")


def test_no_public_name_is_defined_twice() -> None:
    """Whoever meets a public name in the code knows which thing it is, without looking at the imports."""
    assert names_defined_twice({dotted(path): parsed(path) for path in FILES}) == {}


def test_every_shared_name_is_shared() -> None:
    """The list of exceptions holds no name that could be taken out of it."""
    places = [name for path in FILES for name in set(public_names(parsed(path)))]

    assert [name for name in SHARED_NAMES if places.count(name) < 2] == []


@pytest.mark.parametrize("path", FILES, ids=[dotted(path) for path in FILES])
def test_public_docstrings_are_sentences(path: Path) -> None:
    """Every public class, function and method says what it is or does in five words or more."""
    assert list(short_docstrings(parsed(path))) == []


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("class A: pass", ["A"]),
        ("def f(): pass", ["f"]),
        ("async def f(): pass", ["f"]),
        ("X: int = 1", ["X"]),
        ("X, Y = 1, 2", ["X", "Y"]),
        ("_x = 1\ndef _f(): pass", []),
        ("from a import b\nimport c", []),
        ("class A:\n  def f(self): pass\n  X = 1", ["A"]),
    ],
)
def test_every_kind_of_definition_is_found(line: str, names: list[str]) -> None:
    """Classes, functions and constants of a module are public names; what it imports or hides is not."""
    assert list(public_names(ast.parse(line))) == names


def test_a_name_defined_twice_is_found() -> None:
    """Both modules are named; a name of the list of exceptions is not."""
    modules = {"a": ast.parse("BATCH = 1\ndef main(): pass"), "b": ast.parse("BATCH = 2\ndef main(): pass")}

    assert names_defined_twice(modules) == {"BATCH": ["a", "b"]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def f():\n  '''Its own.'''", ["f: Its own."]),
        ("def f():\n  '''Closes the connections.'''", []),
        ("def f():\n  '''Returns one response per request.'''", []),
        ("def f(): pass", ["f has no docstring"]),
        ("def _f(): pass", []),
        ("class A:\n  '''What a trace needs.'''\n  def __init__(self): pass\n  def f(self): pass",
         ["A: What a trace needs.", "A.f has no docstring"]),
        ("class A:\n  '''One trace that is made.'''\n  def __init__(self):\n    '''No more.'''", ["A.__init__: No more."]),
        ("class _A:\n  def f(self): pass", []),
    ],
)  # fmt: skip
def test_a_short_docstring_is_found(text: str, found: list[str]) -> None:
    """Missing and short docstrings of public things are found wherever they stand."""
    assert list(short_docstrings(ast.parse(text))) == found
