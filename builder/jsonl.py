"""Traces as lines of JSON: cut into pieces, and read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from builder.pieces import Piece
from gatling_sid.errors import TraceFormatError
from gatling_sid.models import GoldTrace

BATCH = 512
"""Lines that are read at a time."""
BLOCK = 16 * 2**20
"""Bytes of a piece, and then to the end of the line."""
LONGEST_LINE = 10_000_000
"""Bytes; a trace that may be judged has fewer."""


def cut_into_pieces(path: Path) -> Iterator[Piece]:
    """Pieces of whole lines. Raises OSError."""
    start = number = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            block += file.readline(LONGEST_LINE)
            lines = block.count(b"\n") + (not block.endswith(b"\n"))
            yield Piece(path, path.name, start, start + len(block), number, lines)
            start, number = start + len(block), number + lines


def is_stream(path: Path) -> Piece:
    """What can be read only once, from beginning to end, such as a pipe."""
    return Piece(path, path.name, 0, -1, 0, 0)


def read_lines(piece: Piece) -> Iterator[list[GoldTrace]]:
    """The traces of a piece, batch by batch.

    Raises:
        TraceFormatError: naming the line that is no trace.

    """
    batch: list[GoldTrace] = []
    with piece.path.open("rb") as file:
        if piece.start:
            file.seek(piece.start)
        number = piece.number
        while (piece.stop < 0 or file.tell() < piece.stop) and (
            line := _line(file, f"{piece.name}, line {number + 1}")
        ):
            number += 1
            if line.strip():
                batch.append(_trace_in(line, f"{piece.name}, line {number}"))
            if len(batch) == BATCH:
                yield batch
                batch = []
    yield batch


def _line(file: IO[bytes], where: str) -> bytes:
    line = file.readline(LONGEST_LINE)
    if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
        raise TraceFormatError(where, f"is longer than {LONGEST_LINE:,} bytes, which no trace is")
    return line


def _trace_in(line: bytes, where: str) -> GoldTrace:
    try:
        return GoldTrace.model_validate(json.loads(line.decode(), parse_constant=_refuse_constant))
    except ValidationError as error:
        first = error.errors()[0]
        raise TraceFormatError(
            where, ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
        ) from None
    except (ValueError, RecursionError) as error:
        raise TraceFormatError(where, f"is no JSON object of a trace: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
