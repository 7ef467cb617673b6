"""A preview of a domain file for somebody who is writing it: a few requests with their plans, and all problems."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gatling_sid.domain_check.sample import JudgedTrace, Sample
from gatling_sid.models import ToolCall
from gatling_sid.schemas.yaml_loading import read_bytes

_SECONDS_BETWEEN_LOOKS = 0.3


def watch_file(path: Path, show: Callable[[], None]) -> None:
    """Calls `show` now and whenever the content of the file has changed; ends only by an exception such as Ctrl-C."""
    shown: bytes | None = None
    while True:
        content = read_bytes(path)
        if content != shown:
            shown = content
            show()
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def preview_lines(sample: Sample, number: int) -> Iterator[str]:
    """Yields the first requests of a sample that belong to different tasks, each with its plan."""
    by_scenario = {each.scenario: each for each in reversed(sample.judged)}
    for at, each in enumerate(reversed([*by_scenario.values()][-number:]), 1):
        yield f"\n{at}. {each.scenario}"
        yield f"   “{each.trace.request.text}”"
        yield from (f"     {line}" for call in each.trace.graph.calls for line in _describe_call(call))
        if each.trace.outcome is not None and each.trace.outcome.kind != "served":
            yield f"     {each.trace.outcome.kind.replace('_', ' ')}: {each.trace.outcome.reason}"
        yield from (f"   ! {line}" for line in _describe_findings(each))


def _describe_call(call: ToolCall) -> Iterator[str]:
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    after = f"  after {', '.join(call.dependencies)}" if call.dependencies else ""
    yield f"{call.call_id} {call.tool_id}({arguments}){after}"


def _describe_findings(judged: JudgedTrace) -> Iterator[str]:
    yield from (f"{each.rule}: {each.message}" for each in judged.findings[:1])
