"""How our commands end: a clear line and an exit status, never a traceback for what a user can mend."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from io import TextIOWrapper

from tqdm import tqdm

from gatling_sid.errors import SidError

FAILED, INTERRUPTED = 1, 130


def command(main: Callable[[Sequence[str] | None], int]) -> Callable[..., int]:
    """Turns our errors and Ctrl-C into a message and an exit status."""

    @wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> int:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # bad input may hold what no terminal can show
        try:
            return main(argv)
        except SidError as error:
            print(f"error: {error}", file=sys.stderr)
            return FAILED
        except KeyboardInterrupt:
            print("stopped; what is complete is kept, the same command goes on from there", file=sys.stderr)
            return INTERRUPTED

    return guarded


@contextmanager
def progress_bar(unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on standard error; call it with (done, total, what else to say)."""
    with tqdm(unit=f" {unit}", total=0, dynamic_ncols=True, mininterval=0.5) as bar:

        def show(done: int, total: int, saying: str) -> None:
            bar.total = total
            bar.set_postfix_str(saying, refresh=False)
            bar.update(done - bar.n)

        yield show
