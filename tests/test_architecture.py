"""The shape of the code: imports point one way, nothing depends on the clock, files stay readable."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "gatling_sid.models", "gatling_sid.errors", "gatling_sid.seeding", "gatling_sid.novelty",
        "gatling_sid.also_on_class",
    ),
    ("gatling_sid.digests",),
    ("gatling_sid.schemas",),
    ("gatling_sid.simulator",),
    ("gatling_sid.scenarios",),
    ("gatling_sid.oracle", "gatling_sid.validators"),
    ("gatling_sid",),  # generator, display and whatever else stands beside them
    ("builder",),
    ("dataset_card",),
    ("scripts",),
)  # fmt: skip
ROOMS = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}
FILES = sorted(
    path for room in ("gatling_sid", "builder", "dataset_card", "scripts") for path in (ROOT / room).rglob("*.py")
)
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]
MOST_LINES = 450


def imported(tree: ast.AST, package: str = "") -> Iterator[str]:
    """Dotted names of everything a module imports, wherever in it the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: -node.level + 1 or None]) + "." if node.level else ""
            yield from (f"{base}{node.module or ''}.{alias.name}".replace("..", ".") for alias in node.names)


def room(name: str) -> str | None:
    """The most specific of our rooms that a dotted name lies in, or None if it is not ours."""
    return next((each for each in sorted(ROOMS, key=len, reverse=True) if f"{name}.".startswith(f"{each}.")), None)


def uphill(name: str, tree: ast.AST) -> list[str]:
    """The imports of a module that point to its own layer's other rooms or to a later layer."""
    own = room(name) or ""
    theirs = ((each, room(each)) for each in imported(tree, name.rpartition(".")[0]))
    return [each for each, other in theirs if other not in (None, own) and ROOMS[other or ""] >= ROOMS[own]]


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def dotted(path: Path) -> str:
    """The module name of a file of ours."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_point_one_way(path: Path) -> None:
    """A module imports only from its own room and from layers before it; oracle and validators never meet."""
    assert uphill(dotted(path), parsed(path)) == []


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        ("gatling_sid.oracle.x", "from gatling_sid.validators import V", ["gatling_sid.validators.V"]),
        ("gatling_sid.validators.x", "from gatling_sid import oracle", ["gatling_sid.oracle"]),
        ("gatling_sid.validators.x", "from ..oracle import speech", ["gatling_sid.oracle.speech"]),
        ("gatling_sid.models", "from . import errors", ["gatling_sid.errors"]),
        ("gatling_sid.schemas.x", "def f():\n  import gatling_sid.simulator.world", ["gatling_sid.simulator.world"]),
        ("gatling_sid.simulator.x", "from gatling_sid.generator import generate", ["gatling_sid.generator.generate"]),
        ("gatling_sid.views.text", "import builder.sid", ["builder.sid"]),
        ("builder.x", "from dataset_card import card", ["dataset_card.card"]),
        ("gatling_sid.views.text", "from gatling_sid.validators.trace_context import Case", []),
        ("scripts.x", "from builder import run\nimport json, builders", []),
    ],
)
def test_the_rule_sees_what_it_forbids(module: str, line: str, found: list[str]) -> None:
    """Every way to write an import against the order is found, and none along it."""
    assert uphill(module, ast.parse(line)) == found


def test_making_traces_needs_no_hub() -> None:
    """gatling_sid never imports datasets, pyarrow or the Hub's client."""
    barred = {"datasets", "pyarrow", "huggingface_hub"}
    found = {
        (name, each)
        for path, name in zip(FILES, NAMES, strict=True)
        for each in imported(parsed(path))
        if name.startswith("gatling_sid/") and each.split(".")[0] in barred
    }
    assert found == set()


CLOCKS = {
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime", "strftime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "os": {"urandom", "getrandom"},
}


def chancy(tree: ast.AST) -> Iterator[str]:
    """Uses of the clock, of Python's one shared random stream and of random ids."""
    for name in imported(tree):
        head, _, tail = name.partition(".")
        if (
            head in ("uuid", "secrets")
            or (head == "random" and tail not in ("", "Random"))
            or tail in CLOCKS.get(head, ())
        ):
            yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if node.attr in CLOCKS.get(owner, ()) or (owner == "random" and node.attr != "Random"):
                yield f"{owner}.{node.attr}"


def test_nothing_is_left_to_chance() -> None:
    """No module that makes traces reads the clock or draws unseeded; created_at's default alone is the time of day."""
    found = [
        (name, each)
        for path, name in zip(FILES, NAMES, strict=True)
        if name.startswith("gatling_sid/") and not name.startswith("gatling_sid/oracle/claude/")  # calls take time
        for each in chancy(parsed(path))
    ]
    assert found == [("gatling_sid/models.py", "datetime.now")]


@pytest.mark.parametrize(
    "line",
    [
        "import uuid", "from uuid import uuid4", "import secrets", "from random import choice", "random.shuffle(x)",
        "time.time()", "from time import time", "datetime.now()", "datetime.datetime.utcnow()", "date.today()",
        "datetime.date.today()", "os.urandom(4)",
    ],
)  # fmt: skip
def test_the_rule_sees_chance(line: str) -> None:
    """Each of the ways to depend on chance is found."""
    assert len(list(chancy(ast.parse(line)))) == 1


def test_seeded_randomness_is_no_chance() -> None:
    """A stream with a seed, and the type of one, are fine."""
    line = "import random, time\nrandom.Random(1).random(); rng: random.Random; rng.choice(x); time.monotonic()"
    assert list(chancy(ast.parse(line))) == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_files_stay_readable(path: Path) -> None:
    """No file is longer than 450 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
