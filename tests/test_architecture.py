"""The shape of the code: imports point one way, nothing depends on the clock, files stay readable."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "gatling_sid.models", "gatling_sid.errors", "gatling_sid.seeding", "gatling_sid.novelty",
        "gatling_sid.instance_or_class_method",
    ),
    ("gatling_sid.digests", "gatling_sid.schemas.strict", "gatling_sid.schemas.yaml_loading"),
    ("gatling_sid.schemas.language",),
    ("gatling_sid.schemas",),
    ("gatling_sid.simulator",),
    ("gatling_sid.scenarios",),
    ("gatling_sid.oracle.protocol",),
    ("gatling_sid.oracle.embedded", "gatling_sid.oracle.claude.messages"),
    ("gatling_sid.oracle.claude.accounting",),
    ("gatling_sid.oracle.claude.transport", "gatling_sid.oracle.claude.plans"),
    ("gatling_sid.oracle.claude.prompts",),
    ("gatling_sid.oracle.claude.estimate",),
    ("gatling_sid.oracle.claude",),  # ClaudeOracle
    ("gatling_sid.oracle.claude.authoring", "gatling_sid.oracle.claude.improve"),
    ("gatling_sid.validators",),
    ("gatling_sid.generator",),
    ("gatling_sid.quality", "gatling_sid.first_draft"),
    ("gatling_sid.domain_report",),
    ("gatling_sid.agent",),
    ("gatling_sid.oracle", "gatling_sid.views"),  # of oracle, the package's face alone: it offers OracleAgent
    ("gatling_sid.domain_check",),
    ("builder",),
    ("dataset_card",),
    ("scripts",),
)  # fmt: skip
ROOMS = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}
MAKER_AND_JUDGE = ("gatling_sid.oracle", "gatling_sid.validators")
"""The maker of traces and their judge; neither imports the other."""
FILES = sorted(
    path for room in ("gatling_sid", "builder", "dataset_card", "scripts") for path in (ROOT / room).rglob("*.py")
)
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]
MOST_LINES = 450
PACKAGES = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in FILES if path.stem == "__init__"}
MODULE = re.compile(r"(gatling_sid|builder|dataset_card|scripts)(\.[a-z_]+)+")


def imported(tree: ast.AST, package: str = "") -> Iterator[str]:
    """Dotted names of everything a module imports, wherever in it the import stands, by string too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
            yield node.value
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: -node.level + 1 or None]) + "." if node.level else ""
            yield from (f"{base}{node.module or ''}.{alias.name}".replace("..", ".") for alias in node.names)


def room(name: str) -> str | None:
    """The most specific of our rooms that a dotted name lies in, or None if it is not ours."""
    return next((each for each in sorted(ROOMS, key=len, reverse=True) if lies_in(name, each)), None)


def lies_in(name: str, package: str) -> bool:
    """Whether a dotted name is a package's or of something in it."""
    return f"{name}.".startswith(f"{package}.")


def uphill(name: str, tree: ast.AST) -> list[str]:
    """The imports of a module that point to another room of its own layer, to a later layer, or across `MAKER_AND_JUDGE`."""
    own = room(name) or ""
    mine, others = ([each for each in MAKER_AND_JUDGE if lies_in(name, each) is side] for side in (True, False))
    found = []
    for each in imported(tree, name if name in PACKAGES else name.rpartition(".")[0]):
        other = room(each)
        crosses = bool(mine) and any(lies_in(each, part) for part in others)
        if crosses or (other not in (None, own) and ROOMS[other or ""] >= ROOMS[own]):
            found.append(each)
    return found


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
        ("gatling_sid.oracle.claude.x", "import gatling_sid.validators", ["gatling_sid.validators"]),
        (
            "gatling_sid.oracle.claude.x",
            "import_module('gatling_sid.validators.need')",
            ["gatling_sid.validators.need"],
        ),
        ("gatling_sid.validators.x", "from gatling_sid import oracle", ["gatling_sid.oracle"]),
        ("gatling_sid.validators.x", "from ..oracle import embedded", ["gatling_sid.oracle.embedded"]),
        ("gatling_sid.validators.x", "import gatling_sid.oracle.protocol", ["gatling_sid.oracle.protocol"]),
        ("gatling_sid.models", "from . import trace", []),
        ("gatling_sid.errors", "from . import models", ["gatling_sid.models"]),
        ("gatling_sid.schemas.x", "def f():\n  import gatling_sid.simulator.world", ["gatling_sid.simulator.world"]),
        ("gatling_sid.schemas.language.x", "import gatling_sid.schemas.domain", ["gatling_sid.schemas.domain"]),
        ("gatling_sid.simulator.x", "from gatling_sid.generator import generate", ["gatling_sid.generator.generate"]),
        (
            "gatling_sid.oracle.claude.messages.x",
            "import gatling_sid.oracle.claude.accounting.ledger",
            ["gatling_sid.oracle.claude.accounting.ledger"],
        ),
        (
            "gatling_sid.oracle.claude.plans.x",
            "import gatling_sid.oracle.claude.transport.keys",
            ["gatling_sid.oracle.claude.transport.keys"],
        ),
        ("gatling_sid.views.text", "import builder.sid", ["builder.sid"]),
        ("builder.x", "from dataset_card import card", ["dataset_card.card"]),
        ("gatling_sid.views.text", "from gatling_sid.validators.trace_context import TraceContext", []),
        ("gatling_sid.oracle.claude.prompts.x", "import gatling_sid.oracle.claude.plans.goals", []),
        ("scripts.x", "from builder import run\nimport json, builders", []),
    ],
)
def test_the_rule_sees_what_it_forbids(module: str, line: str, found: list[str]) -> None:
    """Every way to write an import against the order is found, and none along it."""
    assert uphill(module, ast.parse(line)) == found


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_can_be_read(path: Path) -> None:
    """No module imports by a name that is put together at run time, and none imports tests or benchmarks."""
    assert list(hidden_imports(parsed(path))) == []


def hidden_imports(tree: ast.AST) -> Iterator[str]:
    """Uses of import machinery, and imports of what does not ship."""
    for name in imported(tree):
        if name.partition(".")[0] in ("importlib", "pkgutil", "runpy", "tests", "benchmarks"):
            yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in ("__import__", "exec", "eval"):
            yield node.id


@pytest.mark.parametrize(
    "line",
    [
        "from importlib import import_module", "import importlib", "__import__('a')", "exec('import a')", "eval('a')",
        "from tests.support import commands", "import benchmarks.judging", "import pkgutil", "import runpy",
    ],
)  # fmt: skip
def test_hidden_imports_are_found(line: str) -> None:
    """Each way to hide an import is found."""
    assert len(list(hidden_imports(ast.parse(line)))) == 1


def test_making_traces_needs_no_hub() -> None:
    """gatling_sid never imports datasets, pyarrow or the Hub's client."""
    forbidden = {"datasets", "pyarrow", "huggingface_hub"}
    found = {
        (name, each)
        for path, name in zip(FILES, NAMES, strict=True)
        for each in imported(parsed(path))
        if name.startswith("gatling_sid/") and each.split(".")[0] in forbidden
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
    assert found == [("gatling_sid/models/trace.py", "datetime.now")]


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


def test_the_wheel_carries_every_file_of_data() -> None:
    """Each file in the packages that is not Python is named by a pattern of `package-data`."""
    given = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    carried = {path for package, patterns in given.items() for each in patterns for path in (ROOT / package).glob(each)}
    files = {path for package in ("gatling_sid", "builder", "dataset_card", "scripts") for path in data_files(package)}

    assert files
    assert files - carried == set()


def data_files(package: str) -> Iterator[Path]:
    """The files of a package that are not Python."""
    for path in (ROOT / package).rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            yield path
