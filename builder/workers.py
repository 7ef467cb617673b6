"""Tasks spread over processes that leave Ctrl-C to their parent, and end when it does."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


def map_in_processes(
    function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT], workers: int, prepare: Callable[[], object]
) -> Iterator[tuple[TaskT, ResultT]]:
    """(task, what the function makes of it) as they are finished, in no particular order.

    `prepare` loads in each process what is kept from task to task.

    Raises:
        BrokenProcessPool: a worker was killed.

    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), context, _prepare, (prepare, os.getpid())) as pool:
        # Workers start here, and inherit that Ctrl-C is not for them.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            waiting: dict[Future[ResultT], TaskT] = {
                pool.submit(_in_worker, function, task, os.getpid()): task for task in tasks
            }
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield waiting.pop(future), future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def deferred_garbage_collection() -> Iterator[None]:
    """Leaves the few reference cycles to the end: looking for them again and again takes a third of the time."""
    gc.freeze()
    gc.disable()
    try:
        yield
        gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()


def _prepare(prepare: Callable[[], object], parent: int) -> None:
    """A worker leaves Ctrl-C to its parent, and its few reference cycles to the end of a task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    prepare()
    gc.freeze()
    gc.disable()
    _leave_if_orphaned(parent)


def _leave_if_orphaned(parent: int) -> None:
    if os.getppid() != parent:
        os._exit(1)  # sys.exit would be caught by the pool, and sent to nobody


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _in_worker(function: Callable[[TaskT], ResultT], task: TaskT, parent: int) -> ResultT:
    _leave_if_orphaned(parent)
    try:
        return function(task)
    finally:
        gc.collect()
