"""The generator makes gold traces for tasks, and gives rejected tasks to the oracle again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gatling_sid.generator import GenerationResult, Rejection, generate
from gatling_sid.models import GoldTrace
from gatling_sid.oracle.protocol import Failure, Task
from gatling_sid.schemas.domain import Domain
from gatling_sid.validators import TraceValidator


class Scripted:
    """An oracle whose proposals are given per task and attempt; it records the tasks of every call."""

    name = "scripted"

    def __init__(self, script: dict[int, list[GoldTrace | Failure]], max_attempts: int) -> None:
        self.script = script
        self.max_attempts = max_attempts
        self.calls: list[list[Task]] = []

    def propose(self, tasks: Sequence[Task]) -> Iterable[GoldTrace | Failure]:
        """The next proposal for each task."""
        self.calls.append(list(tasks))
        return (self.script[task.index][task.attempt] for task in tasks)


def without_last_call(trace: GoldTrace) -> GoldTrace:
    """The trace without its last call, so that it no longer reaches its goal."""
    short = trace.model_copy(deep=True, update={"validated": False})
    dropped = short.graph.calls.pop()
    short.graph.execution_order.remove(dropped.call_id)
    return short


def proposal(trace: GoldTrace) -> GoldTrace:
    """A gold trace as an oracle proposes it: not validated yet."""
    return trace.model_copy(update={"validated": False})


MUTE = Failure("no_answer", "the oracle said nothing")


def test_rejected_tasks_come_again_until_they_are_gold(
    library: Domain, gold: list[GoldTrace], validator: TraceValidator
) -> None:
    """A failure, then a wrong trace, then gold give two rejections with their reasons, and one trace."""
    wrong = without_last_call(gold[0])
    findings = validator.findings(wrong)
    oracle = Scripted({0: [MUTE, wrong, proposal(gold[0])]}, max_attempts=3)

    result = generate([Task(library, "train", 0)], oracle, validator)

    trace_id, scenario = "library_train_00000000", str(gold[0].metadata["scenario"])
    assert result == GenerationResult(
        traces=[gold[0]],
        rejections=[
            Rejection(trace_id, 0, "", "no_answer", "the oracle said nothing"),
            Rejection(trace_id, 1, scenario, findings[0].rule, findings[0].message),
        ],
        abandoned_tasks=[],
    )
    assert oracle.calls == [
        [Task(library, "train", 0)],
        [Task(library, "train", 0, 1, None, ("no_answer: the oracle said nothing",))],
        [Task(library, "train", 0, 2, wrong, tuple(map(str, findings)))],
    ]


def test_gold_keeps_the_order_of_its_tasks(library: Domain, gold: list[GoldTrace], validator: TraceValidator) -> None:
    """Traces are in the order of their tasks, however many attempts each took; only rejected tasks are repeated."""
    oracle = Scripted({0: [MUTE, MUTE, proposal(gold[0])], 1: [proposal(gold[1])], 2: [MUTE, proposal(gold[2])]}, 3)
    tasks = [Task(library, "train", index) for index in (2, 0, 1)]

    result = generate(tasks, oracle, validator)

    assert result.traces == [gold[2], gold[0], gold[1]]
    assert [[(task.index, task.attempt) for task in tasks_of_call] for tasks_of_call in oracle.calls] == [
        [(2, 0), (0, 0), (1, 0)],
        [(2, 1), (0, 1)],
        [(0, 2)],
    ]
    assert [(each.trace_id[-1], each.attempt) for each in result.rejections] == [("2", 0), ("0", 0), ("0", 1)]


def test_a_task_is_given_up_after_the_last_attempt(
    library: Domain, gold: list[GoldTrace], validator: TraceValidator
) -> None:
    """A task without gold in all attempts is given up, with its last findings; the others are not affected."""
    wrong = without_last_call(gold[1])
    oracle = Scripted({0: [MUTE, proposal(gold[0])], 1: [MUTE, wrong]}, max_attempts=2)

    result = generate([Task(library, "train", index) for index in (0, 1)], oracle, validator)

    assert result.traces == [gold[0]]
    assert result.abandoned_tasks == [Task(library, "train", 1, 1, None, ("no_answer: the oracle said nothing",))]
    assert [(each.trace_id, each.reason) for each in result.rejections] == [
        ("library_train_00000000", "no_answer"),
        ("library_train_00000001", "no_answer"),
        ("library_train_00000001", validator.findings(wrong)[0].rule),
    ]
    assert len(oracle.calls) == 2


def test_a_proposal_is_not_changed(library: Domain, gold: list[GoldTrace], validator: TraceValidator) -> None:
    """The trace in the result is marked as validated; the oracle's proposal is not changed."""
    proposed = proposal(gold[0])

    result = generate([Task(library, "train", 0)], Scripted({0: [proposed]}, 1), validator)

    assert result.traces[0].validated
    assert proposed == proposal(gold[0])


def test_no_tasks(validator: TraceValidator) -> None:
    """Without any task the oracle is not called."""
    oracle = Scripted({}, 1)

    assert generate([], oracle, validator) == GenerationResult()
    assert oracle.calls == []
