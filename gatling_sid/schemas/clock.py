"""Times of day as text: `HH:MM` in 24 hours, which sorts as text in the order of the day."""

from __future__ import annotations

import re
from typing import Any

TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
"""What a time looks like, as a pattern of JSON Schema."""
LAST_MINUTE = 24 * 60 - 1
"""The last minute of a day, counted from midnight."""


def is_time(value: Any) -> bool:
    """Whether a value is a time such as `09:30`."""
    return isinstance(value, str) and re.fullmatch(TIME_PATTERN, value) is not None


def minutes_of(time: str) -> int:
    """The minutes from midnight to a time."""
    hour, minute = time.split(":")
    return int(hour) * 60 + int(minute)


def time_at(minutes: int) -> str:
    """The time that lies so many minutes after midnight."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
