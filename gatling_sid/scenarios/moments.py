"""When a request is made: within hours at which the policy allows the calls of its plan."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time

from gatling_sid.models import SystemPolicy
from gatling_sid.schemas.constraints import Hours, plain_name
from gatling_sid.schemas.domain import Domain
from gatling_sid.schemas.language.shared_voice import hours_of_opening

_USUAL_HOURS = range(7, 20)
"""Hours of the day at which requests are made, unless the policy allows none of them."""


def draw_moment(domain: Domain, hours: Sequence[int], today: date, opening: str, rng: random.Random) -> datetime:
    """A random time of the day within these hours; if it can be, one that suits the opening of the request."""
    first, last = hours_of_opening(domain.voice, opening)
    hour = rng.choice([each for each in hours if first <= each < last] or hours)
    return datetime.combine(today, time(hour, rng.randrange(60)), tzinfo=UTC)


def allowed_hours(domain: Domain, policy: SystemPolicy, role: str, tool_ids: Iterable[str]) -> Sequence[int]:
    """The hours at which a role may call all of these tools under a policy.

    They are the usual hours that are allowed, or else all hours that are, or else the usual ones.
    """
    tools = set(map(plain_name, tool_ids))
    parsed = domain.family.parsed_of_kind(policy, "hours")
    windows = [each for _, _, each in parsed if isinstance(each, Hours) and each.concerns(role, tools)]
    if not windows:
        return _USUAL_HOURS
    allowed = [hour for hour in range(24) if all(each.allows(hour) for each in windows)]
    return [hour for hour in allowed if hour in _USUAL_HOURS] or allowed or _USUAL_HOURS
