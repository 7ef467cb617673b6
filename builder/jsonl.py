"""Reads traces from files with one JSON object per line, in pieces that several processes can share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from builder.pieces import Piece
from gatling_sid.errors import TraceFormatError
from gatling_sid.models import GoldTrace

LINES_AT_ONCE = 512
"""Lines that are read at a time; this limits the memory of a process."""
PIECE_BYTES = 16 * 2**20
"""Least number of bytes of a piece, except the last; each piece then continues to the end of its line."""
MAX_LINE_LENGTH = 10_000_000
"""Bytes of a line; every trace that the checks accept is shorter."""


def cut_into_pieces(path: Path) -> Iterator[Piece]:
    """Cuts a file into pieces of whole lines. Raises OSError."""
    start = number = 0
    with path.open("rb") as file:
        while content := file.read(PIECE_BYTES):
            content += file.readline(MAX_LINE_LENGTH)
            lines = content.count(b"\n") + (not content.endswith(b"\n"))
            yield Piece(path, path.name, start, start + len(content), number, lines)
            start, number = start + len(content), number + lines


def stream_piece(path: Path) -> Piece:
    """One piece for a file that can be read only once, from beginning to end, such as a pipe."""
    return Piece(path, path.name, 0, -1, 0, 0)


def read_lines(piece: Piece) -> Iterator[list[GoldTrace]]:
    """Yields the traces of a piece, `LINES_AT_ONCE` at a time.

    Raises:
        TraceFormatError: a line is not a trace; names the line.

    """
    traces: list[GoldTrace] = []
    with piece.path.open("rb") as file:
        if piece.start:
            file.seek(piece.start)
        number = piece.number
        while (piece.stop < 0 or file.tell() < piece.stop) and (
            line := _read_line(file, f"{piece.name}, line {number + 1}")
        ):
            number += 1
            if line.strip():
                traces.append(_parse_trace(line, f"{piece.name}, line {number}"))
            if len(traces) == LINES_AT_ONCE:
                yield traces
                traces = []
    yield traces


def _read_line(file: IO[bytes], where: str) -> bytes:
    line = file.readline(MAX_LINE_LENGTH)
    if len(line) == MAX_LINE_LENGTH and not line.endswith(b"\n"):
        raise TraceFormatError(where, f"is longer than {MAX_LINE_LENGTH:,} bytes, which no trace may be")
    return line


def _parse_trace(line: bytes, where: str) -> GoldTrace:
    try:
        return GoldTrace.model_validate(json.loads(line.decode(), parse_constant=_refuse_constant))
    except ValidationError as error:
        first = error.errors()[0]
        raise TraceFormatError(
            where, ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
        ) from None
    except (ValueError, RecursionError) as error:
        raise TraceFormatError(where, f"is not the JSON object of a trace: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
