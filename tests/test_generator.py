"""The straight line from tasks to gold; and, for all tests that run our commands, a small catalogue to run them on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gatling_sid.generator import GenerationResult, Rejection, generate
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator

ROOT = Path(__file__).parents[1]

# --- our commands, on a small catalogue --------------------------------------------------------------------------

PATCH = """
from pathlib import Path
from gatling_sid.schemas import registry
registry.CATALOGUE = Path(__file__).parent / "catalogue"
"""


def small_catalogue(folder: Path) -> Path:
    """A catalogue of one domain: the Library of these tests, by the name of Finance."""
    folder.mkdir(parents=True, exist_ok=True)
    library = (ROOT / "tests/catalogue/library.yaml").read_text(encoding="utf-8")
    (folder / "finance.yaml").write_text(library.replace("name: Library", "name: Finance", 1), encoding="utf-8")
    return folder


def surroundings(folder: Path, **more: str) -> dict[str, str]:
    """An environment whose commands, and their workers, know the small catalogue alone; no cache, token or network."""
    site = small_catalogue(folder / "site/catalogue").parent
    (site / "sitecustomize.py").write_text(PATCH)
    paths = f"{site}{os.pathsep}{ROOT}"
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": paths,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "1",
    } | more


def line(script: str, *arguments: object) -> list[str]:
    """The command line of one of our scripts."""
    return [sys.executable, "-m", f"scripts.{script}", *map(str, arguments)]


def process(
    folder: Path, words: list[str], limit: Callable[[], object] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A command line run to its end in `folder`, under a limit; none of ours ever shows a traceback."""
    done = subprocess.run(
        words, cwd=folder, env=surroundings(folder, **environment), preexec_fn=limit, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def command(folder: Path, script: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """One of our scripts, run to its end in a process of its own."""
    return process(folder, line(script, *arguments), **environment)


def succeeds(folder: Path, script: str, *arguments: object, **environment: str) -> str:
    """What a command that ends well prints."""
    done = command(folder, script, *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def content(root: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# --- the straight line -------------------------------------------------------------------------------------------


class Scripted:
    """An oracle that says, task by task and attempt by attempt, what the script holds; it notes what it was asked."""

    name = "scripted"

    def __init__(self, script: dict[int, list[GoldTrace | Failure]], max_attempts: int) -> None:
        self.script = script
        self.max_attempts = max_attempts
        self.asked: list[list[Task]] = []

    def propose(self, tasks: Sequence[Task]) -> Iterable[GoldTrace | Failure]:
        """The next proposal for each task."""
        self.asked.append(list(tasks))
        return (self.script[task.index][task.attempt] for task in tasks)


def without_last_call(trace: GoldTrace) -> GoldTrace:
    """The trace, its plan cut short: it does not meet its goal any more."""
    short = trace.model_copy(deep=True, update={"validated": False})
    dropped = short.graph.calls.pop()
    short.graph.execution_order.remove(dropped.call_id)
    return short


def proposal(trace: GoldTrace) -> GoldTrace:
    """Gold as an oracle proposes it: nobody has judged it yet."""
    return trace.model_copy(update={"validated": False})


MUTE = Failure("no_answer", "the oracle said nothing")


def test_rejected_tasks_come_again_until_they_are_gold(
    library: Domain, gold: list[GoldTrace], validator: TraceValidator
) -> None:
    """A failure, then a wrong trace, then gold: two rejections with their reasons, and one trace."""
    wrong = without_last_call(gold[0])
    findings = validator.findings(wrong)
    oracle = Scripted({0: [MUTE, wrong, proposal(gold[0])]}, max_attempts=3)

    made = generate([Task(library, "train", 0)], oracle, validator)

    trace_id, scenario = "library_train_00000000", str(gold[0].metadata["scenario"])
    assert made == GenerationResult(
        traces=[gold[0]],
        rejections=[
            Rejection(trace_id, 0, "", "no_answer", "the oracle said nothing"),
            Rejection(trace_id, 1, scenario, findings[0].rule, findings[0].message),
        ],
        given_up=[],
    )
    assert oracle.asked == [
        [Task(library, "train", 0)],
        [Task(library, "train", 0, 1, None, ("no_answer: the oracle said nothing",))],
        [Task(library, "train", 0, 2, wrong, tuple(map(str, findings)))],
    ]


def test_gold_keeps_the_order_of_its_tasks(library: Domain, gold: list[GoldTrace], validator: TraceValidator) -> None:
    """Traces come out in the order of their tasks, however many attempts each took; only the rejected come again."""
    oracle = Scripted({0: [MUTE, MUTE, proposal(gold[0])], 1: [proposal(gold[1])], 2: [MUTE, proposal(gold[2])]}, 3)
    tasks = [Task(library, "train", index) for index in (2, 0, 1)]

    made = generate(tasks, oracle, validator)

    assert made.traces == [gold[2], gold[0], gold[1]]
    assert [[(task.index, task.attempt) for task in asked] for asked in oracle.asked] == [
        [(2, 0), (0, 0), (1, 0)],
        [(2, 1), (0, 1)],
        [(0, 2)],
    ]
    assert [(each.trace_id[-1], each.attempt) for each in made.rejections] == [("2", 0), ("0", 0), ("0", 1)]


def test_a_task_is_given_up_after_the_last_attempt(
    library: Domain, gold: list[GoldTrace], validator: TraceValidator
) -> None:
    """What is never gold is given up, with its last findings, and the others are made all the same."""
    wrong = without_last_call(gold[1])
    oracle = Scripted({0: [MUTE, proposal(gold[0])], 1: [MUTE, wrong]}, max_attempts=2)

    made = generate([Task(library, "train", index) for index in (0, 1)], oracle, validator)

    assert made.traces == [gold[0]]
    assert made.given_up == [Task(library, "train", 1, 1, None, ("no_answer: the oracle said nothing",))]
    assert [(each.trace_id, each.reason) for each in made.rejections] == [
        ("library_train_00000000", "no_answer"),
        ("library_train_00000001", "no_answer"),
        ("library_train_00000001", validator.findings(wrong)[0].rule),
    ]
    assert len(oracle.asked) == 2


def test_a_proposal_is_not_changed(library: Domain, gold: list[GoldTrace], validator: TraceValidator) -> None:
    """Gold comes out marked as validated; the proposal that the oracle gave stays as it was."""
    proposed = proposal(gold[0])

    made = generate([Task(library, "train", 0)], Scripted({0: [proposed]}, 1), validator)

    assert made.traces[0].validated
    assert proposed == proposal(gold[0])


def test_nothing_asked_is_nothing_made(validator: TraceValidator) -> None:
    """Without tasks the oracle is not asked."""
    oracle = Scripted({}, 1)

    assert generate([], oracle, validator) == GenerationResult()
    assert oracle.asked == []
