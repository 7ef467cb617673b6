"""What a composed text tells, as the rule about it reads the text."""

from __future__ import annotations

import pytest

from gatling_sid.validators.grounding import _without_values

TEXTS = {
    "Version is v8.20.2, duration 20.": ([("20", "duration"), ("v8.20.2", "version")], []),
    "Duration 20, seats 20.": ([("20", "duration"), ("20", "seats")], []),
    "Duration 20 alone.": ([("20", "duration"), ("20", "seats")], ["seats"]),
    "The version is v8.20.2.": ([("20", "duration"), ("v8.20.2", "version")], ["duration"]),
}


@pytest.mark.parametrize(("text", "values", "missing"), [(text, *case) for text, case in TEXTS.items()])
def test_each_value_must_stand_in_the_text_on_its_own(
    text: str, values: list[tuple[str, str]], missing: list[str]
) -> None:
    """A longer value does not state a short one that is part of it, and two equal values stand there twice."""
    rest, lacking = _without_values(text, values)

    assert [field for _, field in lacking] == missing
    assert not any(character.isdigit() for character in rest)
