"""What all commands share: clear errors and exit statuses instead of tracebacks, and a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from io import TextIOWrapper

from tqdm import tqdm

from gatling_sid.errors import SidError

FAILED, INTERRUPTED = 1, 130
"""Exit statuses; 130 is what shells give for Ctrl-C."""


def command(main: Callable[[Sequence[str] | None], int]) -> Callable[..., int]:
    """Decorates `main` so that a SidError or Ctrl-C becomes one line on standard error and an exit status."""

    @wraps(main)
    def wrapper(argv: Sequence[str] | None = None) -> int:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(
                    errors="backslashreplace"
                )  # bad input may contain characters that the terminal cannot show
        try:
            return main(argv)
        except SidError as error:
            print(f"error: {error}", file=sys.stderr)
            return FAILED
        except KeyboardInterrupt:
            print("stopped; complete files are kept; run the same command again to continue", file=sys.stderr)
            return INTERRUPTED

    return wrapper


@contextmanager
def progress_bar(unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """Shows a progress bar on standard error; yields a function that takes (done, total, text to show)."""
    with tqdm(unit=f" {unit}", total=0, dynamic_ncols=True, mininterval=0.5) as bar:

        def show(done: int, total: int, text: str) -> None:
            bar.total = total
            bar.set_postfix_str(text, refresh=False)
            bar.update(done - bar.n)

        yield show
