"""Calls a function for many inputs in processes that ignore Ctrl-C and end when their parent ends."""

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

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


def map_in_processes(
    function: Callable[[InputT], OutputT], inputs: Sequence[InputT], workers: int, prepare: Callable[[], object]
) -> Iterator[tuple[InputT, OutputT]]:
    """Yields (input, result of the function) as calls finish, in no particular order.

    `prepare` is called once in each process, to load what all of its calls need.

    Raises:
        BrokenProcessPool: a worker process was killed.

    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(inputs)), context, _prepare, (prepare, os.getpid())) as pool:
        # Workers start here, and inherit that they ignore Ctrl-C.
        previous_handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            input_of_future: dict[Future[OutputT], InputT] = {
                pool.submit(_call_function, function, each, os.getpid()): each for each in inputs
            }
        finally:
            signal.signal(signal.SIGINT, previous_handler)
        try:
            while input_of_future:
                done, _ = wait(input_of_future, return_when=FIRST_COMPLETED)
                for future in done:
                    yield input_of_future.pop(future), future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def deferred_garbage_collection() -> Iterator[None]:
    """Collects reference cycles only at the end: there are few, and searching for them takes a third of the time."""
    gc.freeze()
    gc.disable()
    try:
        yield
        gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()


def _prepare(prepare: Callable[[], object], parent: int) -> None:
    """Prepares a worker: it ignores Ctrl-C, ends with its parent, and collects garbage only after each call."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    prepare()
    gc.freeze()
    gc.disable()
    _exit_if_orphaned(parent)


def _exit_if_orphaned(parent: int) -> None:
    if os.getppid() != parent:
        os._exit(1)  # the pool would catch SystemExit, and nobody would receive it


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _call_function(function: Callable[[InputT], OutputT], input_: InputT, parent: int) -> OutputT:
    _exit_if_orphaned(parent)
    try:
        return function(input_)
    finally:
        gc.collect()
